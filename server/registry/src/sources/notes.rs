//! Notes: small files that this server keeps where models are, in a folder or below the prefix of a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Registries;
use crate::cache::replace;
use crate::error::{RegistryError, local};
use crate::path::RelativePath;
use crate::thread;
use crate::uri::{Place, Uri};

/// How long a folder is waited for: a disk takes milliseconds, a file server that hangs takes for ever.
const NOTE_MAX: Duration = Duration::from_secs(30);

/// The folders in which notes are kept: as many as in the settings. A thread that hangs in one cannot be ended, so
/// there is one for each folder at most.
#[derive(Debug, Default)]
pub(super) struct Folders(std::sync::Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>);

impl Folders {
    fn turn(&self, folder: &Path) -> Arc<Mutex<()>> {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.entry(folder.to_owned()).or_default().clone()
    }
}

impl Uri {
    /// Has its registry a place for verdicts on the versions of its models?
    pub fn takes_verdicts(&self) -> bool {
        match &self.place {
            Place::Mlflow { .. } => true,
            Place::File { .. }
            | Place::Store { .. }
            | Place::Web { .. }
            | Place::Oci { .. }
            | Place::Hf { .. } => false,
        }
    }

    /// Is it a place where notes can be kept?
    pub fn takes_notes(&self) -> bool {
        match &self.place {
            Place::File { version, .. } | Place::Store { version, .. } => version.is_none(),
            Place::Mlflow { .. } | Place::Web { .. } | Place::Oci { .. } | Place::Hf { .. } => {
                false
            }
        }
    }
}

impl Registries {
    /// Keeps a note at `path` below an address that takes some. One of that name is the same: nothing changes.
    pub async fn note(&self, uri: &Uri, path: &str, bytes: Bytes) -> Result<(), RegistryError> {
        let Place::File { path: folder, version: None } = &uri.place else {
            return self.deposit_note(uri, path, bytes).await;
        };
        let at = folder.join(RelativePath::new(path)?.as_str());
        let turn = self.notes.turn(folder);
        let keep = async {
            let turn = turn.lock_owned().await;
            let work = move || {
                let _turn = turn; // until the work is done, however long anybody waits for it
                let parent = at.parent().unwrap_or(&at);
                std::fs::create_dir_all(parent).map_err(local("make", parent))?;
                replace(&at, &bytes)
            };
            thread::run("registry/note", work).await
        };
        let slow = |_| Err(RegistryError::Slow(format!("{uri}: no note kept within {NOTE_MAX:?}")));
        timeout(NOTE_MAX, keep).await.unwrap_or_else(slow)
    }

    #[cfg(feature = "remotes")]
    async fn deposit_note(&self, uri: &Uri, path: &str, bytes: Bytes) -> Result<(), RegistryError> {
        self.deposit(uri)?.put(path, bytes).await.map(drop)
    }

    #[cfg(not(feature = "remotes"))]
    async fn deposit_note(&self, uri: &Uri, _: &str, _: Bytes) -> Result<(), RegistryError> {
        let words = format!("{uri}: this server was built without registries; file: is left");
        Err(RegistryError::Invalid(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::http::AddressPolicy;
    use crate::limits::Limits;
    use crate::secret::Environment;

    #[test]
    fn some_addresses_take_notes() {
        let takes = |it: &str| it.parse::<Uri>().expect("an address").takes_notes();
        assert!(takes("file:/srv/verdicts") && takes("s3://bucket/verdicts"));
        for it in ["s3://bucket/x?version=3", "mlflow://h/wine@champion", "https://h/x"] {
            assert!(!takes(it), "{it}");
        }
    }

    #[test]
    fn some_registries_take_verdicts() {
        let takes = |it: &str| it.parse::<Uri>().expect("an address").takes_verdicts();
        assert!(takes("mlflow://h/wine@champion"));
        for it in [
            "file:/srv/wine",
            "s3://bucket/wine",
            "https://h/x",
            "oci://h.example/x:1",
            "hf://o/x@1",
        ] {
            assert!(!takes(it), "{it}");
        }
    }

    fn registries() -> Registries {
        let (environment, policy) = (Environment::default(), AddressPolicy::default());
        Registries::new(environment, None, policy, Limits::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_hangs_is_not_waited_for_and_has_one_thread() {
        let root = tempfile::tempdir().expect("scratch");
        let (registries, folder) = (registries(), root.path().join("new"));
        let uri: Uri = format!("file:{}", folder.display()).parse().expect("an address");
        let _hangs = registries.notes.turn(&folder).lock_owned().await;
        let kept = registries.clone().note(&uri, "wine/3/5-held.json", Bytes::new()).await;
        assert_eq!(kept.expect_err("hangs").kind(), crate::error::ErrorKind::Slow);
        assert!(!folder.exists(), "nobody else has begun");
        assert!(registries.notes.turn(root.path()).try_lock().is_ok(), "another waits for nobody");
    }

    #[tokio::test]
    async fn a_note_is_a_file() {
        let root = tempfile::tempdir().expect("scratch");
        let registries = registries();
        let uri: Uri = format!("file:{}/new", root.path().display()).parse().expect("an address");
        for _ in 0..2 {
            let note = Bytes::from_static(b"{}");
            registries.note(&uri, "wine/3/5-held.json", note).await.expect("kept");
        }
        let kept = std::fs::read_to_string(root.path().join("new/wine/3/5-held.json"));
        assert_eq!(kept.expect("there"), "{}");
        let out = registries.note(&uri, "../x", Bytes::new()).await.expect_err("leads out");
        assert!(out.to_string().contains("no name for a file"), "{out}");
    }
}
