//! What has become of a version, for the registry that it came from.

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of which version, by the registry's number.
    pub version: u64,
    /// Written onto it. A registry that has a value for a key keeps the new one.
    pub tags: Vec<(String, String)>,
    /// Moved to a version.
    pub alias: Option<(String, u64)>,
}
