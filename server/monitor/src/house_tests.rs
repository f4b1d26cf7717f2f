use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

use backend_api::{DType, Dim, Signature, TensorSpec};
use server_base::{Finding, FindingKind, LogConfig, Subject};
use server_feedback::{Disk, Position, Rows as LogRows, Sink as _};
use server_lifecycle::Monitors as _;

use crate::fixture::{Heard, Rows, Series, Weather, plan, profile};
use crate::sink::MonitorSink;

const CALM: Weather = Weather { shift: 0.0, nan: 0.0, strange: 0.0, trouble: false };

/// A folder that outlives the monitors in it, and a version beside it.
struct House {
    root: tempfile::TempDir,
    heard: Arc<Heard>,
    plan: &'static str,
}

impl House {
    fn new(plan: &'static str) -> House {
        let root = tempfile::tempdir().expect("scratch");
        let text = serde_json::to_vec(&profile(7, 5_000)).expect("JSON");
        fs::write(root.path().join("profile.json"), text).expect("written");
        House { root, heard: Arc::default(), plan }
    }

    fn watched(&self) -> Watched {
        let spec = |name: &str, dtype| TensorSpec {
            name: name.into(),
            dtype,
            dims: vec![Dim::Rows],
            quantization: None,
        };
        let signature = Signature {
            inputs: vec![spec("x", DType::Fp32), spec("kind", DType::Bytes)],
            outputs: vec![spec("y", DType::Int64)],
        };
        let subject = Subject {
            model: ModelName::new("m").expect("a name"),
            version: Version(3),
            digest: Some("ab".to_owned()),
            signature,
            config: LogConfig::default(),
            truth: None,
            backend: None,
            source: None,
        };
        Watched { subject, folder: self.root.path().to_path_buf(), plan: plan(self.plan) }
    }

    /// A process that has started, its version loaded.
    fn start(&self) -> (Arc<Monitors>, MonitorSink, Presence) {
        let heard = Arc::clone(&self.heard) as Arc<dyn Findings>;
        let folder = self.root.path().join("monitor");
        let monitors = Arc::new(Monitors::open(Arc::new(Disk), &folder, heard).expect("opens"));
        let presence = monitors.watch(self.watched()).expect("watches");
        (Arc::clone(&monitors), MonitorSink::new(monitors), presence)
    }

    fn heard(&self) -> Vec<(FindingKind, bool, u64)> {
        self.heard.take().iter().map(|it: &Finding| (it.kind, it.is_alarm, it.rows)).collect()
    }
}

fn rows(batch: RecordBatch) -> LogRows {
    let model = ModelName::new("m").expect("a name");
    LogRows { model, version: Version(3), hour: 0, batch }
}

fn flush(sink: &mut MonitorSink) {
    sink.flush(Position::default(), "log").expect("flushes");
}

const QUIET: [(FindingKind, bool, u64); 3] = [
    (FindingKind::Drift, false, 500),
    (FindingKind::PredictionDrift, false, 500),
    (FindingKind::Quality, false, 500),
];

const PLAN: &str = r#"{"window_rows": 500, "false_alarm_windows": 720}"#;

#[test]
fn each_window_is_told_once_for_each_kind() {
    let house = House::new(PLAN);
    let (monitors, mut sink, _presence) = house.start();
    let mut drawn = Rows::new(1);
    sink.write(&rows(drawn.draw(400, CALM))).expect("takes rows");
    assert!(!sink.is_full(), "the window is not complete");
    sink.write(&rows(drawn.draw(100, CALM))).expect("takes rows");
    assert!(sink.is_full(), "so that nobody waits for what is found");
    assert_eq!(house.heard(), [], "nothing is told before it is written down");
    flush(&mut sink);
    assert_eq!(house.heard(), QUIET);
    flush(&mut sink);
    assert_eq!(house.heard(), []);

    sink.write(&rows(drawn.draw(500, Weather { shift: 1.0, ..CALM }))).expect("takes rows");
    flush(&mut sink);
    let told = house.heard.take();
    let [drift, predictions, _quality] = told.as_slice() else { panic!("{told:?}") };
    assert!(drift.is_alarm && predictions.is_alarm);
    assert_eq!(drift.subjects, ["in.x"]);
    let evidence: Value = serde_json::from_str(&drift.evidence).expect("JSON");
    assert_eq!(evidence["alarms"][0]["reference_rows"], 5_000);
    assert!(drift.text.contains("in.x drifted: ks effect"), "{}", drift.text);

    let views = monitors.views("m", None);
    assert_eq!(views.len(), 1);
    assert_eq!((&views[0]["state"], &views[0]["last"]["number"]), (&"watching".into(), &2.into()));
    assert_eq!(views[0]["history"][1]["found"]["drift"]["is_alarm"], true);
    assert_eq!(monitors.views("m", Some(Version(4))).len() + monitors.views("n", None).len(), 0);
}

#[test]
fn a_restart_goes_on_with_the_window() {
    let house = House::new(PLAN);
    let (_, mut sink, _presence) = house.start();
    let mut drawn = Rows::new(2);
    sink.write(&rows(drawn.draw(300, CALM))).expect("takes rows");
    flush(&mut sink);
    drop(sink);
    let (_, mut sink, _presence) = house.start();
    sink.write(&rows(drawn.draw(200, CALM))).expect("takes rows");
    flush(&mut sink);
    assert_eq!(house.heard(), QUIET);
    let (monitors, _, _presence) = house.start();
    assert_eq!(house.heard(), [], "nothing is told again");
    assert_eq!(monitors.views("m", None)[0]["history"].as_array().map(Vec::len), Some(1));
}

/// Whoever reads the series must not take a restart for a monitor that stands still.
#[test]
fn a_restart_shows_what_the_last_window_was() {
    let house = House::new(r#"{"window_rows": 500, "test": "wasserstein", "drift_share": 0.1}"#);
    let live = |process: &dyn Fn()| {
        let series = Series::default();
        ::metrics::with_local_recorder(&series, process);
        series.read()
    };
    let before = live(&|| {
        let (_, mut sink, _presence) = house.start();
        let shifted = Weather { shift: 1.5, ..CALM };
        sink.write(&rows(Rows::new(5).draw(500, shifted))).expect("takes rows");
        flush(&mut sink);
    });
    let after = live(&|| drop(house.start()));
    assert!(before["salver_drift_score in.x wasserstein"] > 1.0, "{before:?}");
    assert!(before["salver_drift_last_evaluation_timestamp_seconds"] > 0.0);
    assert_eq!(before["salver_drift_threshold wasserstein"], 0.1);
    assert_eq!(before["salver_drift_alarm drift"], 1.0);
    for (name, value) in &before {
        let is_count = name.contains("_total");
        let expect = if is_count { 0.0 } else { *value };
        let got = after.get(name).copied().unwrap_or(f64::MIN);
        assert!(got == expect || (got.is_nan() && expect.is_nan()), "{name}: {got}, not {expect}");
    }
}

#[test]
fn rows_that_come_again_count_once() {
    let house = House::new(PLAN);
    let (_, mut sink, _presence) = house.start();
    let mut drawn = Rows::new(3);
    let (first, second) = (rows(drawn.draw(300, CALM)), rows(drawn.draw(150, CALM)));
    // An error of another part: all since the last flush comes again.
    sink.write(&first).expect("takes rows");
    sink.reset();
    sink.write(&first).expect("the same again");
    flush(&mut sink);
    // A process that died after its state and before its cursor was written.
    drop(sink);
    let (monitors, mut sink, _presence) = house.start();
    for it in [&first, &second] {
        sink.write(it).expect("takes rows");
    }
    flush(&mut sink);
    assert_eq!(monitors.views("m", None)[0]["open"]["rows"], 450);
    // And once more, both of them in one stretch.
    drop(sink);
    let (monitors, mut sink, _presence) = house.start();
    for it in [&first, &second] {
        sink.write(it).expect("takes rows");
    }
    flush(&mut sink);
    assert_eq!(monitors.views("m", None)[0]["open"]["rows"], 450);
    sink.write(&rows(drawn.draw(50, CALM))).expect("takes rows");
    flush(&mut sink);
    assert_eq!(house.heard(), QUIET);
}

#[test]
fn rows_before_the_version_is_loaded_count() {
    let house = House::new(PLAN);
    let (_, mut sink, presence) = house.start();
    let mut drawn = Rows::new(4);
    sink.write(&rows(drawn.draw(300, CALM))).expect("takes rows");
    flush(&mut sink);
    drop((sink, presence));
    let heard = Arc::clone(&house.heard) as Arc<dyn Findings>;
    let folder = house.root.path().join("monitor");
    let monitors = Arc::new(Monitors::open(Arc::new(Disk), &folder, heard).expect("opens"));
    let mut sink = MonitorSink::new(Arc::clone(&monitors));
    sink.write(&rows(drawn.draw(200, CALM))).expect("takes rows");
    flush(&mut sink);
    assert_eq!(house.heard(), QUIET);
    assert_eq!(monitors.views("m", None)[0]["is_loaded"], false);
}

#[test]
fn another_plan_begins_anew() {
    let mut house = House::new(PLAN);
    let (_, mut sink, _presence) = house.start();
    sink.write(&rows(Rows::new(5).draw(300, CALM))).expect("takes rows");
    flush(&mut sink);
    house.plan = r#"{"window_rows": 400}"#;
    let (monitors, _, _presence) = house.start();
    assert_eq!(monitors.views("m", None)[0]["open"]["rows"], 0);
}

#[test]
fn what_was_learned_stays_learned() {
    let house =
        House::new(r#"{"learn_rows": 500, "window_rows": 500, "false_alarm_windows": 720}"#);
    let (monitors, mut sink, _presence) = house.start();
    assert_eq!(monitors.views("m", None)[0]["state"], "learning");
    let mut drawn = Rows::new(6);
    sink.write(&rows(drawn.draw(600, CALM))).expect("takes rows");
    flush(&mut sink);
    let (monitors, mut sink, _presence) = house.start();
    let view = &monitors.views("m", None)[0];
    assert_eq!(
        (&view["state"], &view["reference"]["source"]),
        (&"watching".into(), &"learned".into())
    );
    sink.write(&rows(drawn.draw(400, CALM))).expect("takes rows");
    flush(&mut sink);
    assert_eq!(house.heard(), QUIET);
}

#[test]
fn what_cannot_be_watched_is_said() {
    let house = House::new(r#"{"profile": "else.json"}"#);
    let check = |monitors: &Monitors, watched: Watched, expect: &str| {
        let error = monitors.watch(watched).map(drop).expect_err("refused");
        assert!(error.contains(expect), "{error}");
    };
    let folder = house.root.path().join("monitor");
    let heard = Arc::clone(&house.heard) as Arc<dyn Findings>;
    let monitors = Monitors::open(Arc::new(Disk), &folder, heard).expect("opens");
    check(&monitors, house.watched(), "else.json: No such file");
    let mut watched = house.watched();
    watched.plan = plan(r#"{"features": ["z"]}"#);
    check(&monitors, watched, "features: \"z\" is none of x, kind, y");
    let mut watched = house.watched();
    watched.plan = plan("{}");
    watched.subject.signature.inputs.clear();
    watched.subject.signature.outputs.clear();
    check(&monitors, watched, "no feature of the reference is in the log: in.x is not there");
    let mut watched = house.watched();
    watched.plan = plan("{}");
    watched.folder = house.root.path().join("monitor");
    check(&monitors, watched, "the version carries no reference: expected one of profile.json");
    fs::write(house.root.path().join("else.json"), "{}").expect("written");
    check(&monitors, house.watched(), "else.json: missing field `format`");
}

/// A disk that refuses what is to be replaced, as long as it is told to.
#[derive(Default)]
struct Full(AtomicBool);

impl Files for Full {
    fn create(&self, path: &Path) -> io::Result<Box<dyn server_feedback::Append>> {
        Disk.create(path)
    }

    fn read(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        Disk.read(path, offset, bytes)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Disk.len(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Disk.replace(path, content)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.sync_folder(folder)
    }
}

/// The log's segments are those of all models: nobody's file may hold them.
#[test]
fn a_disk_that_refuses_a_monitor_holds_up_neither_the_log_nor_what_is_found() {
    let house = House::new(PLAN);
    let files = Arc::new(Full::default());
    let folder = house.root.path().join("monitor");
    let open = || {
        let heard = Arc::clone(&house.heard) as Arc<dyn Findings>;
        let files = Arc::clone(&files) as Arc<dyn Files>;
        Arc::new(Monitors::open(files, &folder, heard).expect("opens"))
    };
    let monitors = open();
    let _presence = monitors.watch(house.watched()).expect("watches");
    let mut sink = MonitorSink::new(Arc::clone(&monitors));
    let mut drawn = Rows::new(9);
    let open_rows = |it: &Monitors| it.views("m", None)[0]["open"]["rows"].clone();

    sink.write(&rows(drawn.draw(200, CALM))).expect("takes rows");
    flush(&mut sink);
    files.0.store(true, Ordering::Relaxed);
    sink.write(&rows(drawn.draw(200, CALM))).expect("takes rows");
    flush(&mut sink);
    // An error of another part: only what came since the last flush comes again, and counts once.
    let last = rows(drawn.draw(50, CALM));
    sink.write(&last).expect("takes rows");
    sink.reset();
    assert_eq!(open_rows(&monitors), 450);
    sink.write(&last).expect("the same again");
    assert_eq!(open_rows(&monitors), 450);
    sink.write(&rows(drawn.draw(50, CALM))).expect("takes rows");
    flush(&mut sink);
    assert_eq!(house.heard(), QUIET, "somebody waits for it");
    // Once there is room it is on the disk, though no more rows came.
    files.0.store(false, Ordering::Relaxed);
    flush(&mut sink);
    assert_eq!(open_rows(&open()), 0);
    assert_eq!(open().views("m", None)[0]["history"].as_array().map(Vec::len), Some(1));
    assert_eq!(house.heard(), [], "nothing is told again");
}

/// Hears, and keeps nothing while it is told to.
#[derive(Debug)]
struct Refuses(Arc<Heard>, AtomicBool);

impl Findings for Refuses {
    fn found(&self, findings: &[Finding]) -> bool {
        assert!(self.0.found(findings));
        !self.1.load(Ordering::Relaxed)
    }
}

/// At a stop the log is read to its end after those have ended who act on what is found.
#[test]
fn what_nobody_could_keep_is_told_again_also_by_the_next_process() {
    let house = House::new(PLAN);
    let refuses = Arc::new(Refuses(Arc::clone(&house.heard), true.into()));
    let folder = house.root.path().join("monitor");
    let open = || {
        let findings = Arc::clone(&refuses) as Arc<dyn Findings>;
        Arc::new(Monitors::open(Arc::new(Disk), &folder, findings).expect("opens"))
    };
    let monitors = open();
    let _presence = monitors.watch(house.watched()).expect("watches");
    let mut sink = MonitorSink::new(Arc::clone(&monitors));
    let mut drawn = Rows::new(9);
    sink.write(&rows(drawn.draw(500, CALM))).expect("takes rows");
    flush(&mut sink);
    assert_eq!(house.heard(), QUIET);
    flush(&mut sink);
    assert_eq!(house.heard(), QUIET, "again, though no more rows came");

    let monitors = open();
    let mut sink = MonitorSink::new(Arc::clone(&monitors));
    sink.write(&rows(drawn.draw(500, CALM))).expect("takes rows");
    flush(&mut sink);
    assert_eq!(house.heard(), [QUIET, QUIET].concat(), "in the order in which they were found");
    refuses.1.store(false, Ordering::Relaxed);
    flush(&mut sink);
    assert_eq!(house.heard(), [QUIET, QUIET].concat());
    flush(&mut sink);
    assert_eq!(house.heard(), []);
    let mut sink = MonitorSink::new(open());
    sink.write(&rows(drawn.draw(1, CALM))).expect("takes rows");
    flush(&mut sink);
    assert_eq!(house.heard(), [], "it is on the disk that all were told");
}

#[path = "house_waits_tests.rs"]
mod waits;
