//! Why something could not be had, and what a caller can do about it.

use std::io;
use std::path::Path;

use crate::digest::Digest;

/// Why a model could not be resolved, fetched, kept or opened. The words name the offending value and
/// never hold a credential: addresses are shown without their query.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// What was asked for is wrong and will be wrong again.
    #[error("{0}")]
    Invalid(String),
    /// The registry does not answer, or says that it cannot now.
    #[error("{0}")]
    Unavailable(String),
    /// It answers slower than is waited for.
    #[error("{0}")]
    Slow(String),
    /// It wants other credentials.
    #[error("{0}")]
    Refused(String),
    /// There is no such model, version or file.
    #[error("{0}")]
    NotFound(String),
    /// It said something that cannot be true.
    #[error("{0}")]
    Answer(String),
    /// More than a limit allows.
    #[error("{0}")]
    TooLarge(String),
    /// Bytes are not the ones that were promised or kept.
    #[error("{0}")]
    Corrupt(String),
    /// They have a digest, and it is another.
    #[error("{words}")]
    Differs {
        /// What has it.
        words: String,
        /// The digest that was promised.
        expected: Digest,
        /// That of the bytes that came.
        got: Digest,
    },
    /// A rule of this server forbids it.
    #[error("{0}")]
    Policy(String),
    /// It is pinned to something else.
    #[error("{words}")]
    Pinned {
        /// What differs.
        words: String,
        /// The digest that it is pinned to.
        expected: Digest,
        /// What it is now.
        got: Digest,
    },
    /// This machine's files.
    #[error("{0}")]
    Local(String, #[source] io::Error),
}

/// What a caller can do about an error. A closed set: fit for the label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Change the request.
    Invalid,
    /// Wait and ask again.
    Unavailable,
    /// Wait and ask again, or allow more time.
    Slow,
    /// Change the credentials.
    Refused,
    /// Publish it, or ask for another.
    NotFound,
    /// Look at the registry: it lies.
    Answer,
    /// Raise a limit, or take a smaller model.
    TooLarge,
    /// Look at the storage, or at who changed the model.
    Corrupt,
    /// Change the rule, if it is wrong.
    Policy,
    /// Look at the disk.
    Local,
}

impl RegistryError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RegistryError::Invalid(_) => ErrorKind::Invalid,
            RegistryError::Unavailable(_) => ErrorKind::Unavailable,
            RegistryError::Slow(_) => ErrorKind::Slow,
            RegistryError::Refused(_) => ErrorKind::Refused,
            RegistryError::NotFound(_) => ErrorKind::NotFound,
            RegistryError::Answer(_) => ErrorKind::Answer,
            RegistryError::TooLarge(_) => ErrorKind::TooLarge,
            RegistryError::Corrupt(_) | RegistryError::Differs { .. } => ErrorKind::Corrupt,
            RegistryError::Policy(_) | RegistryError::Pinned { .. } => ErrorKind::Policy,
            RegistryError::Local(..) => ErrorKind::Local,
        }
    }

    /// The digest that was expected, and the one that came, if that is what is wrong.
    pub fn digests(&self) -> Option<(Digest, Digest)> {
        match self {
            RegistryError::Differs { expected, got, .. }
            | RegistryError::Pinned { expected, got, .. } => Some((*expected, *got)),
            RegistryError::Invalid(_)
            | RegistryError::Unavailable(_)
            | RegistryError::Slow(_)
            | RegistryError::Refused(_)
            | RegistryError::NotFound(_)
            | RegistryError::Answer(_)
            | RegistryError::TooLarge(_)
            | RegistryError::Corrupt(_)
            | RegistryError::Policy(_)
            | RegistryError::Local(..) => None,
        }
    }

    /// The same kind of error in other words.
    pub(crate) fn reworded(&self, words: String) -> RegistryError {
        match self.kind() {
            ErrorKind::Invalid => RegistryError::Invalid(words),
            ErrorKind::Unavailable | ErrorKind::Local => RegistryError::Unavailable(words),
            ErrorKind::Slow => RegistryError::Slow(words),
            ErrorKind::Refused => RegistryError::Refused(words),
            ErrorKind::NotFound => RegistryError::NotFound(words),
            ErrorKind::Answer => RegistryError::Answer(words),
            ErrorKind::TooLarge => RegistryError::TooLarge(words),
            ErrorKind::Corrupt => RegistryError::Corrupt(words),
            ErrorKind::Policy => RegistryError::Policy(words),
        }
    }

    /// Has it said nothing, rather than something wrong? Then the question stays open.
    pub(crate) fn is_silence(&self) -> bool {
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::Slow | ErrorKind::Refused | ErrorKind::Local => {
                true
            }
            ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::Answer
            | ErrorKind::TooLarge
            | ErrorKind::Corrupt
            | ErrorKind::Policy => false,
        }
    }

    /// May the rest of a file that broke off be asked for at once?
    pub(crate) fn is_interruption(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Slow)
    }
}

/// For `map_err`: what was being done, and to which file.
pub(crate) fn local(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let words = format!("cannot {doing} {}", path.display());
    move |error| RegistryError::Local(words, error)
}
