use super::*;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};

use backend_fake::Fake;
use server_base::VersionChoice;
use server_serving::{Admission, AdmissionLimits, Serving};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

use crate::engines::Engines;
use crate::handle::{Readiness, Told};
use crate::house::{constant, engines, house, house_with, options, put};
use crate::start::{rooms, start};

#[tokio::test]
async fn a_folder_is_served_without_configuration() {
    let house = house(&[("m/1/model.fake", &constant(1)), ("m/2/model.fake", &constant(2))]);
    house.is_ready().await;
    assert_eq!(house.shown(), "m/1:END m/2:AVAILABLE");
    assert_eq!(house.reason(1), "not wanted by the version policy");
    assert_eq!(house.ask("").await, Ok(2.0));
    assert_eq!(
        house.ask("1").await.expect_err("not loaded").kind(),
        server_base::Kind::Unavailable
    );
}

#[tokio::test]
async fn a_new_version_takes_over() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:END m/2:AVAILABLE").await;
    assert_eq!(house.ask("").await, Ok(2.0));
}

#[tokio::test]
async fn a_broken_version_is_reported_and_leaves_the_old_one_serving() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    house.put("m/2/model.fake", "nonsense");
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert!(
        house.reason(2).contains("line 1: \"nonsense\" is no statement"),
        "{}",
        house.reason(2)
    );
    assert_eq!(house.ask("").await, Ok(1.0));
    // Mended in place, it is tried again.
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:END m/2:AVAILABLE").await;
}

#[tokio::test]
async fn a_start_on_a_broken_newest_version_serves_the_one_before() {
    let house = house(&[("m/1/model.fake", &constant(1)), ("m/2/model.fake", "nonsense")]);
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert_eq!(house.ask("").await, Ok(1.0));
}

#[tokio::test]
async fn content_that_changes_in_place_is_loaded_before_the_old_goes() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    house.put("m/1/model.fake", &format!("{}load_waits\n", constant(7)));
    house.shows("m/1:AVAILABLE m/1:LOADING").await;
    house.fake.loads().await_waiting(1);
    assert_eq!(house.ask("1").await, Ok(1.0), "the old content answers meanwhile");
    house.fake.loads().open();
    house.shows("m/1:AVAILABLE").await;
    assert_eq!(house.ask("1").await, Ok(7.0));
}

#[tokio::test]
async fn a_version_without_an_artifact_is_waited_for() {
    let house = house(&[("m/1/notes.txt", "soon")]);
    house.is_ready().await;
    assert_eq!(
        (house.shown().as_str(), house.reason(1).as_str()),
        ("m/1:END", "no file that an engine reads (model.fake)")
    );
    house.put("m/1/model.fake", &constant(1));
    house.shows("m/1:AVAILABLE").await;
}

#[tokio::test]
async fn a_model_without_versions_is_shown() {
    let house = house(&[("m/notes.txt", "")]);
    house.is_ready().await;
    house.shows("m/-:END").await;
    let reason = house.lifecycle.index()[0].reason.clone();
    assert_eq!(reason, "the folder holds no versions: <model>/<number>/");
    assert_eq!(house.ask("").await.expect_err("nothing").kind(), server_base::Kind::Unavailable);
}

#[tokio::test]
async fn a_deleted_model_is_retired() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    fs::remove_dir_all(house.root.path().join("m")).expect("remove");
    house.shows("").await;
    assert_eq!(house.ask("").await.expect_err("gone").kind(), server_base::Kind::NotFound);
}

/// Turns a link around in one step, as volumes of configuration do.
fn relink(root: &Path, link: &str, to: &str) {
    let next = root.join(".next");
    std::os::unix::fs::symlink(to, &next).expect("link");
    fs::rename(next, root.join(link)).expect("rename");
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_reported_and_changes_nothing() {
    let house = house(&[(".m/.1/model.fake", &constant(1)), (".m/.loop", "")]);
    let root = house.root.path();
    relink(root, ".loop", ".loop");
    relink(root, ".m/.loop", ".loop");
    relink(root, ".m/1", ".1");
    relink(root, "m", ".m");
    house.shows("m/1:AVAILABLE").await;
    for (link, good) in [("m", ".m"), ("m/1", ".1")] {
        relink(root, link, ".loop");
        house.says(1, |it| it.starts_with("cannot be read: ")).await;
        assert_eq!((house.shown().as_str(), house.ask("").await), ("m/1:AVAILABLE", Ok(1.0)));
        relink(root, link, good);
        house.says(1, str::is_empty).await;
    }
    relink(root, "m/2", ".loop");
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert!(house.reason(2).starts_with("cannot be read: "), "{}", house.reason(2));
}

#[tokio::test]
async fn labels_and_policies_come_from_the_file() {
    let toml = "version_policy = \"all\"\n[labels]\nstable = 1\ncanary = 2\n";
    let house = house(&[
        ("m/1/model.fake", &constant(1)),
        ("m/2/model.fake", &constant(2)),
        ("m/model.toml", toml),
    ]);
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    assert_eq!(house.ask("stable").await, Ok(1.0));
    assert_eq!(house.ask("canary").await, Ok(2.0));
    house.put("m/model.toml", "version_policy = { specific = [1] }\n");
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert_eq!(house.ask("").await, Ok(1.0));
}

#[tokio::test]
async fn a_faulty_file_is_reported_and_changes_nothing() {
    let house = house(&[
        ("m/1/model.fake", &constant(1)),
        ("n/1/model.fake", &constant(1)),
        ("n/model.toml", "a = 1\nb = 2"),
    ]);
    house.is_ready().await;
    assert_eq!(house.shown(), "m/1:AVAILABLE n/1:END");
    let index = house.lifecycle.index();
    assert!(
        index[1].reason.contains("a: unknown key") && index[1].reason.contains("b: unknown key")
    );
    house.put("m/model.toml", "engine = 3");
    house.says(1, |it| !it.is_empty()).await;
    assert_eq!((house.shown().as_str(), house.ask("").await), ("m/1:AVAILABLE n/1:END", Ok(1.0)));
}

#[tokio::test]
async fn stopping_drains_and_answers_what_is_inside() {
    let script = "input x FP32 rows,1\noutput y FP32 rows,1 = copy x\non 0 hang\n";
    let toml = "[dynamic_batching]\nprobe_rows = false\n[warmup]\nbatch_sizes = []\n";
    let house = house(&[("m/1/model.fake", script), ("m/model.toml", toml)]);
    house.shows("m/1:AVAILABLE").await;
    let house = Arc::new(house);
    let asking = tokio::spawn({
        let house = Arc::clone(&house);
        async move { house.ask("").await }
    });
    tokio::task::yield_now().await;
    house.fake.hangs().await_waiting(1);
    let lifecycle = house.lifecycle.clone();
    assert!(!lifecycle.stop(Instant::now() + Duration::from_millis(1)), "a run hangs");
    house.fake.hangs().open();
    assert_eq!(asking.await.expect("lives"), Ok(0.0));
}

#[tokio::test]
async fn rows_that_depend_on_neighbours_are_served_alone() {
    let script = "input x FP32 rows,2\noutput y FP32 rows,2 = share x\n";
    let house = house(&[("m/1/model.fake", script)]);
    house.shows("m/1:AVAILABLE").await;
    let table = house.serving.table();
    let servable = table.route("m", &VersionChoice::Any).expect("there");
    assert!(!servable.signature().is_batched());
}

#[test]
fn a_repository_that_cannot_be_read_is_an_error() {
    let options = options("/nowhere/at/all".as_ref(), &Engines::default());
    let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
    start(options, Engines::default(), serving).err().expect("no repository, no server");
}

/// A manager whose turns the test takes.
struct ByHand {
    root: TempDir,
    manager: Manager,
    inbox: Receiver<Message>,
}

fn by_hand(files: &[(&str, &str)]) -> ByHand {
    let root = tempfile::tempdir().expect("scratch");
    files.iter().for_each(|(path, content)| put(root.path(), path, content));
    let engines = engines(&Fake::new());
    let options = options(root.path(), &engines);
    let (commands, inbox) = crossbeam_channel::bounded(MESSAGES_MAX);
    let means = crate::loader::Means {
        scale: Arc::default(),
        engines: engines.clone(),
        cores: options.cores.clone(),
        log: None,
        monitors: None,
        placement: Arc::default(),
        lacks: crate::lacks::Lacks::default(),
        before: crate::replay::Before::default(),
        digests: false,
    };
    let loader = Loader::start(1, means, &commands, options.drain).expect("a thread");
    let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
    let readiness = Arc::new(Readiness::new(true));
    let shelf = Shelf::new(serving, Told::default(), readiness, Arc::new(watch::Sender::new(0)));
    let scanner = Scanner::new(&[root.path().to_path_buf()], engines.artifacts());
    let rooms = rooms(&options, &commands);
    let supplied = Some(Instant::now());
    let ends = Ends { scanner, loader, rooms, shelf, supplied };
    let mut manager = Manager::new(options, ends);
    manager.scan(&BTreeSet::new());
    manager.act();
    ByHand { root, manager, inbox }
}

impl ByHand {
    /// The next report of a loader.
    fn report(&mut self) {
        self.manager.handle(self.inbox.recv().expect("a loader lives"));
        self.manager.act();
    }
}

#[test]
fn loads_of_one_turn_share_a_scan() {
    let mut it = by_hand(&[]);
    let names = ["a", "b", "nobody"].map(|it| ModelName::new(it).expect("a name"));
    names[..2].iter().for_each(|name| put(it.root.path(), &format!("{name}/1/x"), ""));
    let mut answers = Vec::new();
    for name in &names {
        let (reply, answer) = oneshot::channel();
        it.manager.handle(Message::Load(name.clone(), reply));
        answers.push(answer);
    }
    assert!(it.manager.models.is_empty(), "a command by itself looks at nothing");
    it.manager.act();
    assert_eq!(
        it.manager.commands.waiting(),
        3,
        "and nobody is answered before the folder is seen"
    );
    let asked = it.manager.commands.asked();
    assert_eq!(asked, names.clone().into());
    it.manager.scan(&asked);
    assert!(it.manager.commands.asked().is_empty());
    it.manager.act();
    let answers = answers.into_iter().map(|mut it| it.try_recv().expect("an answer"));
    let words: Vec<String> =
        answers.map(|it| it.expect_err("nothing to load").to_string()).collect();
    let nothing = |it| {
        format!(
            "load failed for model '{it}': version 1: no file that an engine reads (model.fake)"
        )
    };
    assert_eq!(words[..2], [nothing("a"), nothing("b")]);
    assert_eq!(words[2], "failed to load 'nobody': the repository has no folder of that name");
}

#[test]
fn callers_that_have_gone_are_forgotten() {
    let script = format!("{}load_waits\n", constant(1));
    let mut it = by_hand(&[("m/1/model.fake", &script)]);
    let (reply, answer) = oneshot::channel();
    it.manager.handle(Message::Load(ModelName::new("m").expect("a name"), reply));
    it.manager.scan(&it.manager.commands.asked());
    it.manager.act();
    assert_eq!(it.manager.commands.waiting(), 1, "the load waits");
    drop(answer);
    it.manager.act();
    assert_eq!(it.manager.commands.waiting(), 0);
}

#[test]
fn failed_loads_leave_nothing_behind() {
    let mut it = by_hand(&[("m/1/model.fake", "nonsense")]);
    assert_eq!(it.manager.owners.len(), 1);
    it.report();
    assert_eq!(it.manager.owners.len(), 0);
}

/// Looks at the readiness in the moment in which it is woken.
struct Watcher {
    readiness: Arc<Readiness>,
    seen: Mutex<Vec<bool>>,
}

impl Wake for Watcher {
    fn wake(self: Arc<Watcher>) {
        self.seen.lock().expect("unharmed").push(self.readiness.is_ready());
    }
}

#[test]
fn whoever_is_told_of_a_change_sees_all_of_it() {
    let mut it = by_hand(&[("m/1/model.fake", &constant(1))]);
    let readiness = Arc::clone(it.manager.shelf.readiness());
    let watcher = Arc::new(Watcher { readiness, seen: Mutex::default() });
    let waker = Arc::clone(&watcher).into();
    let mut changes = it.manager.shelf.changes();
    let mut while_watched = |turn: &mut dyn FnMut()| {
        let mut change = Box::pin(changes.changed());
        let polled = change.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending(), "nothing has changed yet");
        turn();
        assert!(change.as_mut().poll(&mut Context::from_waker(&waker)).is_ready(), "it is told");
        std::mem::take(&mut *watcher.seen.lock().expect("unharmed"))
    };
    assert_eq!(while_watched(&mut || it.report()), [true], "the model has come up");
    let (reply, _answer) = oneshot::channel();
    let unload = Message::Unload(ModelName::new("m").expect("a name"), reply);
    it.manager.handle(unload);
    assert_eq!(while_watched(&mut || it.manager.act()), [false], "strictly, one is unserved");
}

#[tokio::test]
async fn readiness_waits_for_what_others_bring() {
    let awaited = Arc::new(AtomicUsize::new(1));
    let shared = Arc::clone(&awaited);
    let house = house_with(&[("m/1/model.fake", &constant(1))], |it| it.awaited = shared);
    house.shows("m/1:AVAILABLE").await;
    assert!(!house.lifecycle.readiness().is_ready(), "one is still to come");
    house.put("n/1/model.fake", &constant(2));
    awaited.fetch_sub(1, Ordering::Release);
    house.is_ready().await;
    assert_eq!(house.shown(), "m/1:AVAILABLE n/1:AVAILABLE");
}
