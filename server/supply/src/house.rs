//! The repository folder of one process.
//!
//! It lies in the cache, because its entries are links into it. It belongs to one process, which holds
//! a lock in it; a process that dies leaves a few links behind, which the next one to start removes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// No model's name begins with a dot.
const LOCK: &str = ".lock";

/// A folder of our own, for as long as this is held.
#[derive(Debug)]
pub(crate) struct House {
    folder: PathBuf,
    /// Locked.
    _lock: File,
}

impl House {
    /// Makes one, and removes those whose process is gone.
    pub(crate) fn new(cache: &Path) -> io::Result<House> {
        let all = cache.join("serving");
        fs::create_dir_all(&all)?;
        // Held until ours has its lock: nobody takes it for that of a dead process meanwhile.
        let door = File::create(all.join(LOCK))?;
        door.lock()?;
        sweep(&all)?;
        // Process numbers repeat between containers that share a cache.
        let names = (0_u32..).map(|it| all.join(format!("{}-{it}", process::id())));
        for folder in names {
            match fs::create_dir(&folder) {
                Ok(()) => {
                    let lock = File::create(folder.join(LOCK))?;
                    lock.lock()?;
                    return Ok(House { folder, _lock: lock });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no name is free"))
    }

    /// Where.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // What stays behind is swept by the next.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Under the lock of all, so a folder without a lock of its own was left half made.
fn sweep(all: &Path) -> io::Result<()> {
    for entry in fs::read_dir(all)? {
        let folder = entry?.path();
        let in_use = match File::open(folder.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_err(),
            Err(_) => !folder.is_dir(),
        };
        if !in_use {
            let _ = fs::remove_dir_all(&folder);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_and_none_stays_behind() {
        let cache = tempfile::tempdir().expect("a folder");
        let all = || {
            let entries = fs::read_dir(cache.path().join("serving")).expect("there");
            entries.filter(|it| it.as_ref().is_ok_and(|it| it.file_name() != LOCK)).count()
        };
        let first = House::new(cache.path()).expect("made");
        let second = House::new(cache.path()).expect("made");
        assert_ne!(first.folder(), second.folder());
        assert_eq!(all(), 2, "the first is in use and stays");
        drop(second);
        assert_eq!(all(), 1);
        // As if its process had died: the lock is let go, the folder stays.
        let folder = first.folder().to_path_buf();
        std::mem::forget(first);
        fs::remove_file(folder.join(LOCK)).expect("removed");
        File::create(folder.join(LOCK)).expect("made anew, unlocked");
        fs::create_dir(cache.path().join("serving/half-made")).expect("made");
        let third = House::new(cache.path()).expect("made");
        assert_eq!(all(), 1, "those of the dead are gone");
        drop(third);
    }
}
