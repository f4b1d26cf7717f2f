//! `models.lock`: which bytes an address must be, for deployments that are to be repeated.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cache::{Fact, Flock, Listing, replace};
use crate::digest::Digest;
use crate::error::{RegistryError, local};
use crate::path::RelativePath;
use crate::uri::Uri;

/// The only format so far.
const VERSION: u32 = 1;

/// How long another operator is waited for, who reads and writes one small file.
const ADD_MAX: Duration = Duration::from_secs(60);

/// Pins, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock(BTreeMap<String, Pinned>);

/// What an address must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// What the registry called it when it was pinned: for people.
    pub identity: String,
    /// Its files.
    pub listing: Listing,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    version: u32,
    #[serde(default, rename = "model", skip_serializing_if = "Vec::is_empty")]
    models: Vec<RawModel>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    uri: String,
    #[serde(default)]
    identity: String,
    tree: String,
    #[serde(rename = "file")]
    files: Vec<RawFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: String,
    size: u64,
    digest: String,
}

impl Lock {
    /// Reads a file. One that is not there is an error: who names it wants what it pins.
    pub fn read(path: &Path) -> Result<Lock, RegistryError> {
        let text = fs::read_to_string(path).map_err(local("read", path))?;
        let named = |error| RegistryError::Invalid(format!("{}: {error}", path.display()));
        Lock::parse(&text).map_err(named)
    }

    /// Likewise, to write it again: one that is not there yet pins nothing.
    pub fn read_or_new(path: &Path) -> Result<Lock, RegistryError> {
        match Lock::read(path) {
            Err(RegistryError::Local(_, error)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Lock::default())
            }
            read => read,
        }
    }

    /// Pins more in a file, one operator at a time: what others have pinned meanwhile stays. Makes the file
    /// if there is none.
    pub async fn add(
        path: &Path,
        pins: impl IntoIterator<Item = (Uri, Pinned)>,
    ) -> Result<(), RegistryError> {
        let aside = beside(path);
        let _held = Flock::wait(&aside, ADD_MAX).await?;
        let mut lock = Lock::read_or_new(path)?;
        for (uri, pinned) in pins {
            lock.pin(&uri, pinned);
        }
        lock.write(path)?;
        // Held still: whoever has it open finds that it is gone, and makes another.
        fs::remove_file(&aside).map_err(local("remove", &aside))
    }

    /// Writes it; a reader finds the old file or the new one.
    pub fn write(&self, path: &Path) -> Result<(), RegistryError> {
        replace(path, self.text()?.as_bytes())
    }

    /// What an address is pinned to.
    pub fn get(&self, uri: &Uri) -> Option<&Pinned> {
        self.0.get(uri.as_str())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Pinned)> {
        self.0.iter().map(|(uri, pinned)| (uri.as_str(), pinned))
    }

    /// Pins an address.
    pub fn pin(&mut self, uri: &Uri, pinned: Pinned) {
        self.0.insert(uri.as_str().to_owned(), pinned);
    }

    /// As text.
    pub fn text(&self) -> Result<String, RegistryError> {
        let file = |(path, fact): (&RelativePath, &Fact)| {
            let (path, digest) = (path.to_string(), fact.digest.to_string());
            RawFile { path, size: fact.size, digest }
        };
        let model = |(uri, pinned): (&String, &Pinned)| RawModel {
            uri: uri.clone(),
            identity: pinned.identity.clone(),
            tree: pinned.listing.digest().to_string(),
            files: pinned.listing.iter().map(file).collect(),
        };
        let raw = RawLock { version: VERSION, models: self.0.iter().map(model).collect() };
        let wrong = |error| RegistryError::Invalid(format!("models.lock: {error}"));
        let text = toml::to_string(&raw).map_err(wrong)?;
        Ok(format!(
            "# Written by `salver models lock`. Pins models to the digests of their files.\n{text}"
        ))
    }

    /// From text. Every entry must be consistent in itself.
    pub fn parse(text: &str) -> Result<Lock, RegistryError> {
        let raw: RawLock = toml::from_str(text)
            .map_err(|error| RegistryError::Invalid(error.to_string().trim().to_owned()))?;
        if raw.version != VERSION {
            let words = format!("version {}, expected {VERSION}", raw.version);
            return Err(RegistryError::Invalid(words));
        }
        let mut lock = Lock::default();
        for model in raw.models {
            let uri: Uri = model.uri.parse()?;
            let files = model.files.into_iter().map(|file| {
                let digest = file.digest.parse()?;
                Ok((RelativePath::new(&file.path)?, Fact { digest, size: file.size }))
            });
            let files: Result<BTreeMap<_, _>, RegistryError> = files.collect();
            let listing = Listing::new(files?)?;
            let tree: Digest = model.tree.parse()?;
            if listing.digest() != tree {
                let (found, uri) = (listing.digest(), uri.as_str());
                let words = format!("{uri}: its files make {found}, but its tree is {tree}");
                return Err(RegistryError::Invalid(words));
            }
            lock.pin(&uri, Pinned { identity: model.identity, listing });
        }
        Ok(lock)
    }
}

impl Pinned {
    /// Is it this? In words what differs, if not.
    pub fn check(&self, uri: &Uri, found: &Listing) -> Result<(), RegistryError> {
        if self.listing == *found {
            return Ok(());
        }
        let name = |it: &Listing, path: &RelativePath| {
            it.get(path).map_or_else(|| "nothing".to_owned(), |it| it.digest.to_string())
        };
        let paths = self.listing.iter().chain(found.iter()).map(|(path, _)| path);
        let differs = paths.filter(|it| self.listing.get(it) != found.get(it)).min();
        let first = differs.map_or_else(String::new, |path| {
            let (pinned, found) = (name(&self.listing, path), name(found, path));
            format!(": {path} is pinned to {pinned} and is {found}")
        });
        Err(RegistryError::Pinned {
            words: format!("{uri} is not what models.lock pins{first}"),
            expected: self.listing.digest(),
            got: found.digest(),
        })
    }
}

/// What is locked while the file is read and written. The file itself is replaced, so it cannot be that.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.held"))
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
