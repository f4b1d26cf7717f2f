//! Processes that are killed while they log: whatever was told to be durable is delivered by a later one.
//!
//! The test runs itself as the process to be killed. `SALVER_CRASH_ROUNDS` says how often.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, UInt32Type};
use backend_api::{DType, Dim, Signature, Tensor, TensorSpec};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use server_base::{
    EventId, LogConfig, ModelName, PredictionLog as _, Protocol, Reason, Record, Route, Subject,
    Timing, Version, VersionLog,
};
use server_feedback::{Log, Options, ParquetSink, Sink};
use smallvec::smallvec;

/// Rounds where nothing is said.
const ROUNDS: u32 = 12;

/// Where the child logs. It is a test that does nothing in any other process.
const FOLDER: &str = "SALVER_CRASH_FOLDER";

#[expect(clippy::disallowed_methods, reason = "how the test speaks to itself")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn start(folder: &Path) -> (Arc<Log>, Arc<dyn VersionLog>) {
    let options = Options {
        folder: folder.join("wal"),
        queue_bytes_max: 16 << 20,
        // Segments of a few hundred KiB, so that they are left behind and deleted all the time.
        disk_bytes_max: 8 << 20,
        roll: Duration::from_millis(10),
        host: "here".to_owned(),
        key: None,
        give_way: || {},
    };
    let sinks = |log: &str| -> io::Result<Vec<Box<dyn Sink>>> {
        Ok(vec![Box::new(ParquetSink::new(folder.join("parquet"), log)?)])
    };
    let log = Log::start(options, &sinks).expect("starts");
    let spec = |name: &str, dims: &[Dim]| TensorSpec {
        name: name.into(),
        dtype: DType::Fp32,
        dims: dims.to_vec(),
        quantization: None,
    };
    let subject = Subject {
        model: ModelName::new("m").expect("a name"),
        version: Version(1),
        digest: None,
        signature: Signature { inputs: vec![spec("x", &[Dim::Rows])], outputs: Vec::new() },
        config: LogConfig::default(),
        truth: None,
        backend: None,
        source: None,
    };
    let version = log.open(subject).expect("opens");
    (log, version)
}

fn record(value: f32) -> Record {
    let time = SystemTime::now();
    Record {
        event: EventId::new(time),
        request_id: smallvec![],
        trace: None,
        time,
        protocol: Protocol::Grpc,
        route: Route::Direct,
        inputs: [Tensor::from_elements(&[2], &[value, value]).expect("fits")].into(),
        held: 0,
        outputs: [].into(),
        rows: 2,
        failure: None,
        timing: Timing::default(),
        latency: Duration::ZERO,
        probability: 1.0,
        reason: Reason::Uniform,
        pair: None,
        drawn: None,
    }
}

/// Logs until it is killed, and says what is durable once it has been told so.
#[test]
fn child() {
    let Some(folder) = variable(FOLDER) else { return };
    let (_log, version) = start(Path::new(&folder));
    let (tell, told) = std::sync::mpsc::sync_channel(64);
    let mut out = io::stdout().lock();
    for n in 0_u32.. {
        let record = record(n as f32);
        let (event, tell) = (record.event, tell.clone());
        let done = move |result: Result<(), _>| {
            let _ = tell.send((event, result.is_ok()));
        };
        version.commit(&record, Box::new(done));
        // A few dozen wait at a time, as requests would.
        for (event, durable) in told.iter().take(usize::from(n >= 32)) {
            if durable {
                let _ = writeln!(out, "durable {event}");
                let _ = out.flush();
            }
        }
    }
}

/// Runs a child and kills it after it has told of so many; returns what it has told.
fn round(folder: &Path, after: usize) -> BTreeSet<String> {
    let mut child = Command::new(std::env::current_exe().expect("itself"))
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut told = BTreeSet::new();
    for line in lines.map_while(Result::ok) {
        // The harness writes to the same line before the first.
        if let Some((_, event)) = line.split_once("durable ").filter(|(_, it)| it.len() == 36) {
            told.insert(event.to_owned());
        }
        if told.len() == after {
            child.kill().expect("it was there"); // SIGKILL
        }
    }
    child.wait().expect("ended");
    assert!(told.len() >= after, "the child ended by itself");
    told
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|it| it.expect("an entry").path());
    let hidden =
        |it: &PathBuf| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.'));
    let seen = entries.filter(|it| !hidden(it));
    seen.flat_map(|it| if it.is_dir() { files(&it) } else { vec![it] }).collect()
}

/// Values by event and row; more than one where a row was delivered again.
fn delivered(folder: &Path) -> BTreeMap<(String, u32), Vec<f32>> {
    let mut rows: BTreeMap<(String, u32), Vec<f32>> = BTreeMap::new();
    for path in files(&folder.join("parquet")) {
        let file = File::open(&path).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("whole").build();
        for batch in reader.expect("a reader") {
            let batch = batch.expect("rows");
            let column = |name: &str| batch.column_by_name(name).expect("a column").clone();
            let (events, x) = (column("event_id"), column("in.x"));
            let index = column("row_index");
            let index = index.as_primitive::<UInt32Type>().values();
            let values = x.as_primitive::<Float32Type>().values();
            for ((event, row), value) in
                events.as_string::<i32>().iter().flatten().zip(index).zip(values)
            {
                rows.entry((event.to_owned(), *row)).or_default().push(*value);
            }
        }
    }
    rows
}

#[test]
fn what_was_told_durable_outlives_the_process() {
    let rounds = variable("SALVER_CRASH_ROUNDS").and_then(|it| it.parse().ok()).unwrap_or(ROUNDS);
    let scratch = tempfile::tempdir().expect("scratch");
    let folder = scratch.path();
    let mut told = BTreeSet::new();
    let mut seed = 0x9e37_79b9_u32;
    for _ in 0..rounds {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        told.extend(round(folder, 1 + (seed >> 22) as usize));
    }
    let (log, _version) = start(folder);
    assert!(log.stop(Instant::now() + Duration::from_secs(60)), "all is delivered");
    let delivered = delivered(folder);
    let lost = told.iter().filter(|it| !delivered.contains_key(&((*it).clone(), 1))).count();
    assert_eq!(lost, 0, "of {}", told.len());
    for (key, values) in &delivered {
        assert!(values.iter().all(|it| it == &values[0]), "{key:?} is two rows");
    }
    let again = delivered.values().filter(|it| it.len() > 1).count();
    println!(
        "{rounds} kills, {} told durable, {} rows, {again} twice",
        told.len(),
        delivered.len()
    );
}
