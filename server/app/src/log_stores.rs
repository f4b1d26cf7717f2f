//! The prediction log in object stores: Parquet files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use bytes::Bytes;
#[cfg(feature = "truth")]
use server_feedback::{LABELS_SUFFIX, LabelFiles};
use server_feedback::{ParquetSink, Place, Sink, Whole};
use server_registry::{Deposit, Digest, Registries, RegistryError, Uri};
#[cfg(feature = "truth")]
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

#[cfg(feature = "truth")]
use crate::log_sinks;

/// Bytes of rows in a file of an object store, as they are in memory: it is put there at once, out of
/// memory.
const FILE_BYTES_MAX: usize = 64 << 20;

/// Digits of a file's digest in its name.
const DIGEST_DIGITS: usize = 16;

/// Forms of addresses.
pub(crate) const FORMS: &str = "s3://BUCKET/PREFIX, gs://.., az://..";

/// Can files be put there, as far as the address tells?
pub(crate) fn check(registries: &Registries, address: &str) -> Result<(), RegistryError> {
    registries.deposit(&Uri::from_str(address)?).map(drop)
}

/// Makes the sink. `folder` is the log's.
pub(crate) fn sink(
    name: &'static str,
    (registries, runtime): (&Registries, Runtime),
    address: &str,
    folder: &Path,
) -> io::Result<Box<dyn Sink>> {
    let uri = Uri::from_str(address).map_err(io::Error::other)?;
    let deposit = registries.deposit(&uri).map_err(io::Error::other)?;
    let aside: PathBuf = folder.join(format!("{name}-unfinished"));
    Ok(Box::new(ParquetSink::to(Box::new(Store { name, deposit, runtime }), aside)?))
}

/// Where labels are put beside the predictions of that store: its name and address. `folder` is the log's.
#[cfg(feature = "truth")]
pub(crate) fn labels(
    (name, address): (&'static str, &str),
    folder: &Path,
) -> io::Result<LabelFiles> {
    let uri = Uri::from_str(address).map_err(io::Error::other)?;
    let uri = uri.beside(LABELS_SUFFIX).map_err(io::Error::other)?;
    let deposit = log_sinks::registries().deposit(&uri).map_err(io::Error::other)?;
    // One thread waits for it: that of these labels.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let aside: PathBuf = folder.join(format!("{name}-labels-unfinished"));
    LabelFiles::to(Box::new(Store { name, deposit, runtime }), aside)
}

/// Files in an object store.
struct Store {
    name: &'static str,
    deposit: Deposit,
    runtime: Runtime,
}

impl Place for Store {
    fn name(&self) -> &'static str {
        self.name
    }

    fn bytes_max(&self) -> usize {
        FILE_BYTES_MAX
    }

    /// Nothing is ever written over. A file that is there already under this name, which its content is
    /// part of, was put there by an attempt before this one.
    fn put(&mut self, file: &Whole<'_>) -> io::Result<()> {
        let content = fs::read(file.at)?;
        let digest = Digest::of(&content).to_string();
        let digits = digest.rsplit(':').next().and_then(|it| it.get(..DIGEST_DIGITS));
        let path = format!("{}/{}-{}.parquet", file.folder, file.name, digits.unwrap_or_default());
        let put = self.deposit.put(&path, Bytes::from(content));
        self.runtime.block_on(put).map(drop).map_err(io::Error::other)
    }
}
