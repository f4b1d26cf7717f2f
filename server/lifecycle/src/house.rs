//! A lifecycle on a folder of scripted models, for the tests of this crate.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backend_fake::Fake;
use server_base::{InferRequest, NamedTensor, Protocol, Version, VersionChoice};
use server_serving::{Admission, AdmissionLimits, Cores, InferError, Prospect, Serving};
use tempfile::TempDir;

use crate::clock::Clock;
use crate::config::Defaults;
use crate::engines::Engines;
use crate::handle::{Entry, Lifecycle};
use crate::start::{Options, start};

/// A repository, its lifecycle and the serving side. Nothing sleeps: the test waits for the
/// index to say what it expects.
pub(crate) struct House {
    pub(crate) root: TempDir,
    pub(crate) fake: Fake,
    pub(crate) serving: Arc<Serving>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) clock: Clock,
}

/// A script that always answers the same.
pub(crate) fn constant(value: u32) -> String {
    format!("input x FP32 rows,1\noutput y FP32 rows,1 = constant {value}\n")
}

/// Puts a version there whole, as a careful copy does.
pub(crate) fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    let part = path.with_extension("part");
    fs::write(&part, content).expect("write");
    fs::rename(part, path).expect("rename");
}

pub(crate) fn engines(fake: &Fake) -> Engines {
    let missing = ("onnxruntime", "no library in /opt/lib".to_owned());
    Engines::new(vec![Arc::new(fake.clone())], vec![missing])
}

pub(crate) fn options(root: &Path, engines: &Engines) -> Options {
    Options {
        repositories: vec![root.to_path_buf()],
        awaited: Arc::default(),
        scan_interval: Duration::from_millis(5),
        rest: Duration::ZERO,
        loader_threads: 2,
        drain: Duration::from_secs(60),
        strict_readiness: false,
        cores: Cores::new(2),
        loaded_models_max: None,
        model_memory_max: None,
        memory: crate::memory::Gauge::new(|| None),
        gpus: crate::placement::Gpus::default(),
        clock: Clock::stopped(),
        audit: crate::audit::Audit::default(),
        digests: false,
        log: None,
        requests: None,
        monitors: None,
        lacks: crate::lacks::Lacks::default(),
        defaults: Defaults {
            instances: 1,
            transition: crate::policy::Transition::Availability,
            load: crate::config::LoadPolicy::Eager,
            engines: engines.names(),
        },
        directions: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn house(files: &[(&str, &str)]) -> House {
    house_with(files, |_| {})
}

pub(crate) fn house_with(files: &[(&str, &str)], change: impl FnOnce(&mut Options)) -> House {
    house_of(Fake::new(), files, change)
}

/// Of an engine that takes any GPU.
pub(crate) fn house_on_gpus(files: &[(&str, &str)], change: impl FnOnce(&mut Options)) -> House {
    house_of(Fake::new().on_gpus(1), files, change)
}

pub(crate) fn house_of(
    fake: Fake,
    files: &[(&str, &str)],
    change: impl FnOnce(&mut Options),
) -> House {
    let root = tempfile::tempdir().expect("scratch");
    files.iter().for_each(|(path, content)| put(root.path(), path, content));
    let engines = engines(&fake);
    let mut options = options(root.path(), &engines);
    change(&mut options);
    let clock = options.clock.clone();
    let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
    let lifecycle = start(options, engines, Arc::clone(&serving)).expect("starts");
    House { root, fake, serving, lifecycle, clock }
}

impl House {
    pub(crate) fn put(&self, path: &str, content: &str) {
        put(self.root.path(), path, content);
    }

    /// The index as words `model/version:STATE`.
    pub(crate) fn shown(&self) -> String {
        let line = |it: &Entry| {
            let version = it.version.map_or("-".to_owned(), |it| it.to_string());
            format!("{}/{version}:{}", it.model, it.state)
        };
        self.lifecycle.index().iter().map(line).collect::<Vec<_>>().join(" ")
    }

    /// Waits until the index shows that.
    pub(crate) async fn shows(&self, expect: &str) {
        let mut changes = self.lifecycle.changes();
        let wait = async {
            while self.shown() != expect {
                changes.changed().await.expect("the manager lives");
            }
        };
        let patience = tokio::time::timeout(Duration::from_secs(20), wait);
        patience.await.unwrap_or_else(|_| panic!("{} instead of {expect}", self.shown()));
    }

    pub(crate) async fn is_ready(&self) {
        let mut changes = self.lifecycle.changes();
        while !self.lifecycle.readiness().is_ready() {
            changes.changed().await.expect("the manager lives");
        }
    }

    pub(crate) fn reason(&self, version: u64) -> String {
        let index = self.lifecycle.index();
        let entry = index.iter().find(|it| it.version == Some(Version(version)));
        entry.map(|it| it.reason.clone()).unwrap_or_default()
    }

    /// Waits until the reason of a version is such.
    pub(crate) async fn says(&self, version: u64, expect: impl Fn(&str) -> bool) {
        let mut changes = self.lifecycle.changes();
        let wait = async {
            while !expect(&self.reason(version)) {
                changes.changed().await.expect("the manager lives");
            }
        };
        let patience = tokio::time::timeout(Duration::from_secs(20), wait);
        patience.await.unwrap_or_else(|_| panic!("it says {:?}", self.reason(version)));
    }

    /// Waits until these versions, and no others, are kept for a roll-back.
    pub(crate) async fn says_warm(&self, expect: &[u64]) {
        let mut changes = self.lifecycle.changes();
        let warm = || -> Vec<u64> {
            let index = self.lifecycle.index();
            index.iter().filter(|it| it.is_warm).filter_map(|it| Some(it.version?.0)).collect()
        };
        let wait = async {
            while warm() != expect {
                changes.changed().await.expect("the manager lives");
            }
        };
        let patience = tokio::time::timeout(Duration::from_secs(20), wait);
        patience.await.unwrap_or_else(|_| panic!("{:?} instead of {expect:?}", warm()));
    }

    /// Waits until a scan and a look at who was used have come to their end.
    pub(crate) async fn is_looked_at(&self) {
        // Its answer comes at the end of a turn that began after this.
        let (seen, clock) = (self.lifecycle.unload("nobody").await, &self.clock);
        seen.expect("the manager lives");
        clock.advance(Duration::from_secs(1));
        self.lifecycle.unload("nobody").await.expect("the manager lives");
        self.lifecycle.unload("nobody").await.expect("the manager lives");
    }

    /// Waits until what the table says of a model that is loaded on demand is such.
    async fn promises(&self, model: &str, expect: impl Fn(Option<&Prospect>) -> bool) {
        let wait = async {
            while !expect(
                self.serving
                    .table()
                    .model(model)
                    .and_then(|it| it.on_demand())
                    .map(|it| &it.prospect),
            ) {
                self.lifecycle.unload("nobody").await.expect("the manager lives");
            }
        };
        let patience = tokio::time::timeout(Duration::from_secs(20), wait);
        patience.await.unwrap_or_else(|_| panic!("{}", self.shown()));
    }

    /// Waits until a request would have it loaded.
    pub(crate) async fn is_registered(&self, model: &str) {
        self.promises(model, |it| it == Some(&Prospect::Registered)).await;
    }

    pub(crate) async fn ask(&self, version: &str) -> Result<f32, InferError> {
        self.ask_model("m", version, None).await
    }

    pub(crate) async fn ask_model(
        &self,
        model: &str,
        version: &str,
        timeout: Option<Duration>,
    ) -> Result<f32, InferError> {
        self.ask_all((model, version), 0.0, timeout).await
    }

    /// With this number as the input.
    pub(crate) async fn ask_value(&self, to: (&str, &str), value: f32) -> Result<f32, InferError> {
        self.ask_all(to, value, None).await
    }

    async fn ask_all(
        &self,
        (model, version): (&str, &str),
        value: f32,
        timeout: Option<Duration>,
    ) -> Result<f32, InferError> {
        let tensor = backend_api::Tensor::from_elements(&[1, 1], &[value]).expect("one");
        let request = InferRequest {
            model: model.into(),
            version: VersionChoice::parse(version).expect("a version"),
            inputs: [NamedTensor { name: "x".into(), tensor }].into_iter().collect(),
            outputs: Default::default(),
            timeout,
        };
        let mut trip = self.serving.trip(Protocol::Http);
        let (submitted, answer) = self.serving.infer(request, &mut trip).await?;
        Ok(submitted.response(answer, &mut trip).outputs[0].tensor.view::<f32>().expect("floats")
            [0])
    }
}
