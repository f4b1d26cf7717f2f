//! Which replica.

use std::fmt;

use serde::{Deserialize, Serialize};

/// As long as a file's name may be, less what is added to it.
const BYTES_MAX: usize = 200;

/// Names one process: one that is started anew is another replica, since its counters begin anew.
/// Invariant: letters, digits, `-`, `_` and dots, the first of which is no dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaId(String);

/// Why a text names no replica.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a replica: expected 1 to {BYTES_MAX} letters, digits, '-', '_' or '.', not beginning with '.'"
)]
pub struct ReplicaIdError(String);

impl ReplicaId {
    /// Checks it.
    pub fn new(text: &str) -> Result<ReplicaId, ReplicaIdError> {
        let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
        let whole = (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
        if whole && !text.starts_with('.') {
            Ok(ReplicaId(text.to_owned()))
        } else {
            Err(ReplicaIdError(text.chars().take(BYTES_MAX).collect()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for ReplicaId {
    type Error = ReplicaIdError;

    fn try_from(text: String) -> Result<ReplicaId, ReplicaIdError> {
        ReplicaId::new(&text)
    }
}

impl From<ReplicaId> for String {
    fn from(it: ReplicaId) -> String {
        it.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_files() {
        for it in ["a", "pod-7_x.local-12-1f", &"x".repeat(BYTES_MAX)] {
            assert_eq!(ReplicaId::new(it).expect(it).as_str(), it);
        }
        for it in ["", ".", "..", ".a", "a/b", "a b", "é", &"x".repeat(BYTES_MAX + 1)] {
            ReplicaId::new(it).expect_err(it);
        }
    }
}
