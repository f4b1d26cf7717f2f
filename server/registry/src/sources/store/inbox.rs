//! The other end of an outbox: objects of a prefix, listed from a place on and copied one by one.

use std::fmt;
use std::io::Write;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use tokio::time::timeout;

use super::{Store, failed};
use crate::error::RegistryError;
use crate::path::RelativePath;
use crate::source::{Form, Remote, Source as _};
use crate::sources::Registries;
use crate::uri::{Place, Uri};

/// Models of a log, or versions of a model: more than any server has.
const NAMES_MAX: usize = 100_000;

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its path below the folder that was listed.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it was written, in microseconds since 1970, as the store says.
    pub written: i64,
}

/// A prefix of a bucket whose objects are read.
pub struct Collection(Store);

impl fmt::Debug for Collection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl Collection {
    /// At most so many objects below a folder of the prefix whose paths there are behind `after`, in the
    /// order of their paths. Nothing there is no error.
    pub async fn list(
        &self,
        folder: &str,
        (after, most): (&str, usize),
    ) -> Result<Vec<Stored>, RegistryError> {
        let Collection(Store { store, name, limits, .. }) = self;
        let (prefix, offset) = (self.at(folder)?, self.at(&format!("{folder}/{after}"))?);
        let mut listed = store.list_with_offset(Some(&prefix), &offset);
        let mut found = Vec::new();
        let whole = async {
            while let Some(it) = listed.try_next().await? {
                if it.location <= offset {
                    continue; // of a store that knows no place to begin at
                }
                let path: Option<String> = it.location.prefix_match(&prefix).map(|parts| {
                    parts.map(|it| it.as_ref().to_owned()).collect::<Vec<_>>().join("/")
                });
                let written = it.last_modified.timestamp_micros();
                found.extend(path.map(|path| Stored { path, size: it.size, written }));
                if found.len() >= most {
                    break;
                }
            }
            Ok(())
        };
        let waited = limits.look_max;
        match timeout(waited, whole).await {
            Err(_) => {
                let words = format!("{name}: no list of {folder} within {waited:?}");
                return Err(RegistryError::Slow(words));
            }
            Ok(Err(error)) => return Err(failed(name, error)),
            Ok(Ok(())) => {}
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The names in a folder of the prefix, of objects and of folders. Nothing there is no error.
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, RegistryError> {
        self.0.names(folder, NAMES_MAX).await
    }

    /// Copies an object that was listed as of that size.
    pub async fn copy(
        &self,
        path: &str,
        size: u64,
        to: &mut (dyn Write + Send),
    ) -> Result<(), RegistryError> {
        let at = self.at(path)?.to_string();
        let relative = RelativePath::new(path)?;
        let (known, form) = (Some(size), Form::Plain);
        let file = Remote { path: relative, size: known, digest: None, validator: None, form, at };
        let mut pieces = self.0.fetch(&file, 0).await?.pieces;
        let wrong = |why: String| RegistryError::Answer(format!("{}: {path}: {why}", self.0.name));
        let mut copied = 0;
        while let Some(piece) = pieces.try_next().await? {
            copied += piece.len() as u64;
            if copied > size {
                return Err(wrong(format!("more than the {size} bytes that were listed")));
            }
            to.write_all(&piece).map_err(|it| {
                let words = format!("{}: {path}: cannot be kept: {it}", self.0.name);
                RegistryError::Local(words, it)
            })?;
        }
        if copied < size {
            return Err(wrong(format!("{copied} bytes where {size} were listed")));
        }
        Ok(())
    }

    fn at(&self, path: &str) -> Result<Path, RegistryError> {
        let path = [self.0.prefix.trim_matches('/'), path].join("/");
        let wrong = |error| RegistryError::Invalid(format!("{}: {error}", self.0.name));
        Path::parse(path.trim_matches('/')).map_err(wrong)
    }
}

impl Registries {
    /// The objects of a prefix, to be read: `s3://`, `gs://` and `az://`.
    pub fn collection(&self, uri: &Uri) -> Result<Collection, RegistryError> {
        let Place::Store { version: None, .. } = &uri.place else {
            let words = format!("{uri}: expected s3://BUCKET/PREFIX, gs://.. or az://..");
            return Err(RegistryError::Invalid(words));
        };
        let store = Store::new(self.http().clone(), self.environment(), &uri.place)?;
        Ok(Collection(store))
    }
}
