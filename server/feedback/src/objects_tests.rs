use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Float32Array, Float64Array, Int8Array, UInt64Array};
use arrow_json::LineDelimitedWriter;
use backend_api::{DType, Dim, Tensor};
use serde_json::Value;
use server_base::Trace;

use super::*;
use crate::fixture::{form, hour, record, spec, subject};

/// As Arrow's own writer has them.
fn expected(batch: &RecordBatch) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut lines);
    writer.write(batch).and_then(|()| writer.finish()).expect("written");
    parsed(&lines)
}

fn parsed(lines: &[u8]) -> Vec<Value> {
    let line = |it: &[u8]| serde_json::from_slice(it).expect("JSON");
    lines.split(|it| *it == b'\n').filter(|it| !it.is_empty()).map(line).collect()
}

/// Times are numbers of Arrow's own digits there, and six here.
fn same_times(values: &mut [Value]) {
    for name in ["event_time", "log_time"] {
        for value in values.iter_mut() {
            if let Some(Value::String(it)) = value.get_mut(name) {
                let (seconds, _) = it.split_once(['.', 'Z']).expect("a time");
                *it = seconds.to_owned();
            }
        }
    }
}

#[track_caller]
fn check(batch: &RecordBatch) {
    let (mut ours, mut arrows) = (parsed(&objects(batch).expect("written")), expected(batch));
    same_times(&mut ours);
    same_times(&mut arrows);
    assert_eq!(ours, arrows);
}

#[test]
fn rows_are_as_arrow_writes_them() {
    let mut subject = subject("m");
    subject.signature.inputs.push(spec("text", DType::Bytes, &[Dim::Rows]));
    // Too wide for columns: whole.
    subject.signature.inputs.push(spec("image", DType::Fp32, &[Dim::Rows, Dim::Fixed(2_000)]));
    let mut first = record(hour(1), 2);
    first.trace = Some(Trace { trace: 1, span: 2 });
    let texts = ["a\"b\\\n\u{1}é\u{1f600}", ""];
    first.inputs.push(&Tensor::from_strings(&[2], &texts).expect("fits"));
    let image: Vec<f32> = (0..4_000).map(|it| it as f32).collect();
    first.inputs.push(&Tensor::from_elements(&[2, 2_000], &image).expect("fits"));
    let mut second = first.clone();
    second.outputs.clear();
    let batch = form(subject).rows(&[first, second], hour(2)).expect("rows");
    assert!(batch.schema().fields().iter().any(|it| matches!(it.data_type(), DataType::Struct(_))));
    check(&batch);
}

#[test]
fn numbers_are_exact_or_null() {
    let singles =
        [0.1, -0.0, f32::MIN_POSITIVE, f32::MAX, 1e-45, f32::NAN, f32::INFINITY, 16_777_217.0];
    let doubles =
        [0.1, -1e300, f64::MIN_POSITIVE, f64::MAX, 5e-324, f64::NAN, f64::NEG_INFINITY, 1e15];
    let columns: [(&str, ArrayRef); 5] = [
        ("single", Arc::new(Float32Array::from(singles.to_vec()))),
        ("double", Arc::new(Float64Array::from(doubles.to_vec()))),
        ("large", Arc::new(UInt64Array::from(vec![u64::MAX; 8]))),
        (
            "small",
            Arc::new(Int8Array::from(
                (0..8).map(|it| (it != 3).then_some(it - 4)).collect::<Vec<_>>(),
            )),
        ),
        ("bytes", Arc::new(BinaryArray::from(vec![&b"\x00\xff\x0a"[..]; 8]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    check(&batch);
    let lines = String::from_utf8(objects(&batch).expect("written")).expect("text");
    let of = |name: &str| -> Vec<Value> {
        let line = |it| serde_json::from_str::<Value>(it).expect("JSON")[name].take();
        lines.lines().map(line).collect()
    };
    let read: Vec<_> = of("double").iter().map(Value::as_f64).collect();
    assert_eq!(read, doubles.map(|it| it.is_finite().then_some(it)));
    let single = |it| serde_json::from_value::<Option<f32>>(it).expect("a number or null");
    let read: Vec<_> = of("single").into_iter().map(single).collect();
    assert_eq!(read, singles.map(|it| it.is_finite().then_some(it)));
    assert!(
        lines.lines().nth(3).is_some_and(|it| !it.contains("small")),
        "null is left out: {lines}"
    );
}

#[test]
fn rows_of_nothing_are_empty_objects() {
    let nulls: ArrayRef = Arc::new(Int8Array::from(vec![None, None]));
    let batch = RecordBatch::try_from_iter([("a", nulls)]).expect("a batch");
    assert_eq!(objects(&batch).expect("written"), b"{}\n{}\n");
}

#[test]
fn other_types_are_refused_in_words() {
    let halves: ArrayRef = Arc::new(arrow_array::Float16Array::from(vec![half::f16::ONE]));
    let batch = RecordBatch::try_from_iter([("a", halves)]).expect("a batch");
    let error = objects(&batch).expect_err("no such column");
    assert_eq!(error.to_string(), "the log has no columns of Float16");
}
