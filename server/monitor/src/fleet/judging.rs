//! Rounds over predictions and labels: what is new of either is read, hour by hour, and windows are judged
//! when all that belongs in them has been read. Without a thread; time is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use server_base::{Findings, ModelName, TruthConfig};
use server_feedback::hour_of;
use server_truth::Judge;

use super::clock::Clock;
use super::cursor::{MICROS_AN_HOUR, Turn, latest, start_of};
use super::follower::{Bounds, Round};
use super::judged_log::{Fault, JudgedLog, Of, lock};
use super::ledger::Ledger;
use super::listing;
use super::metrics;
use super::repository::{Followed, Repository};
use super::{Missing, Object, Source};

/// How far back windows are judged by the first process that ever does: what is older is history.
const BEGIN_US: i64 = MICROS_AN_HOUR;

/// How often it is written down how far that is while no window is over. A process that is killed reads so
/// much more again.
const CLOCK_STEP_US: i64 = 60_000_000;

/// How far the hour of a file may be ahead of what is judged: rows that are a day ahead would be taken for those
/// of a clock that is wrong, and left out. Others wait for it: they are of such a clock, or a log is listed in
/// parts and holds up the others.
const FAR_US: i64 = 23 * MICROS_AN_HOUR;

/// Versions of a model that are judged at a time, as in a server.
const VERSIONS_MAX: usize = 8;

/// What is judged, and who is told.
pub struct Judged {
    /// Where predictions lie.
    pub predictions: Box<dyn Source>,
    /// Where labels do.
    pub labels: Box<dyn Source>,
    /// Which versions, and how.
    pub repository: Repository<TruthConfig>,
    /// Where it is written down what came of it.
    pub folder: PathBuf,
    /// Who is told what is found.
    pub findings: Arc<dyn Findings>,
    /// How much, and how long; rows do not wait here.
    pub bounds: Bounds,
    /// Memory for what waits for labels.
    pub truth_bytes_max: usize,
    /// Microseconds since 1970.
    pub now: Box<dyn Fn() -> i64 + Send>,
}

/// See the module.
pub(crate) struct Judging {
    predictions: Box<dyn Source>,
    labels: Box<dyn Source>,
    repository: Repository<TruthConfig>,
    bounds: Bounds,
    clock: Clock,
    judge: Arc<Mutex<Judge>>,
    logs: Vec<JudgedLog>,
    ledger: Ledger,
    findings: Arc<dyn Findings>,
    /// Ends a round between two files.
    stop: Arc<AtomicBool>,
}

/// A file that is to be read: of which log, and which of its turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    hour: Option<u32>,
    /// Of an hour predictions come first: a label is held against what is known then.
    is_label: bool,
    log: usize,
    place: usize,
}

impl Judging {
    /// Goes on where the process before has stopped.
    pub(crate) fn open(options: Judged, stop: Arc<AtomicBool>) -> io::Result<Judging> {
        let Judged { predictions, labels, repository, folder, findings, bounds, .. } = options;
        let begin = bounds.from.unwrap_or_else(|| (options.now)() - BEGIN_US);
        let ledger = Ledger::open(&folder, begin)?;
        let judge = Judge::new(options.truth_bytes_max, ledger.clock_us);
        let known = ledger.clock_us.saturating_add(lateness(&bounds));
        Ok(Judging {
            predictions,
            labels,
            repository,
            bounds,
            clock: Clock::new(options.now, known),
            judge: Arc::new(Mutex::new(judge)),
            logs: Vec::new(),
            ledger,
            findings,
            stop,
        })
    }

    pub(crate) fn judge(&self) -> &Arc<Mutex<Judge>> {
        &self.judge
    }

    /// Reads what is new. After an error what was read stands, and the next round goes on.
    pub(crate) fn round(&mut self) -> io::Result<Round> {
        self.check_clock()?;
        self.look();
        // What was found and not told is told first; and a first process says where it begins.
        if self.ledger.has_untold() || self.ledger.unwritten_us() >= CLOCK_STEP_US {
            self.settle()?;
        }
        let read = self.list().and_then(|turns| self.read(&turns));
        if read.is_err() {
            metrics::failed("store");
        }
        metrics::judged(self.ledger.clock_us);
        read
    }

    /// Which versions are judged now.
    fn look(&mut self) {
        let found = match self.repository.look() {
            Ok(found) => newest(found),
            Err(error) => {
                metrics::failed("settings");
                tracing::warn!(%error, "models cannot be looked at: those that were known are judged");
                return;
            }
        };
        let mut changed: BTreeMap<ModelName, bool> = BTreeMap::new();
        let clock = self.ledger.clock_us;
        let mut known = std::mem::take(&mut self.logs);
        let mut take = |is_it: &dyn Fn(&JudgedLog) -> bool| {
            let place = known.iter().position(is_it)?;
            Some(known.swap_remove(place))
        };
        for followed in &found {
            let log = take(&|it| matches!(&it.of, Of::Predictions(its, _) if **its == *followed));
            *changed.entry(followed.model.clone()).or_default() |= log.is_none();
            let fresh = || JudgedLog::predictions(followed.clone(), clock);
            self.logs.push(log.unwrap_or_else(fresh));
        }
        for (model, is_changed) in changed {
            // One that came may go further back: what is read again counts once.
            let log = take(&|it| matches!(&it.of, Of::Labels(its) if *its == model));
            let versions = found.iter().filter(|it| it.model == model).map(|it| &it.plan);
            let fresh = || JudgedLog::labels(model.clone(), versions, clock);
            self.logs.push(log.filter(|_| !is_changed).unwrap_or_else(fresh));
        }
        for gone in known {
            if let Of::Predictions(it, _) = &gone.of
                && !found.iter().any(|its| (&its.model, its.version) == (&it.model, it.version))
            {
                lock(&self.judge).close(&it.model, it.version);
            }
        }
        let is_judged = |(model, version): &_| {
            found.iter().any(|it| (&it.model, it.version) == (model, *version))
        };
        self.ledger.keep(is_judged);
    }

    /// An error: windows were judged up to a time that cannot be yet. Which of the two clocks was wrong nobody
    /// knows; what is read now would be of a window that is over, and left out for good.
    fn check_clock(&self) -> io::Result<()> {
        let now = self.clock.wall_us();
        if self.ledger.clock_us <= latest(now, lateness(&self.bounds)) {
            return Ok(());
        }
        metrics::failed("clock");
        let (judged, now) = (self.ledger.clock_us / 1_000_000, now / 1_000_000);
        let file = self.ledger.path().display();
        Err(io::Error::other(format!(
            "windows were judged up to {judged} s after 1970 and the clock shows {now} s: expected a clock that does \
             not go back. If it was wrong then, remove {file} and give --from"
        )))
    }

    /// What is new of each log.
    fn list(&mut self) -> io::Result<Vec<Turn>> {
        let lateness = lateness(&self.bounds);
        // Rows up to then are there before anything is listed.
        let settled = self.clock.wall_us().saturating_sub(lateness);
        let mut turns = Vec::with_capacity(self.logs.len());
        for log in &mut self.logs {
            let source = if log.are_labels() { &mut self.labels } else { &mut self.predictions };
            // After whatever ends this the list begins anew.
            let page = log.page.take();
            let known = (&log.cursor, &BTreeSet::new());
            let turn = listing::turn((source.as_mut(), &log.folder), known, (page, settled))?;
            for it in &turn.objects {
                self.clock.shown(it.written);
                self.clock.shown(hour_of(&it.path).map_or(i64::MIN, start_of));
            }
            turns.push(turn);
        }
        // Nothing is over before others' clocks show it, whatever this one does.
        let borne_out = self.clock.borne_out_us();
        let settled = settled.min(borne_out.saturating_sub(lateness));
        turns.iter_mut().for_each(|it| it.until = it.until.min(settled));
        if turns.is_empty() {
            self.advance(settled)?;
        }
        Ok(turns)
    }

    /// Reads all of that, the hours of all logs together.
    fn read(&mut self, turns: &[Turn]) -> io::Result<Round> {
        let mut due = Vec::new();
        for (log, turn) in turns.iter().enumerate() {
            let is_label = self.logs.get(log).is_some_and(JudgedLog::are_labels);
            let hours = turn.objects.iter().map(|it| hour_of(&it.path)).enumerate();
            due.extend(hours.map(|(place, hour)| Due { hour, is_label, log, place }));
        }
        due.sort();
        let mut read = vec![0; turns.len()];
        for Due { hour, log, place, .. } in due {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Round::Stopped);
            }
            let Some(object) = turns.get(log).and_then(|it| it.objects.get(place)) else {
                continue;
            };
            // Before the first file of an hour everything before that hour is there.
            self.advance(all_until(turns, &read))?;
            if hour.is_some_and(|it| start_of(it) > self.ledger.clock_us.saturating_add(FAR_US)) {
                break;
            }
            if let Some(it) = self.logs.get_mut(log)
                && listing::is_crowded(&it.folder, &mut it.cursor)
            {
                return Err(io::Error::other(format!("{}: too many files", it.folder)));
            }
            self.take(log, object)?;
            if let Some(it) = read.get_mut(log) {
                *it = place + 1;
            }
        }
        self.advance(all_until(turns, &read))?;
        for ((log, turn), read) in self.logs.iter_mut().zip(turns).zip(read) {
            log.cursor.advance(turn.settled(read));
            log.cursor.forget();
            // What was left for later is listed once more.
            log.page = turn.next.clone().filter(|_| read == turn.objects.len());
        }
        Ok(if turns.iter().any(|it| it.next.is_some()) { Round::Cut } else { Round::Whole })
    }

    fn take(&mut self, n: usize, object: &Object) -> io::Result<()> {
        let Some(log) = self.logs.get_mut(n) else { return Ok(()) };
        let source = if log.are_labels() { &mut self.labels } else { &mut self.predictions };
        let name = format!("{}/{}", log.folder, object.path);
        let most = self.bounds.object_bytes_max;
        let result = if object.size > most {
            let bytes = object.size;
            tracing::error!(file = name, bytes, most, "a file is too large: it is left out");
            "too_large"
        } else {
            let read = match source.fetch(&log.folder, object) {
                Err(Missing::Gone) => Ok("gone"),
                Err(Missing::Away(error)) => return Err(error),
                Err(Missing::Refused(error)) => Err(error),
                Ok(file) => match log.read(&self.judge, &self.ledger, file) {
                    Ok(()) => Ok("read"),
                    Err(Fault::Disk(error)) => Err(error),
                    Err(Fault::File(error)) => {
                        tracing::error!(file = name, error, "a file of the log cannot be read");
                        Ok("unreadable")
                    }
                    Err(Fault::Version(error)) => {
                        metrics::failed("watch");
                        tracing::error!(file = name, error, "a version cannot be judged");
                        Ok("unreadable")
                    }
                },
            };
            match read {
                Ok(result) => result,
                Err(error) if log.tries.failed(&object.path) => {
                    tracing::error!(file = name, %error, "a file of the log cannot be had: it is left out");
                    "failed"
                }
                Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
            }
        };
        log.cursor.was_read(object.path.clone(), i64::MIN);
        metrics::object(result);
        Ok(())
    }

    /// Everything up to then has been read: judges what is over.
    fn advance(&mut self, to: i64) -> io::Result<()> {
        if to <= self.ledger.clock_us {
            return Ok(());
        }
        let (findings, changed) = {
            let mut judge = lock(&self.judge);
            (judge.tick(to), judge.changed())
        };
        self.ledger.judged(to, (&findings, changed));
        if findings.is_empty() && self.ledger.unwritten_us() < CLOCK_STEP_US {
            return Ok(());
        }
        self.settle()
    }

    fn settle(&mut self) -> io::Result<()> {
        let settled = self.ledger.settle(&self.findings);
        if settled.is_err() {
            metrics::failed("state");
        }
        settled
    }

    /// Writes down how far that is.
    pub(crate) fn checkpoint(&mut self) -> io::Result<()> {
        self.settle()
    }
}

fn lateness(bounds: &Bounds) -> i64 {
    i64::try_from(bounds.lateness.as_micros()).unwrap_or(i64::MAX)
}

/// Up to when all logs have been read, so many files of each.
fn all_until(turns: &[Turn], read: &[usize]) -> i64 {
    let until = turns.iter().zip(read).map(|(turn, read)| turn.settled(*read));
    until.min().unwrap_or(i64::MIN)
}

/// The newest versions of each model.
fn newest(mut found: Vec<Followed<TruthConfig>>) -> Vec<Followed<TruthConfig>> {
    found.sort_by_key(|it| (it.model.clone(), std::cmp::Reverse(it.version)));
    let mut of: BTreeMap<ModelName, usize> = BTreeMap::new();
    found.retain(|it| {
        let versions = of.entry(it.model.clone()).or_default();
        *versions += 1;
        *versions <= VERSIONS_MAX
    });
    found
}

#[cfg(test)]
#[path = "judging_scene.rs"]
mod scene;
#[cfg(test)]
#[path = "judging_tests.rs"]
mod tests;
