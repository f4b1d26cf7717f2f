//! In place of `objects` in a build without registries: what it needs is not there.

use std::sync::Arc;

use server_conductor::Store;

/// Forms of addresses: none.
pub(crate) const FORMS: &str =
    "the address of an object store, and this build is without registries";

/// `None`: it is no address of an object store that this build knows.
pub(crate) fn check(_uri: &str) -> Option<Result<(), String>> {
    None
}

/// Nothing is opened that was not checked.
pub(crate) fn open(uri: &str) -> anyhow::Result<Arc<dyn Store + Send + Sync>> {
    Err(anyhow::anyhow!("{uri}: this build is without registries"))
}
