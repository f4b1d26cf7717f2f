use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::{Float32Array, Int64Array};

use super::*;

fn field(name: &str, (tensor, dtype, shape): (&str, &str, &str), kind: &DataType) -> Field {
    let about = [(TENSOR, tensor), (DTYPE, dtype), (SHAPE, shape)];
    let about: HashMap<String, String> =
        about.into_iter().map(|(key, it)| (key.to_owned(), it.to_owned())).collect();
    Field::new(name, kind.clone(), true).with_metadata(about)
}

/// Rows `a` to `d`: one counts, one was slow, one failed, one was asked before.
fn batch(outputs: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let text = |words: [&str; 4]| -> ArrayRef { Arc::new(StringArray::from(words.to_vec())) };
    let times = TimestampMicrosecondArray::from(vec![7; 4]).with_timezone("+00:00");
    let mut columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new("request_id", DataType::Utf8, false), text(["a", "b", "c", "d"])),
        (
            Field::new("row_index", DataType::UInt32, false),
            Arc::new(UInt32Array::from(vec![0, 1, 2, 3])),
        ),
        (Field::new("event_time", times.data_type().clone(), false), Arc::new(times)),
        (Field::new("status", DataType::Utf8, false), text(["OK", "OK", "INTERNAL", "OK"])),
        (
            Field::new("sample_reason", DataType::Utf8, false),
            text(["uniform", "slow", "uniform", "uniform"]),
        ),
        (
            Field::new("route", DataType::Utf8, false),
            text(["direct", "direct", "direct", "replay"]),
        ),
    ];
    columns.extend(outputs);
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}

/// Names and numbers of what is handed on.
fn read(batch: &RecordBatch, output: &str) -> Vec<(String, u32, Vec<f64>)> {
    let mut found = Vec::new();
    let all = each(batch, output, |answers| {
        let width = answers.tensor.shape().elements() / answers.rows.len().max(1);
        let singles =
            answers.tensor.view::<f32>().map(|it| it.iter().map(|it| f64::from(*it)).collect());
        let numbers: Vec<f64> =
            singles.unwrap_or_else(|| answers.tensor.view::<f64>().expect("doubles").to_vec());
        for ((id, row, time), numbers) in answers.rows.iter().zip(numbers.chunks(width)) {
            assert_eq!(*time, 7);
            found.push(((*id).to_owned(), *row, numbers.to_vec()));
        }
    });
    all.expect("columns that say who a row is");
    found
}

#[test]
fn rows_that_count_are_put_together() {
    let about = ("p", "FP32", "rows,2");
    let column = |first: f32| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values((0_u8..4).map(|it| first + f32::from(it))))
    };
    let batch = batch(vec![
        (field("out.cat", about, &DataType::Float32), column(0.25)),
        (field("out.dog", about, &DataType::Float32), column(0.5)),
        (field("in.p", about, &DataType::Float32), column(9.0)),
        (
            field("out.n", ("n", "INT64", "rows"), &DataType::Int64),
            Arc::new(Int64Array::from(vec![5; 4])),
        ),
    ]);
    let model = ModelName::new("m").expect("a name");
    let outputs = subject(&model, Version(1), &batch.schema()).signature.outputs;
    let shown: Vec<String> = outputs.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 2, "an input is none: {shown:?}");
    assert_eq!(outputs[0].dims, [Dim::Rows, Dim::Fixed(2)]);
    let wanted = |it: &str| is_wanted(&batch.schema(), "p", it);
    assert!(wanted("out.dog") && wanted("request_id") && !wanted("in.p") && !wanted("out.n"));
    // `in.p` is not read from a file.
    let batch = batch.project(&[0, 1, 2, 3, 4, 5, 6, 7, 9]).expect("columns");
    assert_eq!(read(&batch, "p"), [("a".to_owned(), 0, vec![0.25, 0.5])]);
    assert_eq!(read(&batch, "n"), [("a".to_owned(), 0, vec![5.0])]);
    assert_eq!(read(&batch, "z"), []);
}

#[test]
fn what_is_logged_as_one_value_is_read_too() {
    let mut dtype = StringBuilder::new();
    let (mut data, mut cut) = (BinaryBuilder::new(), BooleanBuilder::new());
    for value in [1.0_f32, 2.0, 3.0, 4.0] {
        dtype.append_value("FP32");
        data.append_value([value, 0.5].into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>());
        cut.append_value(value > 2.0);
    }
    let parts: Vec<(&str, ArrayRef)> = vec![
        ("dtype", Arc::new(dtype.finish())),
        ("data", Arc::new(data.finish())),
        ("truncated", Arc::new(cut.finish())),
    ];
    let whole = StructArray::try_from(parts).expect("a struct");
    let about = ("p", "FP32", "rows,");
    let field = field("out.p", about, whole.data_type());
    let batch = batch(vec![(field, Arc::new(whole))]);
    assert_eq!(read(&batch, "p"), [("a".to_owned(), 0, vec![1.0, 0.5])]);
}
