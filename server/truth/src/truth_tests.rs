use super::*;
use crate::fixture::{floats, model, subject};
use crate::label::Given;

use backend_api::{DType, Dim};
use server_base::{
    EventId, Finding, LogConfig, PredictionLog, Protocol, Reason, Record, Route, Timing, Told,
    VersionLog,
};
use smallvec::SmallVec;

/// A log that keeps nothing.
#[derive(Debug)]
struct Nowhere;

struct NowhereVersion(LogConfig);

impl PredictionLog for Nowhere {
    fn open(&self, subject: Subject) -> Result<Arc<dyn VersionLog>, String> {
        Ok(Arc::new(NowhereVersion(subject.config)))
    }
}

impl VersionLog for NowhereVersion {
    fn config(&self) -> &LogConfig {
        &self.0
    }

    fn offer(&self, _: &Record) {}

    fn commit(&self, _: &Record, told: Told) {
        told(Ok(()));
    }
}

/// What is told, and whether it was on the disk by then that it had been judged.
#[derive(Debug)]
struct Heard(std::path::PathBuf, Mutex<Vec<(server_base::FindingKind, bool)>>);

impl Findings for Heard {
    fn found(&self, findings: &[Finding]) -> bool {
        let told = findings.iter().map(|it| (it.kind, self.0.exists()));
        lock(&self.1).extend(told);
        true
    }
}

#[derive(Debug)]
struct Deaf;

impl Findings for Deaf {
    fn found(&self, _: &[Finding]) -> bool {
        true
    }
}

struct House {
    truth: Arc<Truth>,
    version: Arc<dyn VersionLog>,
}

fn options(folder: &std::path::Path, findings: Arc<dyn Findings>) -> Options {
    Options {
        folder: folder.to_path_buf(),
        bytes_max: 1 << 20,
        keep: crate::Keep::default(),
        findings,
        give_way: || {},
    }
}

impl House {
    fn new(folder: &std::path::Path) -> House {
        let truth = Truth::start(options(folder, Arc::new(Deaf))).expect("starts");
        let log = crate::over(&truth, Arc::new(Nowhere));
        let dims = [Dim::Rows, Dim::Fixed(2)];
        let subject = Subject {
            truth: Some(TruthConfig::default()),
            ..subject(1, &[("p", DType::Fp32, &dims)])
        };
        House { version: log.open(subject).expect("opens"), truth }
    }

    fn says(&self, id: &str, values: &[f32]) {
        self.says_by(Route::Direct, id, values);
    }

    fn says_by(&self, route: Route, id: &str, values: &[f32]) {
        let time = SystemTime::now();
        self.version.offer(
            &(Record {
                event: EventId::new(time),
                request_id: SmallVec::from_slice(id.as_bytes()),
                trace: None,
                time,
                protocol: Protocol::Http,
                route,
                inputs: [].into(),
                outputs: [floats(&[values.len() / 2, 2], values)].into(),
                rows: values.len() / 2,
                held: 0,
                failure: None,
                timing: Timing::default(),
                latency: Duration::ZERO,
                probability: 1.0,
                reason: Reason::Uniform,
                pair: None,
                drawn: None,
            }),
        );
    }

    fn record(&self, model: &str, labels: &[(&str, u32, f64)]) -> Result<Recorded, TruthError> {
        let label = |(id, row, value): &(&str, u32, f64)| {
            Label::new(id, *row, Given::Number(*value), None).expect("a label")
        };
        let (tell, told) = bounded(1);
        let labels = labels.iter().map(label).collect();
        self.truth.record(model, labels, Box::new(move |it| drop(tell.send(it))));
        told.recv().expect("somebody is told")
    }

    fn so_far(&self) -> Value {
        let (tell, told) = bounded(1);
        self.truth.show("wine", None, Box::new(move |it| drop(tell.send(it))));
        told.recv().expect("told").expect("it is judged")["versions"][0]["so_far"].clone()
    }

    fn stop(self) {
        assert!(self.truth.stop(Instant::now() + Duration::from_secs(20)), "it ends");
    }
}

#[test]
fn what_was_asked_before_is_not_judged_again() {
    let root = tempfile::tempdir().expect("scratch");
    let house = House::new(root.path());
    house.says_by(Route::Replay, "a", &[0.9, 0.1]);
    house.says("b", &[0.9, 0.1]);
    let recorded = house.record("wine", &[("a", 0, 0.0), ("b", 0, 0.0)]).expect("taken");
    assert_eq!((recorded.joined, recorded.waiting), (1, 1));
    house.stop();
}

#[test]
fn labels_are_joined_and_a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().expect("scratch");
    let house = House::new(folder.path());
    house.says("a", &[0.9, 0.1, 0.2, 0.8]);
    house.says("b", &[0.9, 0.1]);
    let recorded = house.record("wine", &[("a", 0, 0.0), ("a", 1, 0.0), ("x", 0, 0.0)]);
    let expect = Recorded { recorded: 3, joined: 2, corrected: 0, waiting: 1 };
    assert_eq!(recorded, Ok(expect));
    let shown = house.so_far();
    assert_eq!((&shown["predicted"], &shown["labelled"]), (&3.into(), &2.into()));
    assert_eq!(shown["metrics"]["accuracy"], 0.5);
    house.stop();
    let house = House::new(folder.path());
    let again = house.so_far();
    assert_eq!((&again["predicted"], &again["labelled"]), (&3.into(), &2.into()));
    assert_eq!(again["metrics"], shown["metrics"]);
    let recorded = house.record("wine", &[("b", 0, 0.0), ("a", 1, 1.0)]).expect("recorded");
    assert_eq!((recorded.joined, recorded.corrected), (2, 1));
    assert_eq!(house.so_far()["metrics"]["accuracy"], 1.0);
    house.stop();
}

#[test]
fn what_cannot_be_taken_is_refused_whole() {
    let folder = tempfile::tempdir().expect("scratch");
    let house = House::new(folder.path());
    let refused = house.record("beer", &[("a", 0, 0.0)]).expect_err("no such model");
    assert_eq!(refused, TruthError::NoTruth("beer".to_owned()));
    let refused =
        house.record("wine", &[("a", 0, 0.0), ("b", 0, 2.0)]).expect_err("no third class");
    assert_eq!(refused.to_string(), "labels[1]: value 2: expected a class from 0 to 1");
    assert_eq!(refused.kind(), Kind::Invalid);
    house.truth.close(&model(), Version(1));
    assert_eq!(house.record("wine", &[("a", 0, 0.0)]), Err(TruthError::NoTruth("wine".to_owned())));
    let labels = folder.path().join("labels");
    assert_eq!(fs::read_dir(labels).expect("the folder").count(), 0, "nothing was written");
    house.stop();
}

#[test]
fn a_disk_that_fails_is_told() {
    let folder = tempfile::tempdir().expect("scratch");
    let house = House::new(folder.path());
    fs::write(folder.path().join("labels/model=wine"), "in the way").expect("a file");
    let refused = house.record("wine", &[("a", 0, 0.0)]).expect_err("no folder can be made");
    assert!(matches!(refused, TruthError::Disk(_)), "{refused}");
    assert_eq!(refused.kind(), Kind::Unavailable);
    house.stop();
}

/// Whoever is killed in between has told it, and the window is not judged by the next.
#[test]
fn what_is_found_is_told_before_it_is_written_down_as_judged() {
    let root = tempfile::tempdir().expect("scratch");
    let file = root.path().join("truth/wine@1.reference.json");
    let told = Arc::new(Heard(file.clone(), Mutex::default()));
    let findings: Arc<dyn Findings> = Arc::clone(&told) as _;
    let truth = Truth::start(options(root.path(), findings)).expect("starts");
    let outputs: &[(&str, DType, &[Dim])] = &[("p", DType::Fp32, &[Dim::Rows, Dim::Fixed(2)])];
    let config = TruthConfig { error_expected: Some(0.1), ..TruthConfig::default() };
    let form = truth.open(&subject(1, outputs), &config).expect("opens");
    {
        let mut book = lock(&truth.book);
        for (row, guess) in (0..).zip(form.read(&floats(&[1, 2], &[0.9, 0.1]), 1)) {
            let row = Row { id: "a", row, version: Version(1), time_us: 1, guess };
            assert!(book.predicted(&model(), row, 1));
        }
        let label = Label::new("a", 0, Given::Number(0.0), None).expect("a label");
        assert_eq!(book.labelled(&model(), &label, 2), Joined::Now);
    }
    assert!(truth.stop(Instant::now() + Duration::from_secs(20)), "it ends");
    let kinds = lock(&told.1).clone();
    use server_base::FindingKind::{ConceptDrift, Performance};
    assert_eq!(kinds, [(Performance, false), (ConceptDrift, false)]);
    assert!(file.exists());
}
