//! What lies in a model's folder: `<version>/<artifact>` and `model.toml`.
//!
//! A scan only looks: it reads names, sizes and times, and the text of `model.toml`. Links are
//! followed (volumes of configuration are full of them); names that begin with a dot are not
//! there. Only what the file system says is not there is gone: whatever else keeps it from being
//! read is a fault of that model or version, and no reason to unload it. Called by `scanner`, which
//! remembers the trace that a look leaves.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server_base::Version;

use crate::scanner::Trace;

/// Name of the file beside the versions.
pub(crate) const CONFIG: &str = "model.toml";

/// Largest `model.toml` that is read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Files of one version that are looked at. Models have a handful; large ones a few hundred.
const FILES_MAX: usize = 10_000;

/// Folders inside a version that are descended into.
const DEPTH_MAX: usize = 8;

/// One model's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundModel {
    /// Its `model.toml`.
    pub(crate) config: FoundConfig,
    /// Its versions; an error's text for those whose folder cannot be read.
    pub(crate) versions: BTreeMap<Version, Result<FoundVersion, String>>,
}

/// One model's `model.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundConfig {
    /// `None` if it is not there; an error's text if it cannot be read.
    pub(crate) text: Option<Result<String, String>>,
    /// How the file looks; of one that is not there when the folder around it last changed.
    pub(crate) look: Look,
}

/// How something on disk looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Changes when any file of it changes in name, size or time.
    pub(crate) print: u64,
    /// When something of it last changed.
    pub(crate) changed: SystemTime,
    /// Sizes of its files.
    pub(crate) bytes: u64,
}

/// One version's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundVersion {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// How it looks, with everything in it.
    pub(crate) look: Look,
    /// Why nothing can be loaded: there is no file that some engine reads, or that says why there is none.
    pub(crate) lacks: Option<String>,
}

/// Looks at one model in full. `artifacts` are the file names that engines read.
pub(crate) fn scan_model(
    folder: &Path,
    artifacts: &[&str],
    trace: &mut Trace,
) -> io::Result<FoundModel> {
    let config = scan_config(folder, trace)?;
    let mut model = FoundModel { config, versions: BTreeMap::new() };
    for (name, folder) in folders(folder, trace)? {
        let Some(version) = Version::parse(&name) else { continue };
        let seen = folder.and_then(|it| scan_version(it, artifacts, trace));
        model.versions.extend(unless_gone(seen).map(|it| (version, it)));
    }
    Ok(model)
}

/// `None` for what vanished while it was looked at; an error's text for what is there and cannot
/// be read.
pub(crate) fn unless_gone<T>(seen: io::Result<T>) -> Option<Result<T, String>> {
    match seen {
        Ok(seen) => Some(Ok(seen)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(format!("cannot be read: {error}"))),
    }
}

fn scan_version(
    folder: PathBuf,
    artifacts: &[&str],
    trace: &mut Trace,
) -> io::Result<FoundVersion> {
    let mut walk = Walk::new();
    let files = walk.folder(&folder, DEPTH_MAX, trace)?;
    // What MLflow left counts too: if nothing of it can be served, its load says why.
    let known = || artifacts.iter().copied().chain([server_proof::FILE]);
    let has_artifact = known().any(|it| files.iter().any(|file| file == it));
    let lacks =
        (!has_artifact).then(|| format!("no file that an engine reads ({})", artifacts.join(", ")));
    Ok(FoundVersion { look: walk.look(), lacks, folder })
}

struct Walk {
    hasher: DefaultHasher,
    changed: SystemTime,
    files: usize,
    bytes: u64,
}

impl Walk {
    fn new() -> Walk {
        Walk { hasher: DefaultHasher::new(), changed: UNIX_EPOCH, files: 0, bytes: 0 }
    }

    fn look(&self) -> Look {
        Look { print: self.hasher.finish(), changed: self.changed, bytes: self.bytes }
    }

    /// Names of the files that stand directly in it.
    fn folder(
        &mut self,
        folder: &Path,
        depth_left: usize,
        trace: &mut Trace,
    ) -> io::Result<Vec<OsString>> {
        let mut files = Vec::new();
        self.see(&trace.metadata(folder)?.ok_or(io::ErrorKind::NotFound)?);
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
            let Some(metadata) = trace.metadata(&path)? else { continue };
            if metadata.is_dir() {
                if depth_left > 0 {
                    self.inner_folder(&path, depth_left - 1, trace)?;
                }
            } else {
                self.file(&metadata);
                files.extend(path.file_name().filter(|_| metadata.is_file()).map(OsString::from));
            }
        }
        Ok(files)
    }

    fn file(&mut self, metadata: &Metadata) {
        self.see(metadata);
        self.bytes = self.bytes.saturating_add(metadata.len());
        (metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut self.hasher);
        metadata.ino().hash(&mut self.hasher);
    }

    /// One that vanishes meanwhile is nothing but a name: the version around it is still there.
    fn inner_folder(
        &mut self,
        folder: &Path,
        depth_left: usize,
        trace: &mut Trace,
    ) -> io::Result<()> {
        match self.folder(folder, depth_left, trace) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            walked => walked.map(drop),
        }
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

/// Folders directly inside, by name; an error for what is there and may be one.
pub(crate) fn folders(
    folder: &Path,
    trace: &mut Trace,
) -> io::Result<BTreeMap<String, io::Result<PathBuf>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') || entry.file_type().is_ok_and(|it| it.is_file()) {
            continue;
        }
        match trace.metadata(&path) {
            Ok(Some(it)) if it.is_dir() => drop(found.insert(name, Ok(path))),
            Ok(Some(_) | None) => {}
            Err(error) => drop(found.insert(name, Err(error))),
        }
    }
    Ok(found)
}

fn scan_config(folder: &Path, trace: &mut Trace) -> io::Result<FoundConfig> {
    let mut walk = Walk::new();
    let path = folder.join(CONFIG);
    let text = match read_config(&path, &mut walk, trace) {
        Ok(text) => Some(Ok(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            trace.absent(&path);
            walk.see(&fs::metadata(folder)?);
            None
        }
        Err(error) => Some(Err(format!("{CONFIG}: {error}"))),
    };
    Ok(FoundConfig { text, look: walk.look() })
}

/// The text first, then how the file looks: what is written meanwhile has not come to rest.
fn read_config(path: &Path, walk: &mut Walk, trace: &mut Trace) -> io::Result<String> {
    let mut text = Vec::new();
    let mut file = File::open(path)?;
    (&mut file).take(CONFIG_BYTES_MAX + 1).read_to_end(&mut text)?;
    let metadata = file.metadata()?;
    trace.met(path, &metadata);
    walk.file(&metadata);
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(io::Error::other(format!("more than {CONFIG_BYTES_MAX} bytes")));
    }
    String::from_utf8(text).map_err(io::Error::other)
}

#[cfg(test)]
#[path = "repository_tests.rs"]
mod tests;
