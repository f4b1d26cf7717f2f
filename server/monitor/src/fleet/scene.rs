//! What the tests of the fleet's rounds share.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::take::take_record_batch;
use server_base::{FindingKind, ModelName, Version};
use server_feedback::{ParquetSink, Position, Rows, Sink as _};

use super::FolderSource;
use super::follower::{Bounds, Follower, Log, Options, Round};
use super::repository::Repository;
use super::topic::Topic;
use crate::fixture::{self, Heard, Weather};

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const LATENESS_S: u64 = 300;
pub(super) const PLAN: &str = "window_rows = 500\nfalse_alarm_windows = 720\n";

/// A log, a model, and whoever follows them. Rows are one a second from 1970 on.
pub(super) struct Scene {
    root: tempfile::TempDir,
    pub(super) now: Arc<AtomicI64>,
    pub(super) heard: Arc<Heard>,
    /// Where the log is, if it is no folder.
    pub(super) topic: Option<Topic>,
    files: u64,
    pub(super) waiting_bytes_max: usize,
    pub(super) follower: Option<Follower>,
}

impl Scene {
    /// Of 3,000 rows, one a second, that two replicas have logged.
    #[track_caller]
    pub(super) fn counts_replicas_as_one(&mut self) {
        self.start();
        // Rows from 0 to 2,700 have been there long enough.
        self.round(3_000);
        self.check((5, 201));
        let last = self.view()["last"].clone();
        let window = (last["from_s"].as_f64(), last["to_s"].as_f64());
        assert_eq!(window, (Some(2_000.0), Some(2_499.0)));
        self.round(3_150);
        self.check((5, 351));
        self.round(9_000);
        self.check((6, 0));
    }

    pub(super) fn new(plan: &str) -> Scene {
        let root = tempfile::tempdir().expect("scratch");
        let version = root.path().join("models/m/1");
        fs::create_dir_all(&version).expect("made");
        fs::create_dir_all(root.path().join("log")).expect("made");
        let profile = serde_json::to_vec(&fixture::profile(7, 5_000)).expect("JSON");
        fs::write(version.join("profile.json"), profile).expect("written");
        let mut scene = Scene {
            root,
            now: Arc::default(),
            heard: Arc::default(),
            topic: None,
            files: 0,
            waiting_bytes_max: 64 << 20,
            follower: None,
        };
        scene.plan(plan);
        scene
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn plan(&mut self, plan: &str) {
        let text = format!("[log]\n[drift]\n{plan}");
        fs::write(self.path("models/m/model.toml"), text).expect("written");
    }

    /// The model is not watched any more.
    pub(super) fn unwatched(&mut self) {
        fs::write(self.path("models/m/model.toml"), "[log]\n").expect("written");
    }

    /// A version that is being learned is not watched for a round.
    #[track_caller]
    pub(super) fn leaves_and_comes_back(&mut self) {
        let plan = format!("{PLAN}learn_rows = 600\n");
        self.plan(&plan);
        let all = rows(6, 2_000);
        self.put(&all.slice(0, 500));
        self.start();
        self.round(800);
        assert_eq!(self.view()["state"], "learning");
        self.unwatched();
        self.round(810);
        self.put(&all.slice(500, 1_500));
        self.plan(&plan);
        self.round(820);
        self.round(9_000);
        self.check((2, 400));
        self.start();
        self.check((2, 400));
    }

    /// Writes rows as a replica does.
    pub(super) fn put(&mut self, rows: &RecordBatch) {
        self.put_of("m", rows);
    }

    /// The replica was killed before it had written down that its last file is there: what it writes now takes the
    /// place of that.
    pub(super) fn put_anew(&mut self, rows: &RecordBatch) {
        self.files -= 1;
        self.put(rows);
    }

    /// The same as `put`, of that model.
    pub(super) fn put_of(&mut self, model: &str, rows: &RecordBatch) {
        if let Some(topic) = &self.topic {
            return topic.put_of(model, rows);
        }
        let about = [("salver.model", model), ("salver.version", "1")];
        let about = about.map(|(key, it)| (key.to_owned(), it.to_owned()));
        let schema = rows.schema().as_ref().clone().with_metadata(HashMap::from(about));
        let rows = rows.clone().with_schema(Arc::new(schema)).expect("the same columns");
        let mut sink = ParquetSink::new(self.path("log"), "replica").expect("a folder");
        let times = rows.column_by_name("event_time").expect("a time");
        let times = times.as_primitive::<TimestampMicrosecondType>().values().to_vec();
        let mut begin = 0;
        for hour in times.chunk_by(|a, b| a / (3_600 * SECOND) == b / (3_600 * SECOND)) {
            let batch = rows.slice(begin, hour.len());
            let number = u32::try_from(hour[0] / (3_600 * SECOND)).expect("an hour");
            let model = ModelName::new(model).expect("a name");
            sink.write(&Rows { model, version: Version(1), hour: number, batch }).expect("rows");
            begin += hour.len();
        }
        self.files += 1;
        sink.flush(Position { segment: self.files, offset: 0 }, "replica").expect("a file");
    }

    /// The process begins, or the next does after that one was killed.
    pub(super) fn start(&mut self) {
        self.follower = None;
        let follower = Follower::open(self.options(), Arc::default());
        self.follower = Some(follower.expect("it begins"));
    }

    pub(super) fn options(&self) -> Options {
        let now = Arc::clone(&self.now);
        let folder = || Log::Files(Box::new(FolderSource::new(vec![self.path("log")])));
        Options {
            log: self.topic.as_ref().map_or_else(folder, Topic::log),
            repository: Repository::new(vec![self.path("models")], BTreeMap::new()),
            folder: self.path("state"),
            findings: Arc::<Heard>::clone(&self.heard),
            bounds: Bounds {
                lateness: Duration::from_secs(LATENESS_S),
                waiting_bytes_max: self.waiting_bytes_max,
                object_bytes_max: 64 << 20,
                from: Some(-1),
            },
            now: Box::new(move || now.load(Ordering::Relaxed)),
        }
    }

    /// A round at that time.
    pub(super) fn round(&mut self, at_s: i64) {
        self.now.store(at_s * SECOND, Ordering::Relaxed);
        let follower = self.follower.as_mut().expect("it was started");
        assert_eq!(follower.round().expect("a log"), Round::Whole);
    }

    /// Everything is read, and the process is killed before it is written down.
    pub(super) fn killed_in_a_round(&mut self, at_s: i64) {
        self.now.store(at_s * SECOND, Ordering::Relaxed);
        let follower = self.follower.as_mut().expect("it was started");
        follower.look();
        follower.read_new().expect("a log");
        self.start();
    }

    pub(super) fn view(&self) -> serde_json::Value {
        let follower = self.follower.as_ref().expect("it was started");
        let views = follower.monitors().views("m", None);
        views.first().map(|it| it.as_ref().clone()).unwrap_or_default()
    }

    /// Windows, and rows on the way to the next.
    #[track_caller]
    pub(super) fn check(&self, expect: (u64, u64)) {
        let view = self.view();
        let windows = view["last"]["number"].as_u64().unwrap_or(0);
        assert_eq!((windows, view["open"]["rows"].as_u64().unwrap_or(0)), expect, "{view}");
    }

    /// Alarms of drift that were told since it was asked last.
    pub(super) fn alarms(&self) -> usize {
        let told = self.heard.take();
        told.iter().filter(|it| it.is_alarm && it.kind == FindingKind::Drift).count()
    }
}

/// The rows of two replicas, of which each has answered every second request.
pub(super) fn halves(rows: &RecordBatch) -> [RecordBatch; 2] {
    [0, 1].map(|first| {
        let rows_max = u32::try_from(rows.num_rows()).expect("few");
        let own: Vec<u32> = (first..rows_max).step_by(2).collect();
        take_record_batch(rows, &UInt32Array::from(own)).expect("rows")
    })
}

/// Rows that are so many seconds later.
pub(super) fn ahead(rows: &RecordBatch, by_s: i64) -> RecordBatch {
    timed(rows, |it| it + by_s * SECOND)
}

/// Rows with other times.
pub(super) fn timed(rows: &RecordBatch, of: impl Fn(i64) -> i64) -> RecordBatch {
    let (place, field) = rows.schema_ref().column_with_name("event_time").expect("a time");
    let times = rows.column(place).as_primitive::<TimestampMicrosecondType>();
    let times: TimestampMicrosecondArray = times.unary(of);
    let mut columns = rows.columns().to_vec();
    assert_eq!(
        field.data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
    );
    columns[place] = Arc::new(times.with_timezone("+00:00"));
    RecordBatch::try_new(rows.schema(), columns).expect("the same columns")
}

pub(super) fn rows(seed: u64, count: usize) -> RecordBatch {
    fixture::Rows::new(seed).draw(count, Weather::default())
}
