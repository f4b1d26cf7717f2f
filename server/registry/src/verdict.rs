//! What has become of a version, for the registry that it came from.

use crate::error::RegistryError;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of which version, by the registry's number.
    pub version: u64,
    /// Written onto it. A registry that has a value for a key keeps the new one.
    pub tags: Vec<(String, String)>,
    /// Moved to a version.
    pub alias: Option<(String, u64)>,
    /// What it rests on: the same in ever fewer words, for registries that take no long ones.
    pub evidence: Vec<String>,
}

/// How much of it a registry has taken.
#[derive(Debug)]
pub enum Told {
    /// It takes no such notes.
    Nothing,
    /// All of it.
    Whole,
    /// All but the evidence, which it refused.
    WithoutEvidence(RegistryError),
}
