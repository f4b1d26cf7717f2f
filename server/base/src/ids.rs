//! Names of models and numbers of versions.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::limits::MODEL_NAME_BYTES_MAX;

/// Why a name or version is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("model name cannot be empty")]
    EmptyName,
    /// Longer than a folder's name can be.
    #[error("model name has {len} bytes, at most {MODEL_NAME_BYTES_MAX} are allowed")]
    LongName {
        /// Its length.
        len: usize,
    },
    /// It would leave the repository, or could not be written in a log line.
    #[error("model name {name:?} must not contain path traversal or control characters")]
    UnsafeName {
        /// As given.
        name: String,
    },
    /// Neither a number nor a label.
    #[error("version {version:?} is neither a number from 1 without leading zeros nor a label")]
    Version {
        /// As given.
        version: String,
    },
}

/// A model's name: the name of its folder.
///
/// Invariant: one path segment, printable, not hidden (no leading dot).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// Checks `name`.
    pub fn new(name: &str) -> Result<ModelName, IdError> {
        if name.trim().is_empty() {
            return Err(IdError::EmptyName);
        }
        if name.len() > MODEL_NAME_BYTES_MAX {
            return Err(IdError::LongName { len: name.len() });
        }
        let unsafe_character = |it: char| it == '/' || it == '\\' || it.is_control();
        if name.starts_with('.') || name.chars().any(unsafe_character) {
            return Err(IdError::UnsafeName { name: name.to_owned() });
        }
        Ok(ModelName(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as shared text.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for ModelName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

/// A model version: the number that names its folder. Larger is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// A number from 1, in digits, without leading zeros or signs.
    pub fn parse(text: &str) -> Option<Version> {
        let digits = !text.starts_with('0') && text.bytes().all(|it| it.is_ascii_digit());
        if digits { text.parse().ok().map(Version) } else { None }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Which version a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum VersionChoice {
    /// Whichever the model's routing says.
    #[default]
    Any,
    /// This one and no other.
    Exact(Version),
    /// The one that bears the label.
    Label(Box<str>),
}

impl VersionChoice {
    /// From the text of a protocol: empty is any, digits a number, a word a label.
    pub fn parse(text: &str) -> Result<VersionChoice, IdError> {
        if text.is_empty() {
            return Ok(VersionChoice::Any);
        }
        if let Some(version) = Version::parse(text) {
            return Ok(VersionChoice::Exact(version));
        }
        if is_label(text) {
            return Ok(VersionChoice::Label(text.into()));
        }
        Err(IdError::Version { version: text.chars().take(MODEL_NAME_BYTES_MAX).collect() })
    }
}

impl fmt::Display for VersionChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionChoice::Any => out.write_str("any"),
            VersionChoice::Exact(version) => version.fmt(out),
            VersionChoice::Label(label) => out.write_str(label),
        }
    }
}

/// A label begins with a letter, so that it is never taken for a number.
fn is_label(text: &str) -> bool {
    let body = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_' || it == '.';
    text.len() <= MODEL_NAME_BYTES_MAX
        && text.starts_with(|it: char| it.is_ascii_alphabetic())
        && text.chars().all(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_repository() {
        for name in ["wine", "a.b", "Größe", "x y", "..."] {
            assert_eq!(ModelName::new(name).is_ok(), !name.starts_with('.'), "{name:?}");
        }
        for name in ["", " ", "../etc", "a/../b", "a\\b", "..", ".git", "a\nb", "a\0", "\u{1b}[31m"]
        {
            ModelName::new(name).expect_err(name);
        }
        ModelName::new(&"x".repeat(256)).expect_err("longer than a file name");
    }

    #[test]
    fn versions_are_numbers_or_labels() {
        let parse = |it| VersionChoice::parse(it);
        assert_eq!(parse(""), Ok(VersionChoice::Any));
        assert_eq!(parse("17"), Ok(VersionChoice::Exact(Version(17))));
        assert_eq!(parse("stable"), Ok(VersionChoice::Label("stable".into())));
        for text in ["0", "01", "-1", "+1", "1e3", "999999999999999999999", "a b", "é"] {
            parse(text).expect_err(text);
        }
    }
}
