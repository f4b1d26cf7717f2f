use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use server_base::FindingKind;
use server_feedback::{ParquetSink, Position, Rows, Sink as _};

use super::super::source::FolderSource;
use super::*;
use crate::fixture::{self, Heard, Weather};

const SECOND: i64 = 1_000_000;
const LATENESS_S: u64 = 300;
const PLAN: &str = "window_rows = 500\nfalse_alarm_windows = 720\n";

/// A log in a folder, a model, and whoever follows them. Rows are one a second from 1970 on.
struct Scene {
    root: tempfile::TempDir,
    now: Arc<AtomicI64>,
    heard: Arc<Heard>,
    files: u64,
    waiting_bytes_max: usize,
    follower: Option<Follower>,
}

impl Scene {
    fn new(plan: &str) -> Scene {
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
            files: 0,
            waiting_bytes_max: 64 << 20,
            follower: None,
        };
        scene.plan(plan);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn plan(&mut self, plan: &str) {
        let text = format!("[log]\n[drift]\n{plan}");
        fs::write(self.path("models/m/model.toml"), text).expect("written");
    }

    /// Writes rows as a replica does.
    fn put(&mut self, rows: &RecordBatch) {
        let about = [("salver.model", "m"), ("salver.version", "1")];
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
            let model = ModelName::new("m").expect("a name");
            sink.write(&Rows { model, version: Version(1), hour: number, batch }).expect("rows");
            begin += hour.len();
        }
        self.files += 1;
        sink.flush(Position { segment: self.files, offset: 0 }, "replica").expect("a file");
    }

    /// The process begins, or the next does after that one was killed.
    fn start(&mut self) {
        self.follower = None;
        let now = Arc::clone(&self.now);
        let options = Options {
            source: Box::new(FolderSource::new(vec![self.path("log")])),
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
        };
        let follower = Follower::open(options, Arc::default());
        self.follower = Some(follower.expect("it begins"));
    }

    /// A round at that time.
    fn round(&mut self, at_s: i64) {
        self.now.store(at_s * SECOND, Ordering::Relaxed);
        let follower = self.follower.as_mut().expect("it was started");
        assert_eq!(follower.round().expect("a folder"), Round::Whole);
    }

    /// Everything is read, and the process is killed before it is written down.
    fn killed_in_a_round(&mut self, at_s: i64) {
        self.now.store(at_s * SECOND, Ordering::Relaxed);
        let follower = self.follower.as_mut().expect("it was started");
        follower.look();
        follower.follow(0).expect("a folder");
        self.start();
    }

    fn view(&self) -> serde_json::Value {
        let follower = self.follower.as_ref().expect("it was started");
        let views = follower.monitors().views("m", None);
        views.first().map(|it| it.as_ref().clone()).unwrap_or_default()
    }

    /// Windows, and rows on the way to the next.
    #[track_caller]
    fn check(&self, expect: (u64, u64)) {
        let view = self.view();
        let windows = view["last"]["number"].as_u64().unwrap_or(0);
        assert_eq!((windows, view["open"]["rows"].as_u64().unwrap_or(0)), expect, "{view}");
    }

    /// Alarms of drift that were told since it was asked last.
    fn alarms(&self) -> usize {
        let told = self.heard.take();
        told.iter().filter(|it| it.is_alarm && it.kind == FindingKind::Drift).count()
    }
}

/// The rows of two replicas, of which each has answered every second request.
fn halves(rows: &RecordBatch) -> [RecordBatch; 2] {
    [0, 1].map(|first| {
        let rows_max = u32::try_from(rows.num_rows()).expect("few");
        let own: Vec<u32> = (first..rows_max).step_by(2).collect();
        take_record_batch(rows, &UInt32Array::from(own)).expect("rows")
    })
}

fn rows(seed: u64, count: usize) -> RecordBatch {
    fixture::Rows::new(seed).draw(count, Weather::default())
}

#[test]
fn rows_of_replicas_are_counted_in_one_window() {
    let mut scene = Scene::new(PLAN);
    let all = rows(1, 3_000);
    for it in halves(&all) {
        scene.put(&it);
    }
    scene.start();
    // Rows from 0 to 2,700 have been there long enough.
    scene.round(3_000);
    scene.check((5, 201));
    let last = scene.view()["last"].clone();
    assert_eq!((last["from_s"].as_f64(), last["to_s"].as_f64()), (Some(2_000.0), Some(2_499.0)));
    scene.round(3_150);
    scene.check((5, 351));
    scene.round(9_000);
    scene.check((6, 0));
}

#[test]
fn a_file_that_comes_late_counts_within_the_lateness() {
    let mut scene = Scene::new(PLAN);
    let [a, b] = halves(&rows(2, 1_000));
    scene.put(&a);
    scene.start();
    scene.round(700);
    scene.check((0, 201));
    // Of the rows of the other replica those up to 400 have missed their turn: 1, 3, .. 399.
    scene.put(&b);
    scene.round(5_000);
    scene.check((1, 300));
}

#[test]
fn a_file_that_is_delivered_twice_counts_once() {
    let mut scene = Scene::new(PLAN);
    let all = rows(3, 1_200);
    scene.put(&all.slice(0, 700));
    // Delivered again under another name, with more in it.
    scene.put(&all);
    scene.start();
    scene.round(500);
    scene.check((0, 201));
    scene.put(&all.slice(100, 900));
    scene.round(5_000);
    scene.check((2, 200));
}

#[test]
fn a_killed_process_neither_loses_nor_doubles_rows() {
    let mut scene = Scene::new(PLAN);
    let all = rows(4, 9_000);
    scene.start();
    let mut counted = 0;
    for (n, begin) in (0..9_000).step_by(500).enumerate() {
        let [a, b] = halves(&all.slice(begin, 500));
        scene.put(&a);
        scene.put(&b);
        let now = i64::try_from(begin).expect("few") + 500;
        match n % 4 {
            0 => scene.killed_in_a_round(now),
            1 => scene.start(),
            2 => scene.round(now),
            _ => {
                scene.round(now);
                scene.start();
                counted = now - i64::try_from(LATENESS_S).expect("few") + 1;
                // What was counted is there before anything is read.
                let rows = u64::try_from(counted).expect("many");
                scene.check((rows / 500, rows % 500));
            }
        }
    }
    assert!(counted > 7_000, "{counted}");
    scene.round(20_000);
    scene.check((18, 0));
    let cursor = fs::metadata(scene.path("state/cursor.json")).expect("it is there").len();
    assert!(cursor < 4_096, "files of hours that are over are forgotten: {cursor} bytes");
}

#[test]
fn a_shift_is_told_once() {
    let mut scene = Scene::new(PLAN);
    let mut drawn = fixture::Rows::new(5);
    let calm = drawn.draw(1_000, Weather::default());
    let shifted = drawn.draw(500, Weather { shift: 1.0, ..Weather::default() });
    for batch in [calm, shifted] {
        halves(&batch).iter().for_each(|it| scene.put(it));
    }
    scene.start();
    scene.killed_in_a_round(9_000);
    assert_eq!(scene.alarms(), 0, "nothing is told that is not written down");
    scene.round(9_000);
    scene.check((3, 0));
    assert_eq!(scene.alarms(), 1);
    scene.start();
    scene.round(10_000);
    assert_eq!(scene.alarms(), 0);
}

#[test]
fn learning_begins_anew_with_the_rows_it_began_with() {
    let mut scene = Scene::new(&format!("{PLAN}learn_rows = 600\n"));
    let all = rows(6, 2_000);
    scene.put(&all.slice(0, 500));
    scene.start();
    scene.round(800);
    assert_eq!(scene.view()["state"], "learning");
    scene.start();
    scene.put(&all.slice(500, 1_500));
    scene.round(9_000);
    // 600 rows are the reference.
    scene.check((2, 400));
    scene.start();
    scene.check((2, 400));
}

#[test]
fn another_plan_begins_a_count_and_loses_no_row_that_waits() {
    let mut scene = Scene::new(PLAN);
    scene.put(&rows(8, 1_000));
    scene.start();
    scene.round(800);
    scene.check((1, 1));
    scene.plan("window_rows = 100\n");
    scene.put(&rows(8, 1_001).slice(1_000, 1));
    scene.round(9_000);
    scene.check((5, 0));
}

#[test]
fn too_many_rows_are_counted_before_their_time() {
    let mut scene = Scene::new(PLAN);
    scene.waiting_bytes_max = 30_000;
    let all = rows(9, 1_000);
    scene.put(&all.slice(0, 500));
    scene.start();
    scene.round(100);
    let view = scene.view();
    let rows = view["open"]["rows"].as_u64().expect("rows");
    assert!((200..=400).contains(&rows), "{view}");
    scene.put(&all.slice(500, 500));
    scene.round(9_000);
    scene.check((2, 0));
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let mut scene = Scene::new(PLAN);
    let all = rows(10, 1_000);
    scene.put(&all.slice(0, 400));
    let folder = scene.path("log/model=m/version=1/date=1970-01-01/hour=00");
    fs::write(folder.join("broken.parquet"), "no Parquet at all").expect("written");
    scene.put(&all.slice(400, 600));
    scene.start();
    scene.round(600);
    scene.check((0, 301));
    // What waited is gone from the store when the next process looks for it.
    let first = |it: &Path| it.to_string_lossy().contains("0000000000000001-");
    let files = fs::read_dir(&folder).expect("a folder").filter_map(Result::ok);
    let files: Vec<PathBuf> = files.map(|it| it.path()).filter(|it| first(it)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::remove_file(&files[0]).expect("gone");
    scene.start();
    scene.round(9_000);
    scene.check((1, 401));
}

#[test]
fn a_version_without_a_reference_waits_for_one() {
    let mut scene = Scene::new(PLAN);
    let profile = scene.path("models/m/1/profile.json");
    let text = fs::read(&profile).expect("a profile");
    fs::remove_file(&profile).expect("gone");
    scene.put(&rows(11, 700));
    scene.start();
    scene.round(9_000);
    assert_eq!(scene.view(), serde_json::Value::Null);
    fs::write(&profile, text).expect("written");
    scene.round(9_000);
    scene.check((1, 200));
}

#[test]
fn a_state_is_kept_by_one_process() {
    let mut scene = Scene::new(PLAN);
    scene.start();
    let held = scene.follower.take();
    let options = Options {
        source: Box::new(FolderSource::new(vec![scene.path("log")])),
        repository: Repository::default(),
        folder: scene.path("state"),
        findings: Arc::<Heard>::clone(&scene.heard),
        bounds: Bounds {
            lateness: Duration::ZERO,
            waiting_bytes_max: 1,
            object_bytes_max: 1,
            from: None,
        },
        now: Box::new(|| 0),
    };
    let second = Follower::open(options, Arc::default());
    assert!(second.is_err_and(|it| it.to_string().contains("another process")));
    drop(held);
}

/// A store that answers now and then.
struct Flaky(FolderSource, Arc<Mutex<u32>>);

impl Source for Flaky {
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Vec<Object>> {
        self.0.list(wanted)
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> io::Result<File> {
        let mut fetches = self.1.lock().expect("nobody panics");
        *fetches += 1;
        if fetches.is_multiple_of(2) {
            Err(io::Error::other("away"))
        } else {
            self.0.fetch(folder, object)
        }
    }
}

#[test]
fn a_store_that_is_away_is_asked_again() {
    let mut scene = Scene::new(PLAN);
    for it in halves(&rows(12, 900)) {
        scene.put(&it);
    }
    scene.start();
    scene.now.store(9_000 * SECOND, Ordering::Relaxed);
    let source = Flaky(FolderSource::new(vec![scene.path("log")]), Arc::default());
    let follower = scene.follower.as_mut().expect("it was started");
    follower.source = Box::new(source);
    follower.round().expect_err("the second file cannot be had");
    follower.round().expect("it can now");
    scene.check((1, 400));
}
