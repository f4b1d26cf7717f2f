//! Which Parquet files are deleted, if any: the oldest, by when they were written.
//!
//! Off by default. Only files of our own form, under the folder that the log alone writes to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::hive::{below, there};

/// Looking at all files is not done more often.
const PAUSE: Duration = Duration::from_secs(60);

/// What is kept; `None`: without that bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Nothing that was written longer ago.
    pub age: Option<Duration>,
    /// No more bytes in all.
    pub bytes: Option<u64>,
}

/// Deletes what is not kept, once in a while.
pub(crate) struct Retention {
    keep: Keep,
    folders: &'static [&'static str],
    last: Option<Instant>,
}

struct Stored {
    path: PathBuf,
    written: SystemTime,
    bytes: u64,
}

impl Retention {
    /// Of files below folders of those names.
    pub(crate) fn new(keep: Keep, folders: &'static [&'static str]) -> Retention {
        Retention { keep, folders, last: None }
    }

    /// What cannot be deleted now is tried again; the log goes on either way.
    pub(crate) fn sweep(&mut self, folder: &Path, now: SystemTime) {
        if self.last.is_some_and(|it| it.elapsed() < PAUSE) {
            return;
        }
        self.last = Some(Instant::now());
        let mut stored = match look(folder, self.folders) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "the files of the prediction log cannot be looked at");
                return;
            }
        };
        let doomed = doomed(&mut stored, now, self.keep);
        let (mut files, mut bytes) = (0, 0);
        for Stored { path, bytes: size, .. } in stored.iter().take(doomed) {
            match fs::remove_file(path) {
                Ok(()) => (files, bytes) = (files + 1, bytes + size),
                Err(error) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "a file of the prediction log cannot be deleted");
                }
            }
            // Folders go with their last file: one that is not empty cannot be removed.
            let above = path.ancestors().skip(1).take_while(|it| *it != folder);
            let _ = above.map(fs::remove_dir).take_while(Result::is_ok).count();
        }
        if files > 0 {
            tracing::info!(files, bytes, "old files of the prediction log were deleted");
        }
    }
}

/// How many of them, in order of age, are to go.
fn doomed(stored: &mut [Stored], now: SystemTime, keep: Keep) -> usize {
    stored.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
    let is_old = |it: &&Stored| {
        let age = now.duration_since(it.written).unwrap_or_default();
        keep.age.is_some_and(|most| age > most)
    };
    let old = stored.iter().take_while(is_old).count();
    let mut bytes: u64 = stored.iter().map(|it| it.bytes).sum();
    let is_over = |it: &&Stored| {
        let over = keep.bytes.is_some_and(|most| bytes > most);
        bytes = bytes.saturating_sub(it.bytes);
        over
    };
    let over = stored.iter().take_while(is_over).count();
    old.max(over)
}

/// All files. One that goes away meanwhile is not there.
fn look(root: &Path, folders: &[&str]) -> io::Result<Vec<Stored>> {
    let mut stored = Vec::new();
    for entry in below((root, folders), &|_, _| true)? {
        if let Some(about) = there(entry.metadata())? {
            let (path, bytes) = (entry.path(), about.len());
            stored.push(Stored { path, written: about.modified()?, bytes });
        }
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use super::*;
    use crate::hive::FOLDERS;
    use crate::parquet::tests::files;

    const NOW: Duration = Duration::from_secs(1_000_000);

    /// Names of the files that are left of four of 10 bytes each, which are 1 to 4 seconds old.
    fn left(keep: Keep) -> Vec<String> {
        let folder = tempfile::tempdir().expect("scratch");
        let now = SystemTime::UNIX_EPOCH + NOW;
        for (place, age) in [("a/9", 4), ("b/1", 3), ("b/2", 2), ("c/7", 1)] {
            let (model, name) = place.split_once('/').expect("two parts");
            let hour = folder.path().join(format!("model={model}/version=1/date=d/hour=1"));
            fs::create_dir_all(&hour).expect("made");
            let path = hour.join(format!("{name}.parquet"));
            fs::write(&path, [0; 10]).expect("written");
            let times = FileTimes::new().set_modified(now - Duration::from_secs(age));
            File::options().write(true).open(path).expect("there").set_times(times).expect("set");
        }
        fs::write(folder.path().join("model=a/notes.parquet"), "of others").expect("written");
        Retention::new(keep, FOLDERS).sweep(folder.path(), now);
        let stem = |it: PathBuf| it.file_stem().expect("a name").to_string_lossy().into_owned();
        files(folder.path()).into_iter().map(stem).collect()
    }

    #[test]
    fn the_oldest_go_first() {
        let seconds = |it| Some(Duration::from_millis(it));
        for (age, bytes, expect) in [
            (None, None, "9 notes 1 2 7"),
            (seconds(2_500), None, "notes 2 7"),
            (None, Some(25), "notes 2 7"),
            (None, Some(30), "notes 1 2 7"),
            (seconds(3_500), Some(10), "notes 7"),
            (seconds(0), None, "notes"),
            (None, Some(0), "notes"),
        ] {
            let mut left = left(Keep { age, bytes });
            left.sort_by_key(|it| expect.find(it.as_str()));
            assert_eq!(left.join(" "), expect, "{age:?} {bytes:?}");
        }
    }

    #[test]
    fn folders_go_with_their_last_file() {
        let folder = tempfile::tempdir().expect("scratch");
        let hour = folder.path().join("model=a/version=1/date=d/hour=1");
        fs::create_dir_all(&hour).expect("made");
        fs::write(hour.join("1.parquet"), "x").expect("written");
        let keep = Keep { age: None, bytes: Some(0) };
        Retention::new(keep, FOLDERS).sweep(folder.path(), SystemTime::now());
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
    }
}
