//! What an address was when it was last looked at: enough to start without its registry.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Cache, sync_folder};
use crate::digest::Digest;
use crate::error::{RegistryError, local};
use crate::uri::Uri;

/// A look that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The address, for people.
    pub uri: String,
    /// What the source called it.
    pub identity: String,
    /// Its number, where it has one.
    pub version: Option<u64>,
    /// The model in the cache, as `sha256:..`.
    pub tree: String,
    /// Tags that people gave it.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Where it was made.
    #[serde(default)]
    pub provenance: BTreeMap<String, String>,
}

impl Record {
    /// The model's name.
    pub fn tree(&self) -> Option<Digest> {
        self.tree.parse().ok()
    }
}

impl Cache {
    /// What the last look at an address found. A record that cannot be read is none.
    pub fn record(&self, uri: &Uri) -> Result<Option<Record>, RegistryError> {
        read(&self.record_path(uri, ""))
    }

    /// What was known of an address when it was `identity`: an alias may have been moved back.
    pub(crate) fn seen(&self, uri: &Uri, identity: &str) -> Result<Option<Record>, RegistryError> {
        match identity {
            "" => Ok(None), // the registry could not tell one content from the next
            identity => read(&self.record_path(uri, identity)),
        }
    }

    /// Keeps what is known.
    pub(crate) fn remember(&self, uri: &Uri, record: &Record) -> Result<(), RegistryError> {
        let (last, seen) = (self.record_path(uri, ""), self.record_path(uri, &record.identity));
        let text = serde_json::to_vec_pretty(record);
        let text = text.map_err(|error| local("write", &last)(io::Error::other(error)))?;
        if seen != last {
            replace(&seen, &text)?;
        }
        replace(&last, &text)
    }

    /// Is what a record speaks of still there?
    pub(super) fn is_backed(&self, record: &Path) -> bool {
        let record = read(record).ok().flatten();
        record.and_then(|it| it.tree()).is_some_and(|it| self.has(it))
    }

    /// Addresses may hold what not everybody should read: they are not names of files, nor in them.
    fn record_path(&self, uri: &Uri, identity: &str) -> PathBuf {
        let name = Digest::of(format!("{}\n{identity}", uri.as_str()).as_bytes()).hex();
        self.root().join("records").join(format!("{name}.json"))
    }
}

fn read(path: &Path) -> Result<Option<Record>, RegistryError> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(local("read", path)(error)),
    }
}

/// Writes a file so that a reader, or a crash, finds the old one or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&aside, path));
    if let Err(error) = renamed {
        let _ = fs::remove_file(&aside);
        return Err(local("write", path)(error));
    }
    sync_folder(folder)
}
