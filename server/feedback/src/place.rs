//! Where Parquet files go once they are whole: a folder of this machine, or elsewhere.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::hive::FOLDERS;
use crate::retention::{Keep, Retention};

/// Folders that are remembered to be on the disk.
const FOLDERS_MAX: usize = 4_096;

/// How the name of a file ends that is not whole. People read folders by patterns like `**/*.parquet`, which also look
/// into folders whose names begin with a dot: whatever they match must be a file that can be read.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// A file that is whole.
#[derive(Debug)]
pub struct Whole<'a> {
    /// Where it lies now, synced. It may be taken from there, or left.
    pub at: &'a Path,
    /// The folders that it belongs in, below the place's root: `model=…/version=…/date=…/hour=…`.
    pub folder: &'a str,
    /// Its name there, without the suffix: that of its place in the log, the same in every attempt. What
    /// is in it need not be: after a crash a file may end earlier or later than before.
    pub name: &'a str,
}

/// Takes files for good.
pub trait Place: Send {
    /// The sink's name: the value of the `sink` label on `/metrics`.
    fn name(&self) -> &'static str;

    /// Bytes of rows, as they are in memory, after which files are finished.
    fn bytes_max(&self) -> usize;

    /// The file is there to stay when it returns.
    fn put(&mut self, file: &Whole<'_>) -> io::Result<()>;

    /// All files that were due are there, or nothing has come for a while.
    fn idle(&mut self) {}
}

/// A folder.
pub(crate) struct Folder {
    root: PathBuf,
    retention: Option<Retention>,
    /// Folders whose names are on the disk.
    synced: BTreeSet<PathBuf>,
}

impl Folder {
    /// Of predictions.
    pub(crate) fn new(root: PathBuf, keep: Keep) -> Folder {
        Folder::of(root, keep, FOLDERS)
    }

    /// Of files below folders of those names.
    pub(crate) fn of(root: PathBuf, keep: Keep, folders: &'static [&'static str]) -> Folder {
        let retention = (keep != Keep::default()).then(|| Retention::new(keep, folders));
        Folder { root, retention, synced: BTreeSet::new() }
    }
}

impl Place for Folder {
    fn name(&self) -> &'static str {
        "parquet"
    }

    fn bytes_max(&self) -> usize {
        256 << 20
    }

    fn put(&mut self, file: &Whole<'_>) -> io::Result<()> {
        let folder = self.root.join(file.folder);
        create_synced((&self.root, &folder), &mut self.synced)?;
        fs::rename(file.at, folder.join(format!("{}.parquet", file.name)))?;
        File::open(&folder)?.sync_all()
    }

    fn idle(&mut self) {
        if let Some(retention) = &mut self.retention {
            retention.sweep(&self.root, SystemTime::now());
        }
    }
}

/// Makes a folder below another, so that a crash does not lose it. That it is there says nothing: who
/// made it may have failed before it was synced.
fn create_synced((root, folder): (&Path, &Path), synced: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if synced.contains(folder) && folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    for above in folder.ancestors().skip(1).take_while(|it| it.starts_with(root)) {
        File::open(above)?.sync_all()?;
    }
    if synced.len() >= FOLDERS_MAX {
        synced.clear();
    }
    synced.insert(folder.to_path_buf());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder may have been made by one who failed before it was synced.
    #[test]
    fn a_folder_is_synced_by_whoever_finds_it() {
        let root = tempfile::tempdir().expect("scratch");
        let folder = root.path().join("model=m/version=1");
        fs::create_dir_all(&folder).expect("made");
        let mut synced = BTreeSet::new();
        create_synced((root.path(), &folder), &mut synced).expect("syncs");
        assert_eq!(synced, BTreeSet::from([folder.clone()]));
        fs::remove_dir(&folder).expect("empty");
        create_synced((root.path(), &folder), &mut synced).expect("makes it anew");
        assert!(folder.is_dir(), "retention has removed it");
    }
}
