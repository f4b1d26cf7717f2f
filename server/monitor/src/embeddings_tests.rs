use super::*;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float32Array, StructArray};
use arrow_schema::Fields;
use server_base::FindingKind;
use server_drift::profile::FORMAT;
use server_drift::random::Random;
use server_drift::{Feature, Profile, Role, Source};

use crate::columns::Basis;
use crate::fixture::{Rows, Weather, plan};
use crate::monitor::Monitor;
use crate::telling::Untold;
use crate::verdict::Verdict;

const LENGTH: usize = 6;

fn vector(random: &mut Random, shift: f64) -> Vec<f32> {
    (0..LENGTH).map(|_| narrow(random.normal() + shift)).collect()
}

/// How the log holds a vector.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Whole,
    Cut,
    Columns,
}

fn about(hashed: bool) -> HashMap<String, String> {
    let shape = format!("rows,{LENGTH}");
    let mut about = vec![(TENSOR, "pooled"), (SHAPE, shape.as_str()), (DTYPE, "FP32")];
    about.extend(hashed.then_some((HASHED, "true")));
    about.into_iter().map(|(key, it)| (key.to_owned(), it.to_owned())).collect()
}

/// Rows of a log whose model has an embedding as output beside the usual.
fn batch(
    drawn: &mut Rows,
    random: &mut Random,
    rows: usize,
    (shift, held): (f64, Held),
) -> RecordBatch {
    let usual = drawn.draw(rows, Weather::default());
    let vectors: Vec<Vec<f32>> = (0..rows).map(|_| vector(random, shift)).collect();
    let mut fields: Vec<Field> =
        usual.schema().fields().iter().map(|it| it.as_ref().clone()).collect();
    let mut columns: Vec<ArrayRef> = usual.columns().to_vec();
    if held == Held::Columns {
        for at in 0..LENGTH {
            let field = Field::new(format!("out.pooled.{at}"), DataType::Float32, true);
            fields.push(field.with_metadata(about(false)));
            columns.push(Arc::new(vectors.iter().map(|it| Some(it[at])).collect::<Float32Array>()));
        }
    } else {
        let (mut dtype, mut data) = (StringBuilder::new(), BinaryBuilder::new());
        let mut cut = BooleanBuilder::new();
        for it in &vectors {
            dtype.append_value("FP32");
            data.append_value(it.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>());
            cut.append_value(held == Held::Cut);
        }
        let parts = Fields::from(vec![
            Field::new("dtype", DataType::Utf8, false),
            Field::new("data", DataType::Binary, false),
            Field::new("truncated", DataType::Boolean, false),
        ]);
        let of: Vec<ArrayRef> =
            vec![Arc::new(dtype.finish()), Arc::new(data.finish()), Arc::new(cut.finish())];
        let whole = StructArray::try_new(parts.clone(), of, None).expect("parts of one length");
        let field = Field::new("out.pooled", DataType::Struct(parts), true);
        fields.push(field.with_metadata(about(false)));
        columns.push(Arc::new(whole));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}

fn profile() -> Profile {
    let mut random = Random::new(21);
    let mut state = VectorState::new(LENGTH, 256);
    (0..1_000).for_each(|lot| state.add(&vector(&mut random, 0.0), lot));
    let feature = Feature::of_vectors("pooled", Role::Output, &state).expect("vectors");
    let features = vec![feature];
    let (model, source) = ("m".to_owned(), Source::Data);
    Profile { format: FORMAT, model, source, rows: 1_000, distinct_rows: 1_000, features }
}

fn judged(held: Held, shift: f64) -> Verdict {
    let (mut drawn, mut random) = (Rows::new(1), Random::new(2));
    let first = batch(&mut drawn, &mut random, 400, (shift, held));
    let basis = Basis::of(&profile(), &first.schema(), (None, 1)).expect("it matches");
    let plan = plan(r#"{"window_rows": 400, "false_alarm_windows": 720}"#);
    let mut monitor = Monitor::new("m", plan, Some(basis)).expect("a monitor");
    monitor.see(&first, 0).expect("rows of the log").remove(0)
}

#[test]
fn vectors_are_watched_however_the_log_holds_them() {
    for held in [Held::Whole, Held::Columns] {
        let quiet = judged(held, 0.0);
        assert!(!quiet.embeddings.is_alarm && quiet.features[0].judged);
        let drifted = judged(held, 1.0);
        assert!(drifted.embeddings.is_alarm);
        assert!(!drifted.predictions.is_alarm && !drifted.drift.is_alarm, "told by its own kind");
        let found = Untold::of(&drifted);
        let told = |it: &Untold| {
            it.told(&server_base::ModelName::new("m").expect("a name"), server_base::Version(1))
        };
        let found: Vec<_> = found.iter().filter_map(told).collect();
        let embedding = found.iter().find(|it| it.kind == FindingKind::EmbeddingDrift);
        let embedding = embedding.expect("it is told");
        assert_eq!(
            (embedding.is_alarm, embedding.subjects.as_slice()),
            (true, &["out.pooled".to_owned()][..])
        );
        assert!(embedding.text.contains("out.pooled drifted: mmd effect"), "{}", embedding.text);
        let evidence: serde_json::Value = serde_json::from_str(&embedding.evidence).expect("JSON");
        let feature = &evidence["features"][0];
        assert_eq!((&feature["method"], &feature["rows"]), (&"sample".into(), &400.into()));
        let far = feature["mean_euclidean"].as_f64().expect("a number");
        assert!((far - (LENGTH as f64).sqrt()).abs() < 0.2, "one in each of six: {far}");
        assert!(feature["mmd_squared"].as_f64() > Some(0.1), "{feature}");
    }
}

#[test]
fn digests_are_told_and_not_judged() {
    let verdict = judged(Held::Cut, 1.0);
    assert!(!verdict.embeddings.is_alarm && !verdict.is_broken() && !verdict.features[0].judged);
    let note = verdict.features[0].note.as_deref().expect("a note");
    assert_eq!(note, "of 400 rows the log has a digest only: they are longer than max_value_bytes");
}

#[test]
fn what_the_log_cannot_show_is_named() {
    let whole = DataType::Struct(Fields::from(vec![Field::new("data", DataType::Binary, false)]));
    let schema = |kind: &DataType, hashed: bool, kept: &str| {
        let field = Field::new("out.pooled", kind.clone(), true).with_metadata(about(hashed));
        let about = HashMap::from([(VALUE_BYTES_MAX.to_owned(), kept.to_owned())]);
        Schema::new_with_metadata(vec![field], about)
    };
    for (schema, length, steps, expect) in [
        (schema(&whole, false, "24"), LENGTH, 1, ""),
        (
            schema(&whole, false, "23"),
            LENGTH,
            1,
            "out.pooled has 24 bytes a row, of which the log keeps a digest: max_value_bytes is 23",
        ),
        (schema(&DataType::Utf8, true, "24"), LENGTH, 1, "out.pooled is logged as a keyed hash"),
        (schema(&whole, false, "24"), 7, 1, "out.pooled has 6 numbers a row, its reference 7"),
        (schema(&DataType::Utf8, false, "24"), 1, 1, "out.pooled holds no floating-point numbers"),
        (Schema::empty(), LENGTH, 1, "out.pooled is not there"),
    ] {
        let error = check("out.pooled", &schema, (length, steps)).err().unwrap_or_default();
        assert_eq!(error, expect);
    }
}

#[test]
fn vectors_are_learned_where_they_are_named() {
    let learns = r#"{"learn_rows": 500, "embeddings": ["pooled"], "window_rows": 400, "false_alarm_windows": 720}"#;
    for held in [Held::Whole, Held::Columns] {
        let mut monitor = Monitor::new("m", plan(learns), None).expect("a monitor");
        let (mut drawn, mut random) = (Rows::new(3), Random::new(4));
        let mut verdicts = Vec::new();
        for (rows, shift) in [(500, 0.0), (400, 0.0), (400, 1.0)] {
            let batch = batch(&mut drawn, &mut random, rows, (shift, held));
            verdicts.extend(monitor.see(&batch, 0).expect("rows"));
        }
        let names: Vec<&str> =
            monitor.basis().expect("learned").columns.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(names, ["in.x", "in.kind", "out.y", "out.pooled"], "and no column of it alone");
        let alarms: Vec<bool> = verdicts.iter().map(|it| it.embeddings.is_alarm).collect();
        assert_eq!(alarms, [false, true]);
    }
}
