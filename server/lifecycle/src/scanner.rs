//! Looks at the repository again and again, and at what has not changed as briefly as can be.
//!
//! A full look at a model lists its folders and reads its `model.toml`. It leaves a trace: every
//! path that it met, and how that looked. As long as each still looks the same, nothing was
//! added, removed, renamed or written, and the result of the last full look stands. Called by the
//! manager's thread, which may wait for the disk.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server_base::ModelName;

use crate::repository::{FoundModel, scan_model, unless_gone};

/// What changed so recently may change again without looking different: file systems tell times
/// in steps of up to two seconds, and a copy has more than one.
const RACY: Duration = Duration::from_secs(3);

/// Models that are looked at in full by every scan. Some file systems (object stores, mostly) do
/// not change a folder's time when something is put into it, so that only a full look shows it;
/// repositories up to this size never notice.
const FULL_LOOKS: usize = 64;

/// Scans in which every model is looked at in full once, however many there are.
const ROUNDS_MAX: usize = 16;

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Models by name.
    pub(crate) models: BTreeMap<ModelName, Seen>,
    /// What is no model, and why.
    pub(crate) strangers: Vec<String>,
    /// Repositories that cannot be read now, and why. Of their models what was known stands: one that
    /// is out of reach for a while unloads nothing.
    pub(crate) unread: Vec<(PathBuf, io::Error)>,
}

/// One model, or why its folder cannot be read. The same as that of the last scan, and not only
/// equal to it, if nothing has changed.
pub(crate) type Seen = Arc<Result<FoundModel, String>>;

impl Found {
    /// What could not be read, or is no model.
    pub(crate) fn faults(&self) -> usize {
        self.strangers.len()
            + self.unread.len()
            + self.models.values().map(|it| faults(it)).sum::<usize>()
    }
}

fn faults(seen: &Result<FoundModel, String>) -> usize {
    match seen {
        Ok(model) => model.versions.values().filter(|it| it.is_err()).count(),
        Err(_) => 1,
    }
}

/// What is remembered of the repositories from scan to scan.
pub(crate) struct Scanner {
    repositories: Vec<Repository>,
    /// File names that engines read.
    artifacts: Vec<&'static str>,
    scans: usize,
}

struct Repository {
    path: PathBuf,
    known: HashMap<ModelName, Known>,
}

struct Known {
    seen: Seen,
    trace: Trace,
}

impl Scanner {
    /// With nothing seen yet. Of a model that lies in two of them only the first counts.
    pub(crate) fn new(repositories: &[PathBuf], artifacts: Vec<&'static str>) -> Scanner {
        let repository = |it: &PathBuf| Repository { path: it.clone(), known: HashMap::new() };
        Scanner { repositories: repositories.iter().map(repository).collect(), artifacts, scans: 0 }
    }

    /// Looks at every model.
    pub(crate) fn scan(&mut self) -> Found {
        let mut found = Found::default();
        let models: usize = self.repositories.iter().map(|it| it.known.len()).sum();
        let rounds = models.div_ceil(FULL_LOOKS).clamp(1, ROUNDS_MAX);
        let mut turns = Turns { folders: 0, scans: self.scans, rounds };
        for repository in &mut self.repositories {
            repository.scan(&self.artifacts, &mut turns, &mut found);
        }
        self.scans = self.scans.wrapping_add(1);
        found
    }
}

/// Which models are looked at in full by this scan.
struct Turns {
    folders: usize,
    scans: usize,
    rounds: usize,
}

impl Turns {
    fn next_is_due(&mut self) -> bool {
        self.folders += 1;
        self.folders % self.rounds == self.scans % self.rounds
    }
}

impl Repository {
    fn scan(&mut self, artifacts: &[&str], turns: &mut Turns, found: &mut Found) {
        let entries = fs::read_dir(&self.path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let known = self.known.iter();
                let stands = known.map(|(name, it)| (name.clone(), Arc::clone(&it.seen)));
                for (name, seen) in stands {
                    found.models.entry(name).or_insert(seen);
                }
                found.unread.push((self.path.clone(), error));
                return;
            }
        };
        let mut known = HashMap::with_capacity(self.known.len());
        for entry in entries {
            let file_name = entry.file_name();
            let name = file_name.to_string_lossy();
            let is_file = entry.file_type().is_ok_and(|it| it.is_file());
            // Every ext4 volume has a folder for what was lost.
            if is_file || name.starts_with('.') || name == "lost+found" {
                continue;
            }
            let (path, is_due) = (entry.path(), turns.next_is_due());
            let name = match ModelName::new(&name) {
                Ok(name) => name,
                Err(error) => {
                    if fs::metadata(&path).is_ok_and(|it| it.is_dir()) {
                        found.strangers.push(format!("{name:?}: {error}"));
                    }
                    continue;
                }
            };
            if found.models.contains_key(&name) {
                let words = format!("{}: there is another model of that name", path.display());
                found.strangers.push(words);
                continue;
            }
            let last = self.known.remove(&name);
            if let Some(now) = look(&path, artifacts, (last, is_due)) {
                found.models.insert(name.clone(), Arc::clone(&now.seen));
                known.insert(name, now);
            }
        }
        self.known = known;
    }
}

/// `None` if there is no folder.
fn look(path: &Path, artifacts: &[&str], (last, is_due): (Option<Known>, bool)) -> Option<Known> {
    let last = match last {
        Some(last) if !is_due && last.trace.still_holds() => return Some(last),
        last => last,
    };
    let mut trace = Trace::new();
    let seen = match trace.metadata(path) {
        Ok(Some(it)) if it.is_dir() => scan_model(path, artifacts, &mut trace),
        Ok(Some(_) | None) => return None,
        Err(error) => Err(error),
    };
    let seen = unless_gone(seen)?;
    trace.is_doubtful |= faults(&seen) > 0;
    // Of what is the same the old one stays, so that nobody else looks at it.
    let seen = match last {
        Some(last) if *last.seen == seen => last.seen,
        Some(_) | None => Arc::new(seen),
    };
    Some(Known { seen, trace })
}

/// Paths that a look met, and how they looked.
pub(crate) struct Trace {
    began: SystemTime,
    paths: Vec<(PathBuf, Option<Stamp>)>,
    /// Something could not be looked at, or is too new to be relied on.
    is_doubtful: bool,
}

/// How something on disk looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn new(it: &Metadata) -> Stamp {
        Stamp {
            device: it.dev(),
            inode: it.ino(),
            mode: it.mode(),
            bytes: it.len(),
            written: (it.mtime(), it.mtime_nsec()),
            changed: (it.ctime(), it.ctime_nsec()),
        }
    }

    /// When it last changed. What is older than 1970 has not changed since then.
    fn last(&self) -> SystemTime {
        let seconds = self.written.0.max(self.changed.0);
        UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }
}

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace { began: SystemTime::now(), paths: Vec::new(), is_doubtful: false }
    }

    /// Looks at a path, links followed. `None` if it is not there.
    pub(crate) fn metadata(&mut self, path: &Path) -> io::Result<Option<Metadata>> {
        match fs::metadata(path) {
            Ok(metadata) => {
                self.met(path, &metadata);
                Ok(Some(metadata))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.absent(path);
                Ok(None)
            }
            Err(error) => {
                self.is_doubtful = true;
                Err(error)
            }
        }
    }

    /// Takes note of a path that is not there.
    pub(crate) fn absent(&mut self, path: &Path) {
        self.paths.push((path.to_path_buf(), None));
    }

    /// Takes note of how a path looks.
    pub(crate) fn met(&mut self, path: &Path, metadata: &Metadata) {
        let stamp = Stamp::new(metadata);
        // A time in the future is one of those that cannot be relied on.
        self.is_doubtful |= stamp.last() + RACY > self.began;
        self.paths.push((path.to_path_buf(), Some(stamp)));
    }

    /// Does everything look as it did? Stops at the first that does not.
    fn still_holds(&self) -> bool {
        let now = |path: &Path| match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Stamp::new(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        !self.is_doubtful
            && self.paths.iter().all(|(path, then)| now(path).is_ok_and(|it| it == *then))
    }
}

#[cfg(test)]
#[path = "scanner_tests.rs"]
mod tests;
