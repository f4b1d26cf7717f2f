//! Rounds: everything that is new in the log of every version is read, counted, and written down. Without
//! a thread; time is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use server_base::Findings;

use super::Source;
use super::cursor::{Cursor, latest};
use super::cursors::{self, Cursors, Known};
use super::metrics;
use super::repository::Repository;
use super::stream::{Positions, Stream};
use super::transaction::Transaction;
use super::version::VersionLog;
use crate::house::{Monitors, Who};

/// While much is read at once, how often it is written down what was counted.
const PAUSE: Duration = Duration::from_secs(1);

/// How far back a version is read that was never read before: what is older is history.
const BEGIN_MICROS: i64 = super::cursor::MICROS_AN_HOUR;

/// Versions whose cursors are kept while they are not followed: they may come back.
const CURSORS_MAX: usize = 1_024;

/// Beside the folder of the cursors.
const MONITORS: &str = "monitors";

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
    /// Where the log is.
    pub log: Log,
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

/// What a log consists of.
pub enum Log {
    /// Files that are there whole. One may take the place of another of its name, with more rows.
    Files(Box<dyn Source>),
    /// Messages in partitions.
    Stream(Box<dyn Stream>),
}

/// See the module.
pub(crate) struct Follower {
    pub(super) log: Log,
    repository: Repository,
    pub(super) bounds: Bounds,
    pub(super) now: Box<dyn Fn() -> i64 + Send>,
    disk: Arc<Transaction>,
    /// What of them is written down.
    kept: Cursors,
    pub(super) monitors: Arc<Monitors>,
    pub(super) logs: Vec<VersionLog>,
    /// Of a stream.
    pub(super) positions: Positions,
    /// Of versions that are not followed now.
    cursors: BTreeMap<Who, Cursor>,
    /// Monitors that have changed since they were written down.
    touched: BTreeSet<Who>,
    /// A cursor has changed since.
    pub(super) is_moved: bool,
    written: Option<Instant>,
    /// Ends a round between two files.
    pub(super) stop: Arc<AtomicBool>,
    /// Held as long as it is followed.
    _lock: File,
}

/// How a round has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Round {
    /// All that was listed has been read.
    Whole,
    /// There is more.
    Cut,
    /// Something cannot be read now, which has been said.
    Failed,
    /// It was told to end.
    Stopped,
}

impl Follower {
    /// Goes on where the process before has stopped.
    pub(crate) fn open(options: Options, stop: Arc<AtomicBool>) -> io::Result<Follower> {
        let Options { log, repository, folder, findings, bounds, now } = options;
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|it| match it {
            TryLockError::WouldBlock => io::Error::other("another process keeps its state there"),
            TryLockError::Error(error) => error,
        })?;
        let inner = [MONITORS, cursors::FOLDER];
        let disk = Arc::new(Transaction::open(folder.clone(), &inner)?);
        let files = Arc::<Transaction>::clone(&disk);
        let monitors = Arc::new(Monitors::open(files, &folder.join(MONITORS), findings)?);
        let (kept, known) = Cursors::open(Arc::clone(&disk), &folder)?;
        let Known { cursors, stream, is_old } = known;
        let positions = match &log {
            Log::Files(_) => Positions::default(),
            Log::Stream(it) => Positions::of(stream, it.name()),
        };
        // What was found and not told is told first.
        let touched = monitors.all().into_iter().collect();
        Ok(Follower {
            log,
            repository,
            bounds,
            now,
            disk,
            kept,
            monitors,
            logs: Vec::new(),
            positions,
            cursors,
            touched,
            is_moved: is_old,
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
        let ended = self.read_new();
        if matches!(ended, Err(_) | Ok(Round::Failed)) {
            metrics::failed("store");
        }
        metrics::waiting(self.logs.iter().map(|it| it.waiting.bytes()).sum());
        self.checkpoint()?;
        if matches!(ended, Ok(Round::Whole | Round::Cut)) {
            metrics::round((self.now)());
        }
        ended
    }

    /// What is new waits for its turn, or is counted.
    pub(super) fn read_new(&mut self) -> io::Result<Round> {
        match self.log {
            Log::Files(_) => self.read_files(),
            Log::Stream(_) => self.read_messages(),
        }
    }

    /// Which versions are followed from now on.
    pub(super) fn look(&mut self) {
        let found = match self.repository.look() {
            Ok(found) => found,
            Err(error) => {
                metrics::failed("settings");
                tracing::warn!(%error, "models cannot be looked at: those that were known are followed");
                return;
            }
        };
        let covered = self.positions.covered();
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
                    // One without a cursor begins, whatever was read of the stream.
                    let is_covered = cursor.is_some() && covered.contains(&who);
                    let cursor = cursor.unwrap_or_else(|| Cursor::new(begin()));
                    let mut log = VersionLog::new(it, cursor);
                    log.since = log.since.filter(|_| !is_covered);
                    log
                }
            };
            self.logs.push(log);
        }
        for (who, mut log) in known {
            let cursor = log.standing(&self.monitors).clone();
            if self.monitors.is_learning(&who) {
                // If it comes back its rows do, from where it began to learn: none is learned from twice.
                self.monitors.reset(&who);
            }
            self.cursors.insert(who, cursor);
        }
        while self.cursors.len() > CURSORS_MAX {
            let oldest = self.cursors.iter().min_by_key(|it| it.1.watermark());
            let Some(oldest) = oldest.map(|it| it.0.clone()) else { return };
            self.cursors.remove(&oldest);
            self.kept.forget(&oldest);
        }
        self.monitors.sweep();
    }

    /// Rows of a version up to there are counted.
    pub(super) fn advance(&mut self, n: usize, to: i64) {
        let Some(log) = self.logs.get_mut(n) else { return };
        if log.advance(&self.monitors, to) {
            self.touched.insert(log.who.clone());
        }
    }

    /// The clock shows `now`: rows of a version are sane up to some time after that. An error: more than that has
    /// been counted. Which of the two clocks was wrong nobody knows, and if this one is, to go back would count
    /// rows twice.
    pub(super) fn check_clock(&mut self, n: usize, now: i64) -> io::Result<()> {
        let latest = latest(now, self.lateness());
        let Some(log) = self.logs.get_mut(n) else { return Ok(()) };
        log.latest = latest;
        if !log.cursor.is_beyond(latest) {
            return Ok(());
        }
        metrics::failed("clock");
        let (model, version) = &log.who;
        let (counted, now) = (log.cursor.watermark() / 1_000_000, now / 1_000_000);
        let file = self.kept.path(&log.who);
        Err(io::Error::other(format!(
            "rows of {model}/{version} were counted up to {counted} s after 1970 and the clock shows {now} s: expected a \
             clock that does not go back. If it was wrong then, remove {} and give --from",
            file.display()
        )))
    }

    pub(super) fn lateness(&self) -> i64 {
        i64::try_from(self.bounds.lateness.as_micros()).unwrap_or(i64::MAX)
    }

    /// Has rows counted before their time where too many wait: half of those of which there are most. The time
    /// that is now is not passed, which would make all rows late that come: what is ahead of it is left out.
    pub(super) fn relieve(&mut self) {
        let (now, lateness) = ((self.now)(), self.lateness());
        while self.logs.iter().map(|it| it.waiting.bytes()).sum::<usize>()
            > self.bounds.waiting_bytes_max
        {
            let most = self.logs.iter_mut().enumerate().max_by_key(|it| it.1.waiting.bytes());
            let Some((n, log)) = most else { return };
            let (model, version) = log.who.clone();
            // Clocks that differ by more than the lateness have others' rows counted early.
            let mut ahead = log.shed(now.saturating_add(lateness));
            let to = log.waiting.middle().unwrap_or(i64::MIN).min(now);
            let is_due = to > log.cursor.watermark();
            if ahead == 0 && !is_due {
                ahead = log.shed(now);
            }
            if ahead > 0 {
                tracing::warn!(%model, %version, ahead, "too many rows wait: those ahead of the clock are left out");
            } else if is_due {
                log.metrics.hurried.increment(1);
                tracing::warn!(%model, %version, rows = log.waiting.rows(), "too many rows wait: half are counted now");
                self.advance(n, to);
            } else {
                return;
            }
        }
    }

    /// As `checkpoint`, if the last one is a while ago.
    pub(super) fn checkpoint_now_and_then(&mut self) -> io::Result<()> {
        if self.written.is_none_or(|it| it.elapsed() >= PAUSE) { self.checkpoint() } else { Ok(()) }
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
        for log in &mut self.logs {
            let (who, has_counted) = (log.who.clone(), self.touched.contains(&log.who));
            self.kept.write(&who, log.standing(&self.monitors), has_counted)?;
        }
        for (who, cursor) in &self.cursors {
            self.kept.write(who, cursor, self.touched.contains(who))?;
        }
        let stream = match &self.log {
            Log::Files(_) => None,
            Log::Stream(it) => {
                let covered = self.logs.iter().filter(|it| it.since.is_none()).map(|it| &it.who);
                let covered: Vec<&Who> = covered.collect();
                Some(self.positions.saved(it.name(), &self.needed(), &covered))
            }
        };
        self.kept.beside(stream.as_ref())?;
        self.disk.commit()?;
        self.is_moved = false;
        let mut told = Ok(());
        let monitors = &self.monitors;
        // Whoever cannot be told of is tried again, and keeps no others waiting.
        self.touched.retain(|who| match monitors.tell(who) {
            Ok(is_told) => !is_told,
            Err(error) => {
                told = Err(error);
                true
            }
        });
        self.disk.commit().and(told)
    }
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
