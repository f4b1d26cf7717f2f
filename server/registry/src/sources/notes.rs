//! Notes: small files that this server keeps where models are, in a folder or below the prefix of a store.

use bytes::Bytes;

use super::Registries;
use crate::cache::replace;
use crate::error::{RegistryError, local};
use crate::path::RelativePath;
use crate::thread;
use crate::uri::{Place, Uri};

impl Uri {
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
        thread::run("registry/note", move || {
            let parent = at.parent().unwrap_or(&at);
            std::fs::create_dir_all(parent).map_err(local("make", parent))?;
            replace(&at, &bytes)
        })
        .await
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

    #[tokio::test]
    async fn a_note_is_a_file() {
        let root = tempfile::tempdir().expect("scratch");
        let (environment, policy) = (Environment::default(), AddressPolicy::default());
        let registries = Registries::new(environment, None, policy, Limits::default());
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
