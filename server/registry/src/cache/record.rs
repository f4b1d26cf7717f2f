//! What an address was when it was last looked at: enough to start without its registry.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Cache, sync_folder};
use crate::digest::Digest;
use crate::error::{RegistryError, local};
use crate::uri::Uri;

/// The last look that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The address.
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
    /// What is known of an address. A record that cannot be read is none.
    pub fn record(&self, uri: &Uri) -> Result<Option<Record>, RegistryError> {
        let path = self.record_path(uri);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(local("read", &path)(error)),
        };
        let record: Option<Record> = serde_json::from_slice(&text).ok();
        Ok(record.filter(|it| it.uri == uri.as_str()))
    }

    /// Keeps what is known.
    pub(crate) fn remember(&self, uri: &Uri, record: &Record) -> Result<(), RegistryError> {
        let path = self.record_path(uri);
        let text = serde_json::to_vec_pretty(record);
        let text = text.map_err(|error| local("write", &path)(io::Error::other(error)))?;
        replace(&path, &text)
    }

    fn record_path(&self, uri: &Uri) -> std::path::PathBuf {
        let name = format!("{}.json", Digest::of(uri.as_str().as_bytes()).hex());
        self.root().join("records").join(name)
    }
}

/// Writes a file so that a reader, or a crash, finds the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
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
