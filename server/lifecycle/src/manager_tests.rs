use super::*;

use std::fs;
use std::path::Path;

use backend_fake::Fake;
use server_base::{InferRequest, NamedTensor, Protocol, VersionChoice};
use server_serving::{Admission, AdmissionLimits, InferError};
use tempfile::TempDir;

use crate::config::Defaults;
use crate::engines::Engines;
use crate::handle::Lifecycle;
use crate::start::start;

/// A repository, its lifecycle and the serving side. Nothing sleeps: the test waits for the
/// index to say what it expects.
struct House {
    root: TempDir,
    fake: Fake,
    serving: Arc<Serving>,
    lifecycle: Lifecycle,
}

fn constant(value: u32) -> String {
    format!("input x FP32 rows,1\noutput y FP32 rows,1 = constant {value}\n")
}

/// Puts a version there whole, as a careful copy does.
fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    let part = path.with_extension("part");
    fs::write(&part, content).expect("write");
    fs::rename(part, path).expect("rename");
}

fn house(files: &[(&str, &str)]) -> House {
    let root = tempfile::tempdir().expect("scratch");
    files.iter().for_each(|(path, content)| put(root.path(), path, content));
    let fake = Fake::new();
    let engines = Engines::new(
        vec![Arc::new(fake.clone())],
        vec![("onnxruntime", "its library is missing".to_owned())],
    );
    let options = Options {
        repository: root.path().to_path_buf(),
        scan_interval: Duration::from_millis(5),
        rest: Duration::ZERO,
        loader_threads: 2,
        drain: Duration::from_secs(60),
        strict_readiness: false,
        defaults: Defaults {
            instances: 1,
            transition: crate::policy::Transition::Availability,
            engines: engines.names(),
        },
    };
    let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
    let lifecycle = start(options, engines, Arc::clone(&serving)).expect("starts");
    House { root, fake, serving, lifecycle }
}

impl House {
    fn put(&self, path: &str, content: &str) {
        put(self.root.path(), path, content);
    }

    /// The index as words `model/version:STATE`.
    fn shown(&self) -> String {
        let line = |it: &Entry| {
            let version = it.version.map_or("-".to_owned(), |it| it.to_string());
            format!("{}/{version}:{}", it.model, it.state)
        };
        self.lifecycle.index().iter().map(line).collect::<Vec<_>>().join(" ")
    }

    /// Waits until the index shows that.
    async fn shows(&self, expect: &str) {
        let mut changes = self.lifecycle.changes();
        let wait = async {
            while self.shown() != expect {
                changes.changed().await.expect("the manager lives");
            }
        };
        let patience = tokio::time::timeout(Duration::from_secs(20), wait);
        patience.await.unwrap_or_else(|_| panic!("{} instead of {expect}", self.shown()));
    }

    async fn is_ready(&self) {
        let mut changes = self.lifecycle.changes();
        while !self.lifecycle.readiness().is_ready() {
            changes.changed().await.expect("the manager lives");
        }
    }

    fn reason(&self, version: u64) -> String {
        let index = self.lifecycle.index();
        let entry = index.iter().find(|it| it.version == Some(Version(version)));
        entry.map(|it| it.reason.clone()).unwrap_or_default()
    }

    /// Waits until the reason of a version is such.
    async fn says(&self, version: u64, expect: impl Fn(&str) -> bool) {
        let mut changes = self.lifecycle.changes();
        while !expect(&self.reason(version)) {
            changes.changed().await.expect("the manager lives");
        }
    }

    async fn ask(&self, version: &str) -> Result<f32, InferError> {
        let tensor = backend_api::Tensor::from_elements(&[1, 1], &[0.0_f32]).expect("one");
        let request = InferRequest {
            model: "m".to_owned(),
            version: VersionChoice::parse(version).expect("a version"),
            inputs: vec![NamedTensor { name: "x".into(), tensor }],
            outputs: Vec::new(),
            timeout: None,
        };
        let mut trip = self.serving.trip(Protocol::Http);
        let response = self.serving.infer(request, &mut trip).await?;
        Ok(response.outputs[0].tensor.view::<f32>().expect("floats")[0])
    }
}

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
        ("m/1:END", "no file that an engine reads")
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
async fn models_are_loaded_and_unloaded_on_command() {
    let house = house(&[("m/1/model.fake", &constant(1))]);
    house.shows("m/1:AVAILABLE").await;
    house.lifecycle.unload("m").await.expect("unloads");
    house.ask("").await.expect_err("out of the table before the command returns");
    house.shows("m/1:END").await;
    assert_eq!(house.reason(1), "unloaded");
    house.put("m/2/model.fake", &constant(2));
    house.lifecycle.load("m").await.expect("loads");
    assert_eq!(house.ask("").await, Ok(2.0));
    house.lifecycle.unload("nobody").await.expect("has been unloaded already");
    let unknown = house.lifecycle.load("nobody").await;
    assert_eq!(unknown, Err(LifecycleError::Unknown { model: "nobody".to_owned() }));
    house.lifecycle.load("../etc").await.expect_err("no name");
}

#[tokio::test]
async fn a_load_on_command_reports_failure_and_can_be_repeated() {
    let house = house(&[("m/1/model.fake", &format!("{}loads_failing 1\n", constant(1)))]);
    house.shows("m/1:END").await;
    house.lifecycle.load("m").await.expect("the second attempt succeeds");
    house.put("m/model.toml", "engine = \"onnxruntime\"");
    let error = house.lifecycle.load("m").await.expect_err("not here");
    assert!(
        error.to_string().ends_with("engine onnxruntime is not available: its library is missing"),
        "{error}"
    );
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
    let options = Options {
        repository: "/nowhere/at/all".into(),
        scan_interval: Duration::from_secs(1),
        rest: Duration::ZERO,
        loader_threads: 1,
        drain: Duration::ZERO,
        strict_readiness: false,
        defaults: Defaults {
            instances: 1,
            transition: crate::policy::Transition::Availability,
            engines: vec![],
        },
    };
    let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
    start(options, Engines::default(), serving).err().expect("no repository, no server");
}
