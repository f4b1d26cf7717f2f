//! The other way: what this server keeps in an object store.

use std::fmt;

use bytes::Bytes;

use super::Registries;
use super::store::Store;
use crate::error::RegistryError;
use crate::uri::{Place, Uri};

/// A prefix of a bucket that new objects are put under.
pub struct Deposit(Store);

impl fmt::Debug for Deposit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl Deposit {
    /// Puts a new object at `path` below the prefix. False: there is one, which stays as it is.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<bool, RegistryError> {
        self.0.put_new(path, bytes).await
    }
}

impl Registries {
    /// Where objects are put. Asks nothing of the network yet.
    pub fn deposit(&self, uri: &Uri) -> Result<Deposit, RegistryError> {
        let Place::Store { version: None, .. } = &uri.place else {
            let words = format!("{uri} is no prefix such as s3://BUCKET/PREFIX, gs:// or az://");
            return Err(RegistryError::Invalid(words));
        };
        Ok(Deposit(Store::new(self.http().clone(), self.environment(), &uri.place)?))
    }
}
