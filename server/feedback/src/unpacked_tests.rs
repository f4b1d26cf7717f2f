use arrow_schema::Schema;
use backend_api::{DType, Dim, Shape, Tensor};

use super::*;
use crate::fixture;
use crate::jsonlines::lines;
use crate::manifest::{columns_of, manifest};
use crate::sink::Rows;

/// Rows of columns of every kind.
fn rows() -> Rows {
    let mut subject = fixture::subject("m");
    let kinds = [DType::Bool, DType::Uint64, DType::Fp32, DType::Fp64, DType::Bytes, DType::Fp16];
    subject.signature.inputs = kinds
        .iter()
        .map(|it| fixture::spec(it.name(), *it, &[Dim::Rows]))
        .chain([fixture::spec("free", DType::Fp32, &[Dim::Rows, Dim::Free("n".into())])])
        .collect();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(1_795_300_000_123_457);
    let mut record = fixture::record(time, 2);
    let pair = Shape::new(&[2]).expect("two");
    let half = [half::f16::from_f32(0.1), half::f16::MAX];
    let bytes: Vec<u8> = half.iter().flat_map(|it| it.to_le_bytes()).collect();
    record.inputs = [
        Tensor::new(DType::Bool, pair.clone(), vec![1, 0].into()),
        Tensor::from_elements(&[2], &[u64::MAX, 9_007_199_254_740_993]),
        Tensor::from_elements(&[2], &[0.1_f32, f32::MIN_POSITIVE]),
        Tensor::from_elements(&[2], &[0.1_f64, 1e300]),
        Tensor::from_strings(&[2], &["ö\"\n", ""]),
        Tensor::new(DType::Fp16, pair.clone(), bytes.into()),
        Tensor::from_elements(&[2, 3], &[1.0_f32, f32::NAN, -0.0, 1.0, 2.0, 3.0]),
    ]
    .map(|it| it.expect("fits"))
    .into_iter()
    .collect();
    let form = fixture::form(subject.clone());
    let batch = form.rows(&[record], time).expect("rows");
    Rows { model: subject.model, version: subject.version, hour: 0, batch }
}

fn values(lines: &[u8]) -> Vec<&[u8]> {
    lines.split(|it| *it == b'\n').filter(|it| !it.is_empty()).collect()
}

#[test]
fn rows_come_out_as_they_went_in() {
    let rows = rows();
    let schema = columns_of(&manifest(&rows.batch.schema())).expect("columns");
    let lines = lines(&rows).expect("lines");
    let (batches, wrong, why) = rows_of(&schema, &values(&lines)).expect("rows");
    assert_eq!((wrong, why), (0, None));
    // What the schema says of the version beside columns is not in a message.
    let expect =
        RecordBatch::try_new(schema, rows.batch.columns().to_vec()).expect("the same columns");
    assert_eq!(batches, [expect]);
}

#[test]
fn what_is_no_row_costs_no_other() {
    let all = fixture::rows("m", 480_000, 3);
    let schema = all.batch.schema();
    let lines = lines(&all).expect("lines");
    let good = values(&lines);
    let names = [0, 2, 18].map(|it| schema.field(it).clone());
    let schema = Arc::new(Schema::new(names.to_vec()));
    let expect = all.batch.project(&[0, 2, 18]).expect("columns");
    let whole = rows_of(&schema, &good).expect("rows");
    assert_eq!(whole.0.len(), 1);
    assert_eq!(whole.0[0].columns(), expect.columns());
    for bad in [
        "",
        "no JSON",
        "{\"event_id\":\"x\",",
        "{}",
        "[]",
        "{\"event_id\":\"x\",\"row_index\":\"y\"}",
        "{\"event_id\":\"x\",\"row_index\":-1}",
        "{\"event_id\":\"x\",\"row_index\":0}{\"event_id\":\"x\",\"row_index\":0}",
        "{\"event_id\":\"x\",\"row_index\":0}trailing",
    ] {
        let mixed = [good[0], bad.as_bytes(), good[1], good[2]];
        let (batches, wrong, why) = rows_of(&schema, &mixed).expect("the others");
        assert_eq!((wrong, why.is_some()), (1, true), "{bad}");
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 3, "{bad}");
    }
}

#[test]
fn two_rows_in_one_value_do_not_make_up_for_none_in_another() {
    let all = fixture::rows("m", 480_000, 3);
    let lines = lines(&all).expect("lines");
    let good = values(&lines);
    let schema = columns_of(&manifest(&all.batch.schema())).expect("columns");
    let both = [good[0], good[1]].concat();
    for empty in ["", "  ", "\n"] {
        let mixed = [both.as_slice(), empty.as_bytes(), good[2]];
        let (batches, wrong, why) = rows_of(&schema, &mixed).expect("the other");
        assert_eq!((wrong, why.is_some()), (2, true), "{empty:?}");
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 1, "{empty:?}");
    }
}
