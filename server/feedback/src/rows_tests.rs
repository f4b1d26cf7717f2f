use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array as _, RecordBatch};
use backend_api::{DType, Dim, Shape, Signature, Tensor};
use half::f16;
use server_base::{Drawn, EventId, Route, Trace};
use smallvec::smallvec;

use super::*;
use crate::fixture::{form, hour, record, spec, subject};

/// A column's values as text, `-` where there is none.
#[track_caller]
fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    let column = column.as_string::<i32>();
    column.iter().map(|it| it.unwrap_or("-").to_owned()).collect()
}

#[track_caller]
fn floats(batch: &RecordBatch, name: &str) -> Vec<Option<f32>> {
    batch.column_by_name(name).expect(name).as_primitive::<Float32Type>().iter().collect()
}

#[test]
fn a_record_becomes_a_row_for_each_of_its_rows() {
    let mut second = record(hour(2), 2);
    second.request_id = smallvec![b'a', b'b'];
    second.trace = Some(Trace { trace: 1, span: 2 });
    (second.route, second.pair) = (Route::Shadow, Some(EventId(7)));
    let mut third = record(hour(1), 1);
    third.failure = Some((Kind::Expired, "too late".to_owned()));
    (third.inputs, third.outputs) = Default::default();
    let records = [record(hour(1), 1), second, third];
    let batch = form(subject("m")).rows(&records, hour(3)).expect("rows");
    let (first, second) = (records[0].event.to_string(), records[1].event.to_string());
    let events = texts(&batch, "event_id");
    assert_eq!(events[..3], [first.clone(), second.clone(), second]);
    assert_eq!(texts(&batch, "request_id"), [first, "ab".into(), "ab".into(), events[3].clone()]);
    assert_eq!(floats(&batch, "in.x.1"), [Some(0.5), Some(0.5), Some(1.5), None]);
    let y = batch.column_by_name("out.y").expect("y").as_primitive::<Int64Type>();
    assert_eq!(y.iter().collect::<Vec<_>>(), [Some(0), Some(0), Some(1), None]);
    assert_eq!(texts(&batch, "route"), ["direct", "shadow", "shadow", "direct"]);
    assert_eq!(texts(&batch, "status"), ["OK", "OK", "OK", "DEADLINE_EXCEEDED"]);
    assert_eq!(texts(&batch, "error"), ["-", "-", "-", "too late"]);
    assert_eq!(texts(&batch, "span_id")[1], "0000000000000002");
    assert_eq!(texts(&batch, "pair_event_id")[2], EventId(7).to_string());
}

/// They are turned into columns some at a time.
#[test]
fn many_rows_stay_in_order_with_what_is_missing() {
    let (mut records, mut expect) = (Vec::new(), Vec::new());
    for it in 0..70 {
        let mut record = record(hour(1), 1 + it % 3);
        let is_missing = it % 7 == 2;
        if is_missing {
            record.inputs.clear();
        }
        expect.extend((0..record.rows).map(|row| (!is_missing).then_some(row as f32 + 0.5)));
        records.push(record);
    }
    let batch = form(subject("m")).rows(&records, hour(3)).expect("rows");
    assert_eq!(expect.len(), 139);
    assert_eq!(floats(&batch, "in.x.1"), expect);
}

#[test]
fn rows_say_how_the_traffic_has_chosen() {
    let rollout: Arc<str> = "1-2-3".into();
    let drawn = |weight, rollout| Some(Drawn { weight, rollout });
    let of = |drawn, rows| Record { drawn, ..record(hour(1), rows) };
    let check = |records: &[Record], rollouts: &[&str], weights: &[Option<f32>]| {
        let batch = form(subject("m")).rows(records, hour(1)).expect("rows");
        assert_eq!(texts(&batch, "rollout_id"), rollouts);
        assert_eq!(floats(&batch, "traffic_weight"), weights);
    };
    let ours = drawn(0.25, Some(Arc::clone(&rollout)));
    check(&[of(ours.clone(), 2), of(ours.clone(), 1)], &["1-2-3"; 3], &[Some(0.25); 3]);
    check(&[of(None, 2)], &["-"; 2], &[None; 2]);
    let records = [of(None, 1), of(ours, 2), of(drawn(1.0, None), 1)];
    let weights = [None, Some(0.25), Some(0.25), Some(1.0)];
    check(&records, &["-", "1-2-3", "1-2-3", "-"], &weights);
}

#[test]
fn what_is_kept_back_is_not_in_any_column() {
    let mut subject = subject("m");
    subject.signature.inputs.push(spec("user", DType::Bytes, &[Dim::Rows]));
    subject.config.inputs = Some(vec!["user".to_owned()]);
    subject.config.hashed = vec!["user".to_owned()];
    let mut of = form(subject);
    of.key = Some(Key::new(b"secret"));
    let mut record = record(hour(1), 2);
    let users = Tensor::from_strings(&[2], &["ann", "bob"]).expect("fits");
    record.inputs.push(&users);
    record.failure = Some((Kind::Invalid, "ann is no number".to_owned()));
    let batch = of.rows(&[record], hour(1)).expect("rows");
    assert!(batch.column_by_name("in.x.0").is_none());
    assert_eq!(texts(&batch, "error"), ["-", "-"], "it may quote a value");
    let expect = ["ann", "bob"].map(|it| Key::new(b"secret").hash(it.as_bytes()));
    assert_eq!(texts(&batch, "in.user"), expect);
}

#[test]
fn tensors_that_are_no_columns_are_whole_and_cut_where_they_are_long() {
    let mut subject = subject("m");
    subject.signature = Signature {
        inputs: vec![
            spec("t", DType::Int16, &[Dim::Rows, Dim::Free("T".into())]),
            spec("s", DType::Bytes, &[Dim::Rows, Dim::Free("S".into())]),
            spec("h", DType::Fp16, &[Dim::Rows]),
        ],
        outputs: Vec::new(),
    };
    subject.config.value_bytes_max = 8;
    let mut record = record(hour(1), 2);
    let halves: Vec<u8> =
        [1.5_f32, -2.0].iter().flat_map(|it| f16::from_f32(*it).to_le_bytes()).collect();
    record.inputs = [
        Tensor::from_elements(&[2, 3], &[1_i16, 2, 3, 4, 5, 6]).expect("fits"),
        Tensor::from_strings(&[2, 1], &["short", ""]).expect("fits"),
        Tensor::new(DType::Fp16, Shape::new(&[2]).expect("a shape"), halves.into()).expect("fits"),
    ]
    .into();
    let batch = form(subject).rows(&[record], hour(1)).expect("rows");
    let of = |name: &str, field: &str| {
        batch
            .column_by_name(name)
            .expect(name)
            .as_struct()
            .column_by_name(field)
            .expect(field)
            .clone()
    };
    assert_eq!(of("in.t", "data").as_binary::<i32>().value(1), [4, 0, 5, 0, 6, 0]);
    assert_eq!(
        of("in.t", "shape").as_list::<i32>().value(0).as_primitive::<Int64Type>().values()[..],
        [3]
    );
    assert!(!of("in.t", "truncated").as_boolean().value(0));
    // A length of four bytes, then the text.
    assert_eq!(of("in.s", "data").as_binary::<i32>().value(0), b"\x05\0\0\0shor");
    assert!(of("in.s", "truncated").as_boolean().value(0));
    let whole = crate::redact::digest(b"\x05\0\0\0short");
    assert_eq!(of("in.s", "sha256").as_string::<i32>().value(0), whole);
    assert!(of("in.s", "sha256").is_null(1), "it is all there");
    assert_eq!(floats(&batch, "in.h"), [Some(1.5), Some(-2.0)]);
}

#[test]
fn texts_are_cut_between_characters_and_clocks_may_be_anything() {
    assert_eq!((clipped("aé", 2), clipped("aé", 3), clipped("", 9)), ("a", "aé", ""));
    assert_eq!(micros(UNIX_EPOCH - Duration::from_secs(9)), 0);
    assert_eq!(micros(hour(1)), 3_600_000_000);
    let long = [4_294_967_295, 4_294_967_296, u64::MAX].map(Duration::from_micros);
    assert_eq!(long.map(duration), [u32::MAX; 3]);
    assert_eq!(duration(Duration::MAX), u32::MAX);
    assert_eq!(duration(Duration::new(3, 999_999)), 3_000_999);
}

#[test]
fn texts_that_are_cut_are_named_and_have_the_digest_of_what_they_were() {
    let mut subject = subject("m");
    subject.signature.inputs.push(spec("word", DType::Bytes, &[Dim::Rows, Dim::Fixed(2)]));
    subject.signature.outputs.push(spec("said", DType::Bytes, &[Dim::Rows]));
    subject.config.value_bytes_max = 4;
    let texts = |texts: &[&[u8]], dims: &[usize]| Tensor::from_strings(dims, texts).expect("fits");
    let mut first = record(hour(1), 1);
    first.inputs.push(&texts(&[b"four", b"fiver"], &[1, 2]));
    first.outputs.push(&texts(&[b""], &[1]));
    let mut second = record(hour(1), 2);
    second.inputs.push(&texts(&[b"a", b"b", b"a\xff", b"b"], &[2, 2]));
    second.outputs.push(&texts(&[b"all", b"too long"], &[2]));
    let mut third = record(hour(1), 1);
    (third.inputs, third.outputs) = Default::default();
    let batch = form(subject).rows(&[first, second, third], hour(1)).expect("rows");
    assert_eq!(
        texts_of(&batch),
        [
            vec![("in.word.1".to_owned(), crate::redact::digest(b"fiver"))],
            vec![],
            vec![
                ("in.word.0".to_owned(), crate::redact::digest(b"a\xff")),
                ("out.said".to_owned(), crate::redact::digest(b"too long")),
            ],
            vec![],
        ]
    );
    assert_eq!(super::tests::texts(&batch, "in.word.1"), ["five", "b", "b", "-"]);
    let plain = form(crate::fixture::subject("m")).rows(&[record(hour(1), 1)], hour(1));
    assert!(plain.expect("rows").column_by_name("truncated").is_none(), "numbers are never cut");
}

/// Columns and digests of what is marked, row by row.
fn texts_of(batch: &RecordBatch) -> Vec<Vec<(String, String)>> {
    let lists = batch.column_by_name("truncated").expect("marks").as_list::<i32>();
    let row = |row: usize| {
        if lists.is_null(row) {
            return Vec::new();
        }
        let marks = lists.value(row);
        let part = |name: &str| {
            let part = marks.as_struct().column_by_name(name).expect(name).clone();
            part.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        };
        part("column").into_iter().zip(part("sha256")).collect()
    };
    (0..batch.num_rows()).map(row).collect()
}
