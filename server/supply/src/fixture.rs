//! Something to pull from and into for the tests of this crate, and a world that wants what a test says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use server_base::{ModelName, Origins, Version};
use server_registry::{
    AddressPolicy, Cache, Environment, Limits, Lock, Registries, SignaturePolicy, Uri,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::desk::Desk;
use crate::folder::ModelFolder;
use crate::supply::{Fate, Stock, World};
use crate::target::Target;

/// A world in which nobody wants anything but this.
#[derive(Default)]
pub(crate) struct Wants {
    /// Of rollouts.
    pub(crate) versions: Vec<u64>,
    /// These cannot be loaded.
    pub(crate) failed: Vec<u64>,
    /// There is no such key in settings.
    pub(crate) unknown: Option<&'static str>,
}

impl World for Wants {
    fn fate(&self, _: &ModelName, version: Version) -> Fate {
        let is_in = |it: &[u64]| it.contains(&version.0);
        match (is_in(&self.versions), is_in(&self.failed)) {
            (true, _) => Fate::Needed,
            (false, true) => Fate::Failed,
            (false, false) => Fate::Idle,
        }
    }

    fn wanted(&self) -> Vec<(ModelName, Version)> {
        of_wine(&self.versions)
    }

    fn failed(&self) -> Vec<(ModelName, Version)> {
        of_wine(&self.failed)
    }

    fn faults(&self, settings: &str) -> Vec<String> {
        let unknown = self.unknown.filter(|it| settings.contains(it));
        unknown.map(|it| format!("rollout: unknown field `{it}`")).into_iter().collect()
    }
}

fn of_wine(versions: &[u64]) -> Vec<(ModelName, Version)> {
    versions.iter().map(|it| (model("wine"), Version(*it))).collect()
}

pub(crate) fn model(name: &str) -> ModelName {
    ModelName::new(name).expect("a name")
}

pub(crate) fn uri(text: &str) -> Uri {
    text.parse().expect("an address")
}

/// A model of that address, about which nothing else is said.
pub(crate) fn target(name: &str, source: Uri) -> Target {
    Target {
        model: model(name),
        source,
        labels: BTreeMap::new(),
        promoted_alias: None,
        verdicts: None,
        poll: Duration::ZERO,
        settings: toml::Table::new(),
    }
}

/// Registries that anybody may ask, and signatures that nobody looks at.
pub(crate) fn stock(root: &Path) -> Stock {
    let cache = Cache::open(&root.join("cache"), 1 << 30).expect("a cache");
    let policy = AddressPolicy::default();
    let registries = Registries::new(Environment::default(), None, policy, Limits::default());
    let (lock, signatures) = (Lock::default(), SignaturePolicy::Ignored);
    Stock { registries, cache, lock, signatures, artifacts: vec!["model.onnx"] }
}

/// A folder with a cache, a registry of numbered folders, and a house of models.
pub(crate) struct Place {
    pub(crate) root: TempDir,
    pub(crate) stock: Stock,
}

impl Place {
    pub(crate) fn new() -> Place {
        let root = tempfile::tempdir().expect("scratch");
        let stock = stock(root.path());
        Place { root, stock }
    }

    pub(crate) fn source(&self) -> Uri {
        uri(&format!("file:{}", self.root.path().join("registry").display()))
    }

    /// A file of a version of the registry.
    pub(crate) fn file(&self, version: u64, name: &str) -> PathBuf {
        self.root.path().join("registry").join(version.to_string()).join(name)
    }

    /// The registry has that version from now on.
    pub(crate) fn publish(&self, version: u64, (name, content): (&str, &str)) {
        let file = self.file(version, name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, content).expect("written");
    }

    pub(crate) fn house(&self) -> PathBuf {
        self.root.path().join("house")
    }

    /// One that is started with its house still empty.
    pub(crate) fn desk<'a>(
        &'a self,
        world: &'a dyn World,
        (origins, targets): (&'a Origins, Vec<Target>),
    ) -> Desk<'a> {
        let house = self.house();
        let _ = fs::remove_dir_all(&house); // of the process before
        fs::create_dir_all(&house).expect("made");
        let folder = |it: Target| ModelFolder::new(&house, it).expect("a folder");
        Desk::new((&self.stock, world), origins, targets.into_iter().map(folder).collect())
    }
}

/// A web server on this machine until the test ends.
pub(crate) async fn web<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}
