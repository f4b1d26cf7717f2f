use backend_api::{Dim, Shape, Tensor};
use bytes::Bytes;
use server_base::Kind;
use smallvec::SmallVec;

use super::*;
use crate::fixture::{form, hour, record, spec, subject};

/// Takes a tensor of so many numbers out of something larger.
fn slice_of(rows: usize, whole: usize) -> (Tensor, Bytes) {
    let all = Bytes::from(vec![0; whole]);
    let shape = Shape::new(&[rows, 2]).expect("a shape");
    let tensor = Tensor::new(DType::Fp32, shape, all.slice(..rows * 8)).expect("fits");
    (tensor, all)
}

/// Does the record keep the memory that its input was a slice of, and what is it charged?
fn kept(rows: usize, whole: usize, held: usize) -> (bool, usize) {
    let form = form(subject("m"));
    let (tensor, all) = slice_of(rows, whole);
    let mut record = record(hour(1), rows);
    (record.inputs, record.held) = ([tensor].into(), held);
    record.outputs.clear();
    let weight = Weight::of(&record, &form);
    let kept = weight.kept(record.inputs.get(0).expect("an input"), 0);
    drop(record);
    assert_eq!(kept.len(), rows * 8);
    (!all.is_unique(), weight.kept)
}

#[test]
fn what_keeps_much_more_in_memory_than_is_logged_is_copied() {
    let long = (COPIED_BYTES_MAX / 8) * 4;
    let bytes = long * 8;
    assert_eq!(kept(long, bytes + 100, bytes + 100), (true, bytes + 100), "and charged for");
    assert_eq!(kept(long, 3 * bytes, 3 * bytes), (false, bytes));
    assert_eq!(kept(long, 3 * bytes, 0), (false, bytes), "who knows");
    assert!(!kept(4, 100, 100).0, "short ones always are");
}

#[test]
fn a_slice_of_a_batch_is_copied() {
    let (rows, form) = (COPIED_BYTES_MAX, form(subject("m")));
    for (batch_rows, copied) in [(rows, false), (2 * rows, true), (0, true)] {
        let mut record = record(hour(1), rows);
        record.timing.batch_rows = batch_rows;
        let weight = Weight::of(&record, &form);
        let output = record.outputs.get(0).expect("an output");
        let is_copy = weight.kept(output, 1).as_ptr() != output.data.as_ptr();
        assert_eq!(is_copy, copied, "{batch_rows}");
    }
}

#[test]
fn rows_are_charged_and_not_tensors_alone() {
    let form = form(subject("m"));
    let charge = |it: &Record| Weight::of(it, &form).charge();
    let (one, many) = (record(hour(1), 1), record(hour(1), 10_000));
    assert_eq!(charge(&one), Ok(RECORD_BYTES + ROW_BYTES + 16));
    assert_eq!(charge(&many), Ok(RECORD_BYTES + 10_000 * (ROW_BYTES + 16)));
    let mut failed = record(hour(1), 10_000);
    failed.failure = Some((Kind::Invalid, "x".repeat(1_000)));
    let expect = RECORD_BYTES + 10_000 * (ROW_BYTES + 16 + 1_000);
    assert_eq!(charge(&failed), Ok(expect), "each row says why");
    failed.rows = usize::MAX / 1_000;
    assert_eq!(charge(&failed), Err(Unlogged::Record));
}

/// Charged at least as much as the columns turn out to take.
#[test]
fn a_charge_covers_the_columns() {
    let mut subject = subject("m");
    subject.signature.inputs = vec![
        spec("h", DType::Fp16, &[Dim::Rows]),
        spec("w", DType::Fp32, &[Dim::Rows, Dim::Free("T".into())]),
        spec("user", DType::Bytes, &[Dim::Rows, Dim::Fixed(2)]),
    ];
    subject.config.hashed = vec!["user".to_owned()];
    let mut form = form(subject);
    form.key = Some(crate::redact::Key::new(b"secret"));
    let rows = 1_000;
    let mut record = record(hour(1), rows);
    record.request_id = SmallVec::from_slice(&[b'x'; 40]);
    record.pair = Some(record.event);
    record.trace = Some(server_base::Trace { trace: 1, span: 2 });
    let rollout = Some(format!("{0}-{0}-{0}", u64::MAX / 10).into());
    record.drawn = Some(server_base::Drawn { weight: 0.5, rollout });
    record.inputs = [
        Tensor::zeroed(DType::Fp16, Shape::new(&[rows]).expect("a shape")),
        Tensor::from_elements(&[rows, 3], &vec![1.0_f32; 3 * rows]).expect("fits"),
        Tensor::from_strings(&[rows, 2], &vec!["ann"; 2 * rows]).expect("fits"),
    ]
    .into();
    let weight = Weight::of(&record, &form);
    let batch = form.rows(&[record], hour(1)).expect("rows");
    let taken: usize = batch
        .columns()
        .iter()
        .map(|it| arrow_array::Array::to_data(it).get_slice_memory_size().expect("known"))
        .sum();
    assert!(weight.rows >= taken, "{} for {taken}", weight.rows);
    assert!(weight.rows <= 2 * taken, "{} for {taken}", weight.rows);
}

/// Each may be cut, which takes more than the text.
#[test]
fn a_charge_covers_the_marks_of_texts() {
    let mut subject = subject("m");
    subject.signature.inputs = vec![spec("user", DType::Bytes, &[Dim::Rows, Dim::Fixed(2)])];
    subject.config.value_bytes_max = 1;
    let (form, rows) = (form(subject), 1_000);
    let mut record = record(hour(1), rows);
    let texts = Tensor::from_strings(&[rows, 2], &vec!["ab"; 2 * rows]).expect("fits");
    record.inputs = [texts].into();
    let weight = Weight::of(&record, &form);
    let batch = form.rows(&[record], hour(1)).expect("rows");
    let size = |it| arrow_array::Array::to_data(it).get_slice_memory_size().expect("known");
    let taken: usize = batch.columns().iter().map(size).sum();
    assert!(weight.rows - rows * ROW_BYTES >= 2 * rows * (64 + "in.user.0".len()));
    assert!(weight.rows >= taken, "{} for {taken}", weight.rows);
}

/// However few of its records fit into a list, they pay for it.
#[test]
fn many_tensors_are_charged_their_part_of_a_list() {
    for tensors in [5, 40, 300, 600, 2_000] {
        let mut subject = subject("m");
        let input = |number| spec(&format!("x{number}"), DType::Fp32, &[Dim::Rows]);
        subject.signature.inputs = (0..tensors).map(input).collect();
        let form = form(subject);
        let mut record = record(hour(1), 1);
        let number = || Tensor::zeroed(DType::Fp32, Shape::new(&[1]).expect("a shape"));
        record.inputs = (0..tensors).map(|_| number()).collect();
        let charge = Weight::of(&record, &form).charge().expect("it may be logged");
        let fit = (LIST_TENSORS / (tensors + 1)).clamp(1, LIST_RECORDS);
        assert!(fit * charge >= LIST_MEMORY, "{tensors}: {fit} times {charge}");
    }
}
