//! Rounds: everything that is new in the log of every version is read, counted, and written down. Without
//! a thread; time is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use server_base::{Findings, ModelName, Version};
use server_feedback::Files as _;

use super::cursor::{Cursor, Turn};
use super::metrics;
use super::repository::Repository;
use super::source::{Object, Source, Wanted};
use super::transaction::Transaction;
use super::version::{Read, VersionLog};
use crate::house::{Monitors, Who};

/// Files of one list: those of four hours of a version, of 400 replicas that write one each minute.
const LISTED_MAX: usize = 100_000;

/// While much is read at once, how often it is written down what was counted.
const PAUSE: Duration = Duration::from_secs(1);

/// How far back a version is read that was never read before: what is older is history.
const BEGIN_MICROS: i64 = super::cursor::MICROS_AN_HOUR;

/// Versions whose cursors are kept while they are not followed: they may come back.
const CURSORS_MAX: usize = 1_024;

/// A list of files in a cursor: some megabytes.
const CURSOR_BYTES_MAX: usize = 256 << 20;

/// Beside the folder of the monitors.
const CURSOR: &str = "cursor.json";
const MONITORS: &str = "monitors";

/// The only format that is written and read.
const FORMAT: u32 = 1;

/// How much, and how long.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Rows of a request are in the log so long after it at the most.
    pub lateness: Duration,
    /// Memory of rows that wait.
    pub waiting_bytes_max: usize,
    /// A file of the log is larger by mistake.
    pub object_bytes_max: u64,
    /// From when on a version is read that was never read before, in microseconds since 1970
    /// [default: an hour back].
    pub from: Option<i64>,
}

/// What is followed, and who is told.
pub struct Options {
    /// Where the log lies.
    pub source: Box<dyn Source>,
    /// Which versions.
    pub repository: Repository,
    /// Where it is written down how far that is.
    pub folder: PathBuf,
    /// Who is told what is found.
    pub findings: Arc<dyn Findings>,
    /// How much.
    pub bounds: Bounds,
    /// Microseconds since 1970.
    pub now: Box<dyn Fn() -> i64 + Send>,
}

/// See the module.
pub(crate) struct Follower {
    source: Box<dyn Source>,
    repository: Repository,
    bounds: Bounds,
    now: Box<dyn Fn() -> i64 + Send>,
    folder: PathBuf,
    disk: Arc<Transaction>,
    monitors: Arc<Monitors>,
    logs: Vec<VersionLog>,
    /// Of versions that are not followed now.
    cursors: BTreeMap<Who, Cursor>,
    /// Monitors that have changed since they were written down.
    touched: BTreeSet<Who>,
    /// A cursor has changed since.
    is_moved: bool,
    written: Option<Instant>,
    /// Ends a round between two files.
    stop: Arc<AtomicBool>,
    /// Held as long as it is followed.
    _lock: File,
}

/// How a round has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// All that was listed has been read.
    Whole,
    /// There is more.
    Cut,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    versions: Vec<(String, u64, Cursor)>,
}

impl Follower {
    /// Goes on where the process before has stopped.
    pub(crate) fn open(options: Options, stop: Arc<AtomicBool>) -> io::Result<Follower> {
        let Options { source, repository, folder, findings, bounds, now } = options;
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|it| match it {
            TryLockError::WouldBlock => io::Error::other("another process keeps its state there"),
            TryLockError::Error(error) => error,
        })?;
        let disk = Arc::new(Transaction::open(folder.clone(), MONITORS)?);
        let files = Arc::<Transaction>::clone(&disk);
        let monitors = Arc::new(Monitors::open(files, &folder.join(MONITORS), findings)?);
        let cursors = read(&disk, &folder)?;
        // What was found and not told is told first.
        let touched = monitors.all().into_iter().collect();
        Ok(Follower {
            source,
            repository,
            bounds,
            now,
            folder,
            disk,
            monitors,
            logs: Vec::new(),
            cursors,
            touched,
            is_moved: false,
            written: None,
            stop,
            _lock: lock,
        })
    }

    pub(crate) fn monitors(&self) -> &Arc<Monitors> {
        &self.monitors
    }

    /// Reads what is new. After an error what was read stands, and the next round goes on.
    pub(crate) fn round(&mut self) -> io::Result<Round> {
        self.look();
        let (mut ended, mut failed) = (Round::Whole, None);
        for n in 0..self.logs.len() {
            match self.follow(n) {
                Ok(Round::Whole) => {}
                Ok(Round::Cut) => ended = Round::Cut,
                // The store is away for all of them.
                Err(error) => {
                    metrics::failed("store");
                    failed = Some(error);
                    break;
                }
            }
        }
        metrics::waiting(self.logs.iter().map(|it| it.waiting.bytes()).sum());
        self.checkpoint()?;
        if let Some(error) = failed {
            return Err(error);
        }
        metrics::round((self.now)());
        Ok(ended)
    }

    /// Which versions are followed from now on.
    fn look(&mut self) {
        let found = match self.repository.look() {
            Ok(found) => found,
            Err(error) => {
                metrics::failed("settings");
                tracing::warn!(%error, "models cannot be looked at: those that were known are followed");
                return;
            }
        };
        let known = std::mem::take(&mut self.logs);
        let mut known: BTreeMap<Who, VersionLog> =
            known.into_iter().map(|it| (it.who.clone(), it)).collect();
        for it in found {
            let who = (it.model.clone(), it.version);
            let log = match known.remove(&who) {
                Some(mut log) => {
                    if log.followed != it {
                        log.change(it);
                    }
                    log
                }
                None => {
                    let begin = || self.bounds.from.unwrap_or((self.now)() - BEGIN_MICROS);
                    let cursor = self.cursors.remove(&who);
                    VersionLog::new(it, cursor.unwrap_or_else(|| Cursor::new(begin())))
                }
            };
            self.logs.push(log);
        }
        for (who, mut log) in known {
            let cursor = log.standing(&self.monitors).clone();
            self.cursors.insert(who, cursor);
        }
        while self.cursors.len() > CURSORS_MAX {
            let oldest = self.cursors.iter().min_by_key(|it| it.1.watermark());
            let Some(oldest) = oldest.map(|it| it.0.clone()) else { return };
            self.cursors.remove(&oldest);
        }
        self.monitors.sweep();
    }

    /// Reads what is new of one version.
    fn follow(&mut self, n: usize) -> io::Result<Round> {
        let lateness = i64::try_from(self.bounds.lateness.as_micros()).unwrap_or(i64::MAX);
        let settled = (self.now)() - lateness;
        let Some(log) = self.logs.get_mut(n) else { return Ok(Round::Whole) };
        let list = |source: &mut Box<dyn Source>, from_hour| {
            source.list(&Wanted { folder: &log.folder, from_hour, most: LISTED_MAX })
        };
        let mut listed = list(&mut self.source, log.cursor.first_hour())?;
        if listed.len() >= LISTED_MAX {
            // Without the hours that are looked at for what is late.
            listed = list(&mut self.source, log.cursor.next_hour())?;
        }
        let known = (&log.cursor, &log.again);
        let turn = Turn::new(known, listed, (LISTED_MAX, settled));
        if turn.is_cut && turn.until <= log.cursor.watermark() {
            let (model, version) = &log.who;
            metrics::failed("crowded");
            tracing::error!(%model, %version, files = LISTED_MAX, "an hour has more files than are listed");
        }
        for (read, object) in turn.objects.iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) || !self.take(n, object)? {
                return Ok(Round::Whole);
            }
            self.advance(n, turn.settled(read + 1));
            self.relieve();
            if self.written.is_none_or(|it| it.elapsed() >= PAUSE) {
                self.checkpoint()?;
            }
        }
        self.advance(n, turn.until);
        let Some(log) = self.logs.get_mut(n) else { return Ok(Round::Whole) };
        if !turn.is_cut {
            // Those that no list shows are gone, with what waited in them.
            for path in std::mem::take(&mut log.again) {
                metrics::object("gone");
                log.was_read(&path, i64::MIN);
            }
        }
        log.cursor.forget();
        log.metrics.stands(log.waiting.rows(), log.cursor.watermark());
        Ok(if turn.is_cut { Round::Cut } else { Round::Whole })
    }

    /// Reads a file. False: nobody takes its rows.
    fn take(&mut self, n: usize, object: &Object) -> io::Result<bool> {
        let Some(log) = self.logs.get_mut(n) else { return Ok(false) };
        let name = format!("{}/{}", log.folder, object.path);
        let result = if object.size > self.bounds.object_bytes_max {
            let (bytes, most) = (object.size, self.bounds.object_bytes_max);
            tracing::error!(
                file = name,
                bytes,
                most,
                "a file of the log is too large: it is left out"
            );
            "too_large"
        } else {
            match self.source.fetch(&log.folder, object) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => "gone",
                Err(error) => return Err(error),
                Ok(file) => match log.read(&self.monitors, &object.path, file) {
                    Read::Done => "read",
                    Read::Refused => return Ok(false),
                    Read::Unreadable(error) => {
                        tracing::error!(file = name, error, "a file of the log cannot be read");
                        "unreadable"
                    }
                },
            }
        };
        if result != "read" {
            log.was_read(&object.path, i64::MIN);
        }
        metrics::object(result);
        self.is_moved = true;
        Ok(true)
    }

    fn advance(&mut self, n: usize, to: i64) {
        let Some(log) = self.logs.get_mut(n) else { return };
        if log.advance(&self.monitors, to) {
            self.touched.insert(log.who.clone());
        }
    }

    /// Has rows counted before their time where too many wait: half of those of which there are most.
    fn relieve(&mut self) {
        while self.logs.iter().map(|it| it.waiting.bytes()).sum::<usize>()
            > self.bounds.waiting_bytes_max
        {
            let most = self.logs.iter().enumerate().max_by_key(|it| it.1.waiting.bytes());
            let Some((n, log)) = most else { return };
            let (model, version) = &log.who;
            let Some(middle) = log.waiting.middle() else { return };
            log.metrics.hurried.increment(1);
            tracing::warn!(%model, %version, rows = log.waiting.rows(), "too many rows wait: half are counted now");
            self.advance(n, middle);
        }
    }

    /// Writes down what was counted and how far that is, together; then tells what was found.
    pub(crate) fn checkpoint(&mut self) -> io::Result<()> {
        if self.touched.is_empty() && !self.is_moved {
            return Ok(());
        }
        let written = self.write();
        if written.is_err() {
            metrics::failed("state");
        }
        self.written = Some(Instant::now());
        written
    }

    fn write(&mut self) -> io::Result<()> {
        self.touched.iter().try_for_each(|it| self.monitors.keep(it))?;
        let followed = self.logs.iter_mut().map(|it| {
            let who = it.who.clone();
            (who, it.standing(&self.monitors).clone())
        });
        let others = self.cursors.iter().map(|it| (it.0.clone(), it.1.clone()));
        let all = followed.collect::<Vec<_>>().into_iter().chain(others);
        let versions =
            all.map(|((model, version), it)| (model.to_string(), version.0, it)).collect();
        let saved = serde_json::to_vec(&Saved { format: FORMAT, versions })?;
        self.disk.replace(&self.folder.join(CURSOR), &saved)?;
        self.disk.commit()?;
        self.is_moved = false;
        for who in std::mem::take(&mut self.touched) {
            self.monitors.tell(&who)?;
        }
        self.disk.commit()
    }
}

/// What the process before has left.
fn read(disk: &Transaction, folder: &std::path::Path) -> io::Result<BTreeMap<Who, Cursor>> {
    let path = folder.join(CURSOR);
    let text = match disk.read(&path, 0, CURSOR_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let wrong = |why: String| io::Error::other(format!("{}: {why}", path.display()));
    let saved: Saved = serde_json::from_slice(&text).map_err(|it| wrong(it.to_string()))?;
    if saved.format != FORMAT {
        let format = saved.format;
        return Err(wrong(format!("it has format {format}, this version reads {FORMAT}")));
    }
    let mut cursors = BTreeMap::new();
    for (model, version, cursor) in saved.versions {
        let model = ModelName::new(&model).map_err(|it| wrong(it.to_string()))?;
        cursors.insert((model, Version(version)), cursor);
    }
    Ok(cursors)
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
