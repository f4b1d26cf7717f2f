//! What a row costs the monitor's thread: `cargo run --release -p server-monitor --example monitor_cost`.
//!
//! Thirty features in single precision, from Arrow batches as the log delivers them to a verdict
//! every 10,000 rows; what writing the state down costs; and a row where every thousand are judged, against
//! a thousand that were learned.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{
    ArrayRef, Float32Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use backend_api::{DType, Dim, Signature, TensorSpec};
use server_base::{Finding, Findings, LogConfig, ModelName, Subject, Version};
use server_drift::profile::{FORMAT, distinct_rows};
use server_drift::random::Random;
use server_drift::{Feature, Kind, Profile, RawMonitorPlan, Role, Source, Values};
use server_feedback::{Disk, Position, Rows, Sink as _};
use server_lifecycle::{Monitors as _, Watched};
use server_monitor::{MonitorSink, Monitors};

const FEATURES: usize = 30;
const ROWS: usize = 200_000;
const ROUNDS: usize = 5;

#[derive(Debug)]
struct Nobody;

impl Findings for Nobody {
    fn found(&self, findings: &[Finding]) -> bool {
        black_box(findings);
        true
    }
}

fn profile(random: &mut Random) -> Result<Profile, Box<dyn Error>> {
    let column = |random: &mut Random| (0..5_000).map(|_| random.normal()).collect();
    let columns: Vec<Values> =
        (0..FEATURES).map(|_| Values::Numbers { values: column(random), whole: false }).collect();
    let mut features = Vec::new();
    for (at, values) in columns.iter().enumerate() {
        let kind = Some(Kind::Numerical);
        features.extend(Feature::of(&format!("x.{at}"), Role::Input, values, kind)?);
    }
    Ok(Profile {
        format: FORMAT,
        model: "m".to_owned(),
        source: Source::Data,
        rows: 5_000,
        distinct_rows: distinct_rows(&columns.iter().collect::<Vec<_>>()),
        features,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "as clients send it")]
fn batch(random: &mut Random, rows: usize, first: usize) -> Result<Rows, Box<dyn Error>> {
    let names = (first..first + rows).map(|it| format!("01901234-5678-7000-8000-{it:012}"));
    let times = (first..first + rows).map(|it| it as i64 * 100);
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("event_id".to_owned(), Arc::new(StringArray::from_iter_values(names))),
        ("row_index".to_owned(), Arc::new(UInt32Array::from(vec![0; rows]))),
        (
            "event_time".to_owned(),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("+00:00")),
        ),
        ("status".to_owned(), Arc::new(StringArray::from(vec!["OK"; rows]))),
        ("sample_reason".to_owned(), Arc::new(StringArray::from(vec!["uniform"; rows]))),
        ("route".to_owned(), Arc::new(StringArray::from(vec!["direct"; rows]))),
    ];
    for at in 0..FEATURES {
        let values: Vec<f32> = (0..rows).map(|_| random.normal() as f32).collect();
        columns.push((format!("in.x.{at}"), Arc::new(Float32Array::from(values))));
    }
    let batch = RecordBatch::try_from_iter(columns)?;
    Ok(Rows { model: ModelName::new("m")?, version: Version(1), hour: 0, batch })
}

fn watched(folder: &std::path::Path, plan: &str) -> Result<Watched, Box<dyn Error>> {
    let spec = TensorSpec {
        name: "x".into(),
        dtype: DType::Fp32,
        dims: vec![Dim::Rows, Dim::Fixed(FEATURES)],
        quantization: None,
    };
    let subject = Subject {
        model: ModelName::new("m")?,
        version: Version(1),
        digest: None,
        signature: Signature { inputs: vec![spec], outputs: Vec::new() },
        config: LogConfig::default(),
        truth: None,
        backend: None,
        source: None,
    };
    let raw: RawMonitorPlan = serde_json::from_str(plan)?;
    let plan = raw.validate().map_err(|it| it.join("; "))?;
    Ok(Watched { subject, folder: folder.to_path_buf(), plan })
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut random = Random::new(1);
    let text = serde_json::to_vec(&profile(&mut random)?)?;
    std::fs::write(folder.path().join("profile.json"), text)?;
    let open = |state: &str| {
        Monitors::open(Arc::new(Disk), &folder.path().join(state), Arc::new(Nobody)).map(Arc::new)
    };
    let monitors = open("monitor")?;
    let _presence = monitors.watch(watched(folder.path(), r#"{"window_rows": 10000}"#)?)?;
    let mut sink = MonitorSink::new(monitors);
    for rows in [16, 64, 1_024] {
        // Different rows, as many as fit the caches of a busy machine as little as real ones.
        let count = ROWS / rows;
        let batches: Result<Vec<Rows>, _> =
            (0..count).map(|it| batch(&mut random, rows, it * rows)).collect();
        let batches = batches?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            for it in &batches {
                sink.write(black_box(it))?;
            }
            times.push(began.elapsed().as_secs_f64() * 1e9 / (count * rows * FEATURES) as f64);
            sink.flush(Position::default(), "log")?;
        }
        times.sort_unstable_by(f64::total_cmp);
        let (best, median) = (times[0], times[ROUNDS / 2]);
        eprintln!("a value, in batches of {rows} rows: best {best:.1} ns, median {median:.1} ns");
    }
    let few = batch(&mut random, 2_000, 0)?;
    sink.write(&few)?;
    let began = Instant::now();
    sink.flush(Position::default(), "log")?;
    eprintln!("writing the state down: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);

    let monitors = open("learned")?;
    let plan = r#"{"window_rows": 1000, "learn_rows": 1000}"#;
    let _presence = monitors.watch(watched(folder.path(), plan)?)?;
    let mut sink = MonitorSink::new(monitors);
    let batches: Result<Vec<Rows>, _> =
        (0..ROWS / 2_000).map(|it| batch(&mut random, 2_000, it * 2_000)).collect();
    let batches = batches?;
    let began = Instant::now();
    for it in &batches {
        sink.write(black_box(it))?;
    }
    let row = began.elapsed().as_secs_f64() * 1e9 / ROWS as f64;
    eprintln!("a row, windows of 1,000: {row:.0} ns");
    sink.flush(Position::default(), "log")?;
    Ok(())
}
