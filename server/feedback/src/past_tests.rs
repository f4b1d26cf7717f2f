use backend_api::Dim;
use server_base::Kind;

use super::*;
use crate::fixture::{form, hour, record, spec, subject};

fn bytes(dims: &[usize], size: usize) -> Vec<u8> {
    (0..60).cycle().take(dims.iter().product::<usize>() * size).collect()
}

/// Every type, as columns and whole, comes back as it went in.
#[test]
fn rows_become_the_requests_that_they_were() {
    for dtype in DType::ALL {
        let mut subject = subject("m");
        let dims = [Dim::Rows, Dim::Fixed(2)];
        let free = [Dim::Rows, Dim::Free("T".into())];
        subject.signature.inputs = vec![spec("a", dtype, &dims), spec("b", dtype, &free)];
        let form = form(subject);
        let make = |rows: usize, length: usize| match dtype.size() {
            None => Tensor::from_strings(&[rows, length], &vec!["é"; rows * length]).expect("fits"),
            Some(size) => {
                let data = bytes(&[rows, length], size).into_iter();
                let data = data.map(|it| if dtype == DType::Bool { it & 1 } else { it });
                let shape = Shape::new(&[rows, length]).expect("a shape");
                Tensor::new(dtype, shape, data.collect::<Vec<u8>>().into()).expect("fits")
            }
        };
        let records = [1, 3].map(|rows| {
            let mut record = record(hour(1), rows);
            record.inputs = [make(rows, 2), make(rows, 3)].into();
            record
        });
        let past = requests(&form.rows(&records, hour(2)).expect("rows"));
        assert_eq!(past.len(), 2);
        for (past, record) in past.iter().zip(&records) {
            assert_eq!(past.event, record.event.to_string());
            assert_eq!((past.status.as_str(), past.latency_us), ("OK", 250));
            let inputs = past.inputs.as_ref().expect("inputs");
            assert_eq!(inputs.len(), record.inputs.len());
            for (place, ((name, tensor), expect)) in inputs.iter().zip(["a", "b"]).enumerate() {
                let was = record.inputs.get(place).expect("an input");
                let dims = tensor.shape().dims();
                assert_eq!((name.as_str(), dims), (expect, was.dims), "{dtype:?}");
                assert_eq!(&tensor.data()[..], was.data, "{dtype:?}");
            }
            let answer = record.outputs.get(0).expect("an output");
            assert_eq!(&past.outputs[0].1.data()[..], answer.data);
        }
    }
}

/// Why a request cannot be made again.
#[track_caller]
fn check(change: impl FnOnce(&mut server_base::Subject, &mut server_base::Record), expect: Gap) {
    let (mut subject, mut record) = (subject("m"), record(hour(1), 2));
    subject.signature.inputs.push(spec("user", DType::Bytes, &[Dim::Rows]));
    record.inputs.push(&Tensor::from_strings(&[2], &["ann", "bob"]).expect("fits"));
    change(&mut subject, &mut record);
    let mut form = form(subject);
    form.key = Some(crate::redact::Key::new(b"secret"));
    let past = requests(&form.rows(&[record], hour(1)).expect("rows"));
    assert_eq!(past[0].inputs.as_ref().err(), Some(&expect));
}

#[test]
fn what_is_not_all_there_is_not_made_up() {
    check(|subject, _| subject.config.inputs = Some(vec!["x".into()]), Gap::LeftOut);
    check(|subject, _| subject.config.hashed = vec!["user".into()], Gap::Hashed);
    check(|subject, _| subject.config.value_bytes_max = 2, Gap::Cut);
    check(
        |_, record| {
            let x = record.inputs.get(0).and_then(|it| it.tensor()).expect("an input");
            let users = Tensor::from_strings(&[2], &[b"\xff", b"x"]).expect("fits");
            record.inputs = [x, users].into();
        },
        Gap::Cut,
    );
    check(
        |_, record| {
            record.inputs.clear();
            record.failure = Some((Kind::Invalid, "x".to_owned()));
        },
        Gap::Missing,
    );
}

/// What is as long as may be, and what holds the sign for what is no text, was that before too.
#[test]
fn texts_that_are_not_marked_are_whole() {
    let (mut subject, mut record) = (subject("m"), record(hour(1), 2));
    subject.signature.inputs.push(spec("user", DType::Bytes, &[Dim::Rows]));
    subject.config.value_bytes_max = 8;
    let users = Tensor::from_strings(&[2], &["12345678", "a\u{fffd}b"]).expect("fits");
    record.inputs.push(&users);
    let batch = form(subject).rows(&[record], hour(1)).expect("rows");
    let past = requests(&batch);
    let inputs = past[0].inputs.as_ref().expect("inputs");
    assert_eq!(inputs[1].1.data(), users.data());
    // A row of before there were marks is judged by its looks.
    let place = batch.schema_ref().index_of("truncated").expect("a column");
    let mut older = batch;
    older.remove_column(place);
    assert_eq!(requests(&older)[0].inputs.as_ref().err(), Some(&Gap::Cut));
}
