//! What the versions of a model were: enough to have one again that no address names any more.
//!
//! A rollout needs the version it came from, and an address names only the one it goes to; a restart between the
//! two would lose it. So what is linked is written down, in the cache and beside it: one file for each model and
//! source, shared by all processes. An entry says which tree of the cache a version is, and a tree is hashed when
//! it is taken into use; who else writes to the file can at worst have us miss a version.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use server_base::Version;
use server_registry::{Digest, Uri, replace};

use crate::target::Target;

/// The only format so far. What bears another was written by another release, and is no book of ours.
const FORMAT: u32 = 1;

/// Versions of one model that are remembered: more than a cache keeps, and a file that is read at once.
const VERSIONS_MAX: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    format: u32,
    /// Whose: for people.
    model: String,
    source: String,
    /// The one that was placed last is the last.
    versions: Vec<Known>,
    /// What each address named last that could be used. Addresses may hold what not everybody should read: they
    /// go by their digests.
    named: BTreeMap<String, u64>,
    /// What the source named before that.
    before: Option<u64>,
}

/// A version that was placed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    version: u64,
    /// The digest of the address that named it.
    address: String,
    /// That address, as people may see it.
    source: String,
    tree: String,
    /// Is the number its registry's, or did we count?
    is_numbered: bool,
}

impl Known {
    pub(crate) fn tree(&self) -> Option<Digest> {
        self.tree.parse().ok()
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn is_numbered(&self) -> bool {
        self.is_numbered
    }

    /// Was it that address which named it?
    pub(crate) fn is_of(&self, uri: &Uri) -> bool {
        self.address == key(uri)
    }
}

/// A version that an address has come to name.
pub(crate) struct Placed<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) tree: Digest,
    pub(crate) is_numbered: bool,
    /// What the source named before, now that this is placed.
    pub(crate) before: Option<Version>,
}

impl Book {
    /// What is written down. What cannot be read is nothing.
    pub(crate) fn read(cache: &Path, target: &Target) -> Book {
        let path = file(cache, target);
        match fs::read(&path) {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Book::default(),
            Err(error) => {
                tracing::warn!(model = %target.model, %error, "the versions that were here before are not known");
                Book::default()
            }
        }
    }

    /// Writes down that an address names a version now.
    pub(crate) fn write(cache: &Path, target: &Target, placed: &Placed<'_>) -> io::Result<()> {
        let path = file(cache, target);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Another process may add a version of its own; let go when the file is closed, or its process dies.
        let lock = File::create(path.with_extension("lock"))?;
        lock.lock()?;
        let last = Book::read(cache, target);
        let mut book = last.clone();
        book.put(target, placed);
        if book == last {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&book).map_err(io::Error::other)?;
        replace(&path, &text).map_err(io::Error::other)
    }

    fn put(&mut self, target: &Target, placed: &Placed<'_>) {
        (self.format, self.model) = (FORMAT, target.model.to_string());
        self.source = target.source.to_string();
        let version = placed.version.0;
        let known = Known {
            version,
            address: key(placed.uri),
            source: placed.uri.to_string(),
            tree: placed.tree.to_string(),
            is_numbered: placed.is_numbered,
        };
        self.versions.retain(|it| it.version != version);
        self.versions.push(known);
        let surplus = self.versions.len().saturating_sub(VERSIONS_MAX);
        self.versions.drain(..surplus);
        let last = self.named.insert(key(placed.uri), version).filter(|it| *it != version);
        // Addresses that the operator has taken away name nothing.
        let kept: Vec<String> = target.addresses().map(key).collect();
        self.named.retain(|address, _| kept.contains(address));
        if *placed.uri == target.source {
            // What is not known of this process is known of the one before it.
            let before = placed.before.map(|it| it.0).or(last).or(self.before);
            self.before = before.filter(|it| *it != version);
        }
    }

    /// What a version was.
    pub(crate) fn known(&self, version: Version) -> Option<&Known> {
        self.versions.iter().find(|it| it.version == version.0)
    }

    /// What an address named last that could be used.
    pub(crate) fn named(&self, uri: &Uri) -> Option<Version> {
        self.named.get(&key(uri)).copied().map(Version)
    }

    /// What the source named before what it names now.
    pub(crate) fn before(&self) -> Option<Version> {
        self.before.map(Version)
    }
}

fn parse(text: &[u8]) -> Book {
    let book = serde_json::from_slice(text).unwrap_or_default();
    let Book { format, .. } = &book;
    if *format == FORMAT { book } else { Book::default() }
}

fn key(uri: &Uri) -> String {
    Digest::of(uri.as_str().as_bytes()).hex()
}

fn file(cache: &Path, target: &Target) -> PathBuf {
    let name = format!("{}\n{}", target.model, target.source.as_str());
    cache.join("versions").join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
