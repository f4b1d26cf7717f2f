//! What a registry is to the rest of the server: something that resolves and fetches.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::timeout;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::judge::Judge;
use crate::path::RelativePath;
use crate::uri::Uri;

/// One model's place in a registry.
///
/// Implementers answer within the limits they were made with, follow no pointer to private addresses
/// that others wrote, and keep nothing: what was seen last is given back to them by the caller.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// What the address names now. `known` is the identity that was seen last: if it is the same still,
    /// the answer may be `Unchanged`, for the price of one small request where the registry can (a store
    /// lists, a thousand objects a request). Opens no files and blocks nobody.
    ///
    /// One try: pauses and retries are the caller's (`Rounds`).
    async fn resolve(&self, known: Option<&str>) -> Result<Resolution, RegistryError>;

    /// The bytes of one of the files that `resolve` named, from byte `from` on if the registry can do
    /// that and knows the content to be the same; from the beginning otherwise.
    async fn fetch(&self, file: &Remote, from: u64) -> Result<Fetched, RegistryError>;

    /// Shows the judge the signatures that the registry keeps beside a manifest, in few small requests, until one
    /// is good. Kinds of registry that keep none have none; there a model may hold one itself.
    async fn vouchers(&self, judge: &mut Judge<'_>);
}

/// `Source::resolve` within the time for it.
pub(crate) async fn look(
    uri: &Uri,
    source: &dyn Source,
    known: Option<&str>,
    most: Duration,
) -> Result<Resolution, RegistryError> {
    match timeout(most, source.resolve(known)).await {
        Ok(resolution) => resolution,
        Err(_) => Err(RegistryError::Slow(format!("{uri}: not resolved within {most:?}"))),
    }
}

/// What an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The same as before.
    Unchanged,
    /// This.
    Manifest(Manifest),
}

/// A version of a model as its registry describes it. None of this has been verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Names the content: equal identities of one source mean equal content, as far as the registry
    /// can tell. Opaque but for its source.
    pub identity: String,
    /// Its number, where the registry has numbers.
    pub version: Option<u64>,
    /// What there is to fetch.
    pub files: Vec<Remote>,
    /// Tags and aliases that people gave it.
    pub tags: BTreeMap<String, String>,
    /// Where it was made: run, source, created at. Words for people.
    pub provenance: BTreeMap<String, String>,
}

/// Something that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it belongs within the model; for an archive, only a name.
    pub path: RelativePath,
    /// Its length, where declared. More bytes than that are refused.
    pub size: Option<u64>,
    /// Its digest, where declared.
    pub digest: Option<Digest>,
    /// A strong validator (an ETag): fetches that go on must be of the same.
    pub validator: Option<String>,
    /// What becomes of it.
    pub form: Form,
    /// Where the source finds it.
    pub(crate) at: String,
}

/// What becomes of bytes once they are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// They are a file.
    Plain,
    /// They are a tar archive of files.
    Tar {
        /// Compressed with gzip.
        gzip: bool,
        /// Only this folder of it counts, and becomes the root: `models` of a modelcar.
        folder: String,
    },
}

/// The bytes of a file, a piece at a time.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, RegistryError>> + Send>>;

/// A file on its way.
pub struct Fetched {
    /// Place of the first byte that comes: what was asked for, or 0.
    pub from: u64,
    /// Length of the whole file, where the registry says so.
    pub size: Option<u64>,
    pub(crate) pieces: Pieces,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Fetched").field("from", &self.from).field("size", &self.size).finish()
    }
}
