//! Names of files within a model, as strangers give them.
//!
//! A `RelativePath` that exists can be joined to a folder and stays inside it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::RegistryError;
use crate::limits::{DEPTH_MAX, PART_BYTES_MAX, PATH_BYTES_MAX};

/// Where a file lies within its model: parts with `/` between them, none of which leads elsewhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(String);

impl RelativePath {
    /// Refuses what could leave the folder, here or on another system, or could not be named at all.
    pub fn new(text: &str) -> Result<RelativePath, RegistryError> {
        let wrong = |why: &str| {
            let shown: String = text.chars().take(120).collect();
            Err(RegistryError::Policy(format!("{shown:?} is no name for a file of a model: {why}")))
        };
        if text.is_empty() {
            return wrong("it is empty");
        }
        if text.len() > PATH_BYTES_MAX {
            return wrong("it is too long");
        }
        if text.contains('\\') || text.chars().any(char::is_control) {
            return wrong("it holds a backslash or a control character");
        }
        if text.starts_with('/') || text.as_bytes().get(1) == Some(&b':') {
            return wrong("it is absolute");
        }
        let mut depth = 0;
        for part in text.split('/') {
            depth += 1;
            match part {
                "" | "." | ".." => return wrong("a part of it is empty, . or .."),
                long if long.len() > PART_BYTES_MAX => return wrong("a part of it is too long"),
                _ => {}
            }
        }
        if depth > DEPTH_MAX {
            return wrong("too many folders");
        }
        Ok(RelativePath(text.to_owned()))
    }

    /// The text, `/` between parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where that is under `folder`.
    pub fn under(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }

    /// What is left when `folder` is taken off the front; `None` if it is elsewhere, or the folder itself.
    pub(crate) fn within(&self, folder: &str) -> Option<RelativePath> {
        if folder.is_empty() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(folder)?.strip_prefix('/')?;
        Some(RelativePath(rest.to_owned()))
    }

    /// The last part.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

/// Can all of them lie in one folder, also where `A` and `a` are one name? A file cannot be a folder
/// as well.
pub(crate) fn check_together<'a>(
    paths: impl IntoIterator<Item = &'a RelativePath>,
) -> Result<(), RegistryError> {
    let mut names: HashMap<String, &RelativePath> = HashMap::new();
    for path in paths {
        if let Some(other) = names.insert(path.0.to_lowercase(), path) {
            let words = format!("{path:?} and {other:?} are one name where case does not count");
            return Err(RegistryError::Policy(words));
        }
    }
    for (folded, path) in &names {
        for (end, _) in folded.match_indices('/') {
            if let Some(other) = names.get(&folded[..end]) {
                let words = format!("{other:?} is a file and, for {path:?}, a folder");
                return Err(RegistryError::Policy(words));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
