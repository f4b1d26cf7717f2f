use super::*;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use serde_json::Value;
use server_lifecycle::{
    Audit, Clock, Defaults, Engines, Gauge, Gpus, Lacks, LoadPolicy, Transition,
};
use server_replicas::{Telling, Untold};
use server_rollout::{Evidence, RawPlan, State, Verdict};
use server_serving::{Admission, AdmissionLimits, Cores};
use tempfile::TempDir;

use crate::handle::Order;
use crate::listener::Listener;

/// What was told, and what stood on the disk when it was.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(Verdict, Telling, Saved)>>>);

impl Told {
    fn hear(&self, (evidence, telling): (&Evidence, Telling), folder: &Path) {
        let saved = saved(folder);
        self.0.lock().expect("no panics").push((evidence.verdict, telling, saved));
    }

    fn verdicts(&self) -> Vec<(Verdict, Telling)> {
        self.0.lock().expect("no panics").iter().map(|it| (it.0, it.1)).collect()
    }
}

fn saved(folder: &Path) -> Saved {
    let text = fs::read(folder.join("wine.json")).expect("written down");
    serde_json::from_slice(&text).expect("whole")
}

/// A process that has just begun, on a repository without models.
fn process(folder: &Path, told: &Told) -> Conductor {
    let audit = Arc::new(Journal::new(folder, "audit", 1 << 20));
    let options = Options {
        folder: Some(folder.to_path_buf()),
        share: None,
        host: "test".to_owned(),
        audit: Some(audit),
        interval: Duration::from_secs(3_600),
    };
    let kept = read(&options).expect("read");
    let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
    let lifecycle = lifecycle(folder, &serving);
    let (told, folder) = (told.clone(), folder.to_path_buf());
    let listener = Listener::new(move |it, telling| told.hear((it, telling), &folder));
    let beside = Beside { listener: Some(listener), ..Beside::default() };
    kept.start(lifecycle, serving, beside).expect("started")
}

fn lifecycle(folder: &Path, serving: &Arc<Serving>) -> Lifecycle {
    let repository = folder.join("models");
    fs::create_dir_all(&repository).expect("made");
    let options = server_lifecycle::Options {
        repositories: vec![repository],
        awaited: Arc::new(AtomicUsize::new(0)),
        scan_interval: Duration::from_secs(3_600),
        rest: Duration::ZERO,
        loader_threads: 1,
        drain: Duration::ZERO,
        strict_readiness: false,
        cores: Cores::new(1),
        loaded_models_max: None,
        model_memory_max: None,
        memory: Gauge::new(|| None),
        gpus: Gpus::default(),
        clock: Clock::stopped(),
        audit: Audit::default(),
        digests: false,
        log: None,
        requests: None,
        monitors: None,
        lacks: Lacks::default(),
        defaults: Defaults {
            instances: 1,
            transition: Transition::Availability,
            load: LoadPolicy::Eager,
            engines: Vec::new(),
        },
        directions: BTreeMap::new(),
    };
    let engines = Engines::new(Vec::new(), Vec::new());
    server_lifecycle::start(options, engines, Arc::clone(serving)).expect("started")
}

/// Writes down a rollout from 1 to 2 that begins.
fn begun() -> TempDir {
    let folder = tempfile::tempdir().expect("scratch");
    let model = ModelName::new("wine").expect("a name");
    let subject = Subject::new(model, Version(1), Version(2)).expect("two versions");
    let plan = RawPlan::default().validate().expect("the defaults");
    let rollout = Rollout::new(subject, plan, moment());
    let files = Files::open(Some(folder.path()), None).expect("opened");
    files.write(&Saved::new(rollout, false, None)).expect("written");
    folder
}

async fn abort(conductor: &Conductor) {
    let order = Order::default();
    conductor.command("wine", Command::Abort, order).await.expect("it is under way");
}

/// What the audit has of decisions: verdict and digest.
fn audit(folder: &Path) -> Vec<(Value, Value)> {
    let text = fs::read_to_string(folder.join("audit.jsonl")).unwrap_or_default();
    let lines = text.lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON"));
    let decisions = lines.filter(|it| it["event"] == "rollout");
    decisions.map(|it| (it["verdict"].clone(), it["digest"].clone())).collect()
}

#[tokio::test]
async fn a_decision_is_written_down_before_it_is_told() {
    let (folder, told) = (begun(), Told::default());
    abort(&process(folder.path(), &told)).await;
    let told = told.0.lock().expect("no panics").clone();
    let [(Verdict::RolledBack, Telling::First, on_disk)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(on_disk.rollout.state(), State::RolledBack);
    assert_eq!(on_disk.evidence.len(), 1);
    assert_eq!(on_disk.untold, Some(Untold { decisions: 1, digest: None }));
    // And what is told is told.
    assert_eq!(saved(folder.path()), Saved { untold: None, ..on_disk.clone() });
}

#[tokio::test]
async fn what_a_process_has_written_down_and_not_told_the_next_one_tells() {
    let (folder, first) = (begun(), Told::default());
    let path = folder.path();
    abort(&process(path, &first)).await;
    let lines = fs::read_to_string(path.join("audit.jsonl")).expect("written");
    let (_, _, mut killed) = first.0.lock().expect("no panics").pop().expect("told");
    let digest = Some("sha256:ab".to_owned());
    killed.untold = Some(Untold { decisions: 1, digest });
    let files = Files::open(Some(path), None).expect("opened");
    let line = |digest: Value| (Value::from("rolled_back"), digest);
    let told_again = |expect: &[(Value, Value)]| {
        files.write(&killed).expect("written");
        let told = Told::default();
        drop(process(path, &told));
        assert_eq!(told.verdicts(), [(Verdict::RolledBack, Telling::Again)]);
        assert_eq!(audit(path), expect);
        assert_eq!(saved(path).untold, None);
    };
    // Killed before anybody was told; and after all were, and before that was remembered.
    fs::remove_file(path.join("audit.jsonl")).expect("removed");
    told_again(&[line("sha256:ab".into())]);
    told_again(&[line("sha256:ab".into())]);
    // It is another decision that stands there.
    fs::write(path.join("audit.jsonl"), lines).expect("written");
    told_again(&[line(Value::Null), line("sha256:ab".into())]);
    // Told once, it is not told at every start.
    let told = Told::default();
    drop(process(path, &told));
    assert_eq!((told.verdicts(), audit(path).len()), (Vec::new(), 2));
}

#[tokio::test]
async fn that_all_is_told_is_written_down_when_the_disk_takes_it() {
    let (folder, told) = (begun(), Told::default());
    let path = folder.path();
    let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
    let lifecycle = lifecycle(path, &serving);
    let files = Files::open(Some(path), None).expect("opened");
    // Nothing more can be written from the moment on at which it is told.
    let (heard, aside) = (told.clone(), path.join(".wine.json"));
    let listener = Listener::new(move |it, telling| {
        heard.hear((it, telling), aside.parent().expect("a folder"));
        fs::create_dir(&aside).expect("made");
    });
    let beside = Beside { listener: Some(listener), ..Beside::default() };
    let world = World::new((&serving, &lifecycle), &files, &beside);
    let mut ride = Ride::new(saved(path));
    ride.command(&world, Command::Abort, moment()).await.expect("it is under way");
    let untold = Some(Untold { decisions: 1, digest: None });
    assert_eq!(saved(path).untold, untold);
    ride.turn(&world, moment()).await;
    assert_eq!(saved(path).untold, untold);
    fs::remove_dir(path.join(".wine.json")).expect("removed");
    ride.turn(&world, moment()).await;
    assert_eq!(saved(path).untold, None);
    assert_eq!(told.verdicts(), [(Verdict::RolledBack, Telling::First)]);
}
