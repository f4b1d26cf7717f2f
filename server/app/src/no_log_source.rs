//! In place of `log_source` in a build without registries: logs lie in folders.

use std::io;
use std::path::Path;

use server_feedback::source::Archive;

/// Forms of addresses.
pub(crate) const FORMS: &str = "a folder: this build is without registries";

/// `None`: that is no address.
pub(crate) fn source(word: &str, _folder: &Path) -> Option<io::Result<Box<dyn Archive>>> {
    word.contains("://").then(|| Err(io::Error::other(format!("{word:?}: expected {FORMS}"))))
}

/// Nor are labels.
#[cfg(feature = "fleet")]
pub(crate) fn labels(word: &str, folder: &Path) -> Option<io::Result<Box<dyn Archive>>> {
    source(word, folder)
}
