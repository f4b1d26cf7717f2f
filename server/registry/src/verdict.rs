//! What has become of a version, for the registry that it came from.

use crate::error::RegistryError;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of which version, by the registry's number.
    pub version: u64,
    /// Written onto it. A registry that has a value for a key keeps the new one.
    pub tags: Vec<(String, String)>,
    /// Moved to the version that serves.
    pub alias: Option<Alias>,
    /// What it rests on: the same in ever fewer words, for registries that take no long ones.
    pub evidence: Vec<String>,
}

/// An alias, and the version that it is to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// What it is called.
    pub name: String,
    /// The version.
    pub to: u64,
    /// It is moved from this version alone: of any other, or of none, somebody else has said so since. `None`: it is
    /// moved, whatever it names.
    pub only_from: Option<u64>,
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
