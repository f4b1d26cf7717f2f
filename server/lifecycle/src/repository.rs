//! What lies in the repository folder: `<model>/<version>/<artifact>` and `<model>/model.toml`.
//!
//! A scan only looks: it reads names, sizes and times, and the text of `model.toml`. Links are
//! followed (volumes of configuration are full of them); names that begin with a dot are not
//! there. Called by the manager's thread, which may wait for the disk.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server_base::{ModelName, Version};

/// Name of the file beside the versions.
const CONFIG: &str = "model.toml";

/// Largest `model.toml` that is read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Files of one version that are looked at. Models have a handful; large ones a few hundred.
const FILES_MAX: usize = 10_000;

/// Folders inside a version that are descended into.
const DEPTH_MAX: usize = 8;

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Models by name.
    pub(crate) models: BTreeMap<ModelName, FoundModel>,
    /// What could not be read, or is no model.
    pub(crate) faults: Vec<String>,
}

/// One model's folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct FoundModel {
    /// Text of its `model.toml`; an error's text if it cannot be read.
    pub(crate) config: Option<Result<String, String>>,
    /// Its versions.
    pub(crate) versions: BTreeMap<Version, FoundVersion>,
}

/// One version's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundVersion {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// Changes when any file in it changes in name, size or time.
    pub(crate) print: u64,
    /// When something in it last changed.
    pub(crate) changed: SystemTime,
    /// Is there a file that some engine reads?
    pub(crate) has_artifact: bool,
}

/// Looks at every model. `artifacts` are the file names that engines read.
pub(crate) fn scan(repository: &Path, artifacts: &[&str]) -> io::Result<Found> {
    let mut found = Found::default();
    for (name, path) in folders(repository)? {
        if name == "lost+found" {
            continue; // every ext4 volume has one
        }
        match ModelName::new(&name) {
            Ok(name) => match scan_model(&path, artifacts) {
                Ok(model) => {
                    found.models.insert(name, model);
                }
                Err(error) => found.faults.push(format!("{}: {error}", path.display())),
            },
            Err(error) => found.faults.push(format!("{}: {error}", path.display())),
        }
    }
    Ok(found)
}

fn scan_model(folder: &Path, artifacts: &[&str]) -> io::Result<FoundModel> {
    let mut model = FoundModel { config: read_config(&folder.join(CONFIG)), ..Default::default() };
    for (name, path) in folders(folder)? {
        let Some(version) = Version::parse(&name) else { continue };
        // A folder that vanishes while it is looked at was not there.
        if let Ok(found) = scan_version(path, artifacts) {
            model.versions.insert(version, found);
        }
    }
    Ok(model)
}

fn scan_version(folder: PathBuf, artifacts: &[&str]) -> io::Result<FoundVersion> {
    let mut walk = Walk { hasher: DefaultHasher::new(), changed: UNIX_EPOCH, files: 0 };
    walk.folder(&folder, DEPTH_MAX)?;
    let has_artifact = artifacts.iter().any(|it| folder.join(it).is_file());
    Ok(FoundVersion { print: walk.hasher.finish(), changed: walk.changed, has_artifact, folder })
}

struct Walk {
    hasher: DefaultHasher,
    changed: SystemTime,
    files: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path, depth_left: usize) -> io::Result<()> {
        self.see(&fs::metadata(folder)?);
        let mut entries: Vec<PathBuf> =
            fs::read_dir(folder)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
        entries.sort();
        for path in entries {
            self.files += 1;
            if self.files > FILES_MAX {
                return Err(io::Error::other(format!("more than {FILES_MAX} files")));
            }
            path.file_name().hash(&mut self.hasher);
            // A dangling link has a name and nothing else.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                if depth_left > 0 {
                    self.folder(&path, depth_left - 1)?;
                }
            } else {
                self.see(&metadata);
                (metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut self.hasher);
                metadata.ino().hash(&mut self.hasher);
            }
        }
        Ok(())
    }

    /// Copies may keep the old file's time of writing, but not the time at which they were made.
    fn see(&mut self, metadata: &Metadata) {
        let time = |seconds: i64, nanos: i64| {
            let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            UNIX_EPOCH + seconds + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
        };
        let written = time(metadata.mtime(), metadata.mtime_nsec());
        let made = time(metadata.ctime(), metadata.ctime_nsec());
        self.changed = self.changed.max(written).max(made);
    }
}

/// Folders directly inside, by name.
fn folders(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.starts_with('.') && path.is_dir() {
            found.insert(name, path);
        }
    }
    Ok(found)
}

fn read_config(path: &Path) -> Option<Result<String, String>> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(format!("{CONFIG}: {error}"))),
    };
    if size > CONFIG_BYTES_MAX {
        return Some(Err(format!(
            "{CONFIG} has {size} bytes, at most {CONFIG_BYTES_MAX} are read"
        )));
    }
    Some(fs::read_to_string(path).map_err(|it| format!("{CONFIG}: {it}")))
}

#[cfg(test)]
#[path = "repository_tests.rs"]
mod tests;
