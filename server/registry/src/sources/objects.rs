//! Small objects of an object store that are made, replaced, read and taken away: what replicas share.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use object_store::{Error, ObjectStoreExt as _};

use super::Registries;
use super::store::{Store, failed};
use crate::error::RegistryError;
use crate::uri::{Place, Uri};

/// Names in one folder. Whoever asks for a folder holds all of them; the owner of the objects keeps fewer. No page
/// is asked for beyond.
const NAMES_MAX: usize = 10_000;

/// A prefix of a bucket, below which objects are named as files are: `folder/.../name`. Every call comes back
/// within `look_max` of the limits.
pub struct Objects(Store);

impl fmt::Debug for Objects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl Objects {
    /// The address, for people.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Makes an object that is not there, by a conditional put; false: there is one, which stays as it is.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<bool, RegistryError> {
        self.0.put_new(path, bytes).await
    }

    /// Makes an object, or puts another in its place.
    pub async fn replace(&self, path: &str, bytes: Bytes) -> Result<(), RegistryError> {
        let (path, name) = self.0.below(path)?;
        let put = self.0.store.put(&path, bytes.into());
        self.0.in_time(&name, put).await?.map(drop).map_err(|error| failed(&name, error))
    }

    /// An object's bytes, if it is there. More than `most` are refused, whatever the store says of its size.
    pub async fn read(&self, path: &str, most: usize) -> Result<Option<Bytes>, RegistryError> {
        let (path, name) = self.0.below(path)?;
        let large = || RegistryError::TooLarge(format!("{name} has more than {most} bytes"));
        let read = async {
            let got = match self.0.store.get(&path).await {
                Err(Error::NotFound { .. }) => return Ok(None),
                got => got.map_err(|error| failed(&name, error))?,
            };
            if usize::try_from(got.meta.size).map_or(true, |it| it > most) {
                return Err(large());
            }
            let (mut bytes, mut pieces) = (BytesMut::new(), got.into_stream());
            while let Some(piece) = pieces.try_next().await.map_err(|it| failed(&name, it))? {
                if bytes.len().saturating_add(piece.len()) > most {
                    return Err(large());
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(Some(bytes.freeze()))
        };
        self.0.in_time(&name, read).await?
    }

    /// Several at once, in their order: each as [`Objects::read`] gives it.
    pub async fn read_all(
        &self,
        paths: &[String],
        most: usize,
    ) -> Vec<Result<Option<Bytes>, RegistryError>> {
        join_all(paths.iter().map(|it| self.read(it, most))).await
    }

    /// The names in a folder, of objects and of folders, which need not be there.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, RegistryError> {
        self.0.names(folder, NAMES_MAX).await
    }

    /// Takes an object away, if it is there.
    pub async fn remove(&self, path: &str) -> Result<(), RegistryError> {
        let (path, name) = self.0.below(path)?;
        let removed = self.0.store.delete(&path);
        match self.0.in_time(&name, removed).await? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&name, error)),
        }
    }
}

impl Registries {
    /// Where objects are kept. Asks nothing of the network yet.
    pub fn objects(&self, uri: &Uri) -> Result<Objects, RegistryError> {
        let Place::Store { version: None, .. } = &uri.place else {
            let words = format!("{uri} is no prefix such as s3://BUCKET/PREFIX, gs:// or az://");
            return Err(RegistryError::Invalid(words));
        };
        Ok(Objects(Store::new(self.http().clone(), self.environment(), &uri.place)?))
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
