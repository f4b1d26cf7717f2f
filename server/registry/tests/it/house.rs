//! A cache and what it takes to pull into it.

use std::path::PathBuf;

use server_registry::{
    AddressPolicy, Cache, Environment, ErrorKind, Limits, Lock, Pulled, Puller, Registries,
    RegistryError, SignaturePolicy, Silent, Uri,
};
use tempfile::TempDir;

/// Everything but the registry.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) cache: Cache,
    pub(crate) lock: Lock,
    pub(crate) signatures: SignaturePolicy,
    pub(crate) policy: AddressPolicy,
    pub(crate) limits: Limits,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) docker_config: Option<String>,
}

impl House {
    pub(crate) fn new() -> House {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&folder.path().join("cache"), 1 << 30).expect("a cache");
        House {
            folder,
            cache,
            lock: Lock::default(),
            signatures: SignaturePolicy::Ignored,
            policy: AddressPolicy::default(),
            limits: Limits::default(),
            environment: Vec::new(),
            docker_config: None,
        }
    }

    pub(crate) fn registries(&self) -> Registries {
        let config = self.docker_config.as_ref().map(|text| {
            let path = self.folder.path().join("config.json");
            std::fs::write(&path, text).expect("written");
            path
        });
        let environment: Environment = self.environment.iter().cloned().collect();
        Registries::new(environment, config, self.policy, self.limits.clone())
    }

    pub(crate) async fn pull(&self, uri: &str) -> Result<Pulled, RegistryError> {
        let registries = self.registries();
        let uri: Uri = uri.parse().expect("an address");
        let puller = Puller {
            registries: &registries,
            cache: &self.cache,
            lock: &self.lock,
            signatures: &self.signatures,
            progress: &Silent,
        };
        puller.pull(&uri).await
    }

    /// What the cache has of it, without its registry.
    pub(crate) async fn offline(&self, uri: &str) -> Result<Pulled, RegistryError> {
        let registries = self.registries();
        let uri: Uri = uri.parse().expect("an address");
        let (cache, lock, signatures) = (&self.cache, &self.lock, &self.signatures);
        let puller = Puller { registries: &registries, cache, lock, signatures, progress: &Silent };
        puller.offline(&uri).await
    }

    /// Pulls, and says what was found: `path=text` for each file.
    pub(crate) async fn pulled(&self, uri: &str) -> String {
        told(&self.pull(uri).await.expect("a model"))
    }

    /// Pulls in vain: nothing is published, and the error is of this kind and says this.
    #[track_caller]
    pub(crate) fn refused(
        &self,
        found: Result<Pulled, RegistryError>,
        kind: ErrorKind,
        says: &str,
    ) {
        let error = found.expect_err("no model");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{says:?} is not in {error}");
        assert_eq!(self.cache.trees().expect("a list"), []);
    }

    /// Names in a folder of the cache.
    pub(crate) fn entries(&self, folder: &str) -> usize {
        std::fs::read_dir(self.cache.root().join(folder)).expect("a folder").count()
    }

    /// The one file that is on its way.
    pub(crate) fn partial(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.cache.root().join("partial")).expect("a folder");
        let mut paths = entries.map(|it| it.expect("an entry").path());
        paths.find(|it| it.extension().is_none()).expect("a partial file")
    }
}

pub(crate) fn told(pulled: &Pulled) -> String {
    let file = |path: &str| {
        let bytes = std::fs::read(pulled.lease.folder().join(path)).expect("bytes");
        format!("{path}={}", String::from_utf8_lossy(&bytes))
    };
    let files = pulled.lease.listing().iter().map(|(path, _)| file(path.as_str()));
    files.collect::<Vec<_>>().join(" ")
}
