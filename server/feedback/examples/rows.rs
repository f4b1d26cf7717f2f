//! How many rows of 30 features a second the log takes, stage by stage, on one core each.
//!
//! `cargo run --release -p server-feedback --example rows`

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use backend_api::{DType, Dim, Signature, Tensor, TensorSpec};
use server_base::{
    EventId, LogConfig, ModelName, PredictionLog as _, Protocol, Reason, Record, Route, Subject,
    Timing, Version, VersionLog,
};
use server_feedback::{LeftOut, Log, Options, ParquetSink, Rows, Sink};
use smallvec::smallvec;

const FEATURES: usize = 30;

/// Records of a group, each of one row, as a tabular model gets them.
const GROUP: usize = 8_192;

const GROUPS: usize = 64;

/// Keeps what it is given, to be written by another.
struct Keep(std::sync::mpsc::SyncSender<Rows>);

impl Sink for Keep {
    fn name(&self) -> &'static str {
        "keep"
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.0.send(rows.clone()).map_err(io::Error::other)
    }

    fn flush(&mut self, _: server_feedback::Position, _: &str) -> io::Result<LeftOut> {
        Ok(LeftOut::default())
    }

    fn reset(&mut self) {}

    fn is_full(&self) -> bool {
        false
    }
}

/// Parquet files, and how many rows are in those that are done.
struct Counted {
    files: ParquetSink,
    rows: usize,
    done: Arc<AtomicUsize>,
}

impl Sink for Counted {
    fn name(&self) -> &'static str {
        self.files.name()
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.rows += rows.batch.num_rows();
        self.files.write(rows)
    }

    fn flush(&mut self, from: server_feedback::Position, of: &str) -> io::Result<LeftOut> {
        let left_out = self.files.flush(from, of)?;
        self.done.fetch_add(std::mem::take(&mut self.rows), Ordering::Relaxed);
        Ok(left_out)
    }

    fn reset(&mut self) {
        self.files.reset();
    }

    fn is_full(&self) -> bool {
        self.files.is_full()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    stages()?;
    whole()
}

fn options(folder: &Path) -> Options {
    Options {
        folder: folder.join("wal"),
        queue_bytes_max: 64 << 20,
        disk_bytes_max: 16 << 30,
        roll: Duration::from_secs(1),
        host: "here".to_owned(),
        key: None,
        give_way: || {},
    }
}

/// What all threads of the log take of processors, from records to files.
fn whole() -> Result<(), Box<dyn std::error::Error>> {
    let (folder, done) = (tempfile::tempdir()?, Arc::new(AtomicUsize::new(0)));
    let sinks = |name: &str| -> io::Result<Vec<Box<dyn Sink>>> {
        let files = ParquetSink::new(folder.path().join("parquet"), name)?;
        Ok(vec![Box::new(Counted { files, rows: 0, done: Arc::clone(&done) })])
    };
    let log = Log::start(options(folder.path()), &sinks)?;
    let version = log.open(subject()?)?;
    let records: Vec<Record> = (0..GROUP).map(record).collect();
    for _ in 0..GROUPS {
        let (last, others) = records.split_last().ok_or("no records")?;
        others.iter().for_each(|it| version.offer(it));
        wait(&version, last);
    }
    let rows = GROUP * GROUPS;
    while done.load(Ordering::Relaxed) < rows {
        thread::sleep(Duration::from_millis(10));
    }
    show("records to Parquet, of a processor, all threads of the log", rows, taken()?);
    log.stop(Instant::now() + Duration::from_secs(60));
    Ok(())
}

/// What the log's threads have taken of processors, to a hundredth of a second.
fn taken() -> io::Result<Duration> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc/self/task")? {
        let about = fs::read_to_string(entry?.path().join("stat"))?;
        let Some((name, fields)) = about.rsplit_once(") ") else { continue };
        if name.split_once('(').is_some_and(|it| it.1.starts_with("log")) {
            let times = fields.split(' ').skip(11).take(2);
            ticks += times.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(Duration::from_millis(10 * ticks))
}

fn stages() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let options = Options { roll: Duration::from_secs(3_600), ..options(folder.path()) };
    let (keep, kept) = std::sync::mpsc::sync_channel(GROUPS * 64);
    let sinks =
        |_: &str| -> io::Result<Vec<Box<dyn Sink>>> { Ok(vec![Box::new(Keep(keep.clone()))]) };
    let log = Log::start(options, &sinks)?;
    let version = log.open(subject()?)?;

    let (mut offering, mut logged) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..GROUPS {
        let records: Vec<Record> = (0..GROUP).map(record).collect();
        let began = Instant::now();
        let mut last = None;
        for (n, record) in records.into_iter().enumerate() {
            if n + 1 < GROUP {
                version.offer(&record);
            } else {
                last = Some(record);
            }
        }
        offering += began.elapsed();
        let began = Instant::now();
        if let Some(record) = last {
            wait(&version, &record);
        }
        logged += began.elapsed();
    }
    log.stop(Instant::now() + Duration::from_secs(60));
    let rows = GROUP * GROUPS;
    show("offer, on the request's thread", rows, offering);
    show("rows, segment and sync, on the log's thread", rows, logged);

    let kept: Vec<Rows> = kept.try_iter().collect();
    let written: usize = kept.iter().map(|it| it.batch.num_rows()).sum();
    let parquet = folder.path().join("parquet");
    let mut sink = ParquetSink::new(parquet.clone(), "bench")?;
    let began = Instant::now();
    for rows in &kept {
        sink.write(rows)?;
    }
    sink.flush(server_feedback::Position::default(), "bench")?;
    show("Parquet, on the sink's thread", written, began.elapsed());
    println!("{:>9.1} bytes a row in Parquet", size(&parquet)? as f64 / written as f64);
    Ok(())
}

fn show(what: &str, rows: usize, took: Duration) {
    let rate = rows as f64 / took.as_secs_f64();
    println!("{rate:>12.0} rows/s  {:>7.0} ns a row  {what}", 1e9 / rate);
}

fn size(folder: &std::path::Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { size(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}

/// Until everything before it is on the disk too.
fn wait(version: &Arc<dyn VersionLog>, record: &Record) {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    version.commit(
        record,
        Box::new(move |it| {
            let _ = tell.send(it);
        }),
    );
    let _ = told.recv();
}

fn subject() -> Result<Subject, Box<dyn std::error::Error>> {
    let spec = |name: &str, dtype, dims: &[Dim]| TensorSpec {
        name: name.into(),
        dtype,
        dims: dims.to_vec(),
        quantization: None,
    };
    let inputs = vec![spec("x", DType::Fp32, &[Dim::Rows, Dim::Fixed(FEATURES)])];
    let outputs = vec![
        spec("label", DType::Int64, &[Dim::Rows]),
        spec("probabilities", DType::Fp32, &[Dim::Rows, Dim::Fixed(2)]),
    ];
    Ok(Subject {
        model: ModelName::new("bench")?,
        version: Version(1),
        digest: Some("0123456789abcdef".repeat(4)),
        signature: Signature { inputs, outputs },
        config: LogConfig::default(),
        truth: None,
        backend: None,
        source: None,
    })
}

fn record(seed: usize) -> Record {
    let time = SystemTime::now();
    let x: Vec<f32> =
        (0..FEATURES).map(|it| ((seed * 31 + it * 17) % 9_973) as f32 * 0.37).collect();
    let tensor = |it: Result<Tensor, _>| {
        it.unwrap_or_else(|_| Tensor::zeroed(DType::Fp32, backend_api::Shape::default()))
    };
    Record {
        event: EventId::new(time),
        request_id: smallvec![],
        trace: None,
        time,
        protocol: Protocol::Grpc,
        route: Route::Direct,
        inputs: [tensor(Tensor::from_elements(&[1, FEATURES], &x))].into(),
        held: 0,
        outputs: [
            tensor(Tensor::from_elements(&[1], &[(seed % 2) as i64])),
            tensor(Tensor::from_elements(&[1, 2], &[0.25_f32, 0.75])),
        ]
        .into(),
        rows: 1,
        failure: None,
        timing: Timing { batch_rows: 1, ..Timing::default() },
        latency: Duration::from_micros(200),
        probability: 1.0,
        reason: Reason::Uniform,
        pair: None,
        drawn: None,
    }
}
