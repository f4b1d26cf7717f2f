//! In place of `log_stores` in a build without registries or Parquet files: what these need is not there.

use std::io;
use std::path::Path;

use server_feedback::Sink;
use server_registry::{Registries, RegistryError};
use tokio::runtime::Runtime;

/// Forms of addresses: none.
pub(crate) const FORMS: &str = "no object store: this build is without registries or Parquet files";

/// They cannot.
pub(crate) fn check(_: &Registries, address: &str) -> Result<(), RegistryError> {
    let why = "this build is without object stores, which `--features registries,parquet` adds";
    Err(RegistryError::Invalid(format!("{address}: {why}")))
}

/// Nor are labels.
#[cfg(all(feature = "truth", feature = "parquet"))]
pub(crate) fn labels(
    (_, address): (&'static str, &str),
    _folder: &Path,
) -> io::Result<server_feedback::LabelFiles> {
    Err(io::Error::other(format!("{address}: {FORMS}")))
}

/// Nothing is made that was not checked.
pub(crate) fn sink(
    _name: &'static str,
    (registries, _runtime): (&Registries, Runtime),
    address: &str,
    _folder: &Path,
) -> io::Result<Box<dyn Sink>> {
    check(registries, address).map_err(io::Error::other)?;
    Err(io::ErrorKind::Unsupported.into())
}
