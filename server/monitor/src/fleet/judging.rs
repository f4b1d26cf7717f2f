//! Rounds over predictions and labels: what is new of either is read, as files or as messages, and windows are
//! judged when all that belongs in them has been read. Without a thread; time is handed in.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use server_base::{Findings, ModelName, TruthConfig};
use server_feedback::{LABEL, ROW};
use server_truth::Judge;

use super::Source;
use super::clock::Clock;
use super::course::Course;
use super::cursor::{MICROS_AN_HOUR, latest};
use super::follower::{Bounds, Round};
use super::judged_log::{JudgedLog, Of, lock};
use super::ledger::Ledger;
use super::metrics;
use super::repository::{Followed, Repository};
use super::stream::Stream;

/// How far back windows are judged by the first process that ever does: what is older is history.
const BEGIN_US: i64 = MICROS_AN_HOUR;

/// How often it is written down how far that is while no window is over. A process that is killed reads so
/// much more again.
const CLOCK_STEP_US: i64 = 60_000_000;

/// Versions of a model that are judged at a time, as in a server.
const VERSIONS_MAX: usize = 8;

/// What is judged, and who is told.
pub struct Judged {
    /// Where predictions and labels lie.
    pub logs: Both,
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

/// Predictions and labels, which lie in the same way.
pub enum Both {
    /// Files that are there whole. One may take the place of another of its name, with more rows.
    Files {
        /// What models have answered.
        predictions: Box<dyn Source>,
        /// What turned out to be true.
        labels: Box<dyn Source>,
    },
    /// Messages in partitions.
    Streams {
        /// What models have answered.
        predictions: Box<dyn Stream>,
        /// What turned out to be true.
        labels: Box<dyn Stream>,
    },
}

/// See the module.
pub(crate) struct Judging {
    pub(super) sources: Sources,
    repository: Repository<TruthConfig>,
    pub(super) bounds: Bounds,
    pub(super) clock: Clock,
    pub(super) judge: Arc<Mutex<Judge>>,
    pub(super) logs: Vec<JudgedLog>,
    pub(super) ledger: Ledger,
    findings: Arc<dyn Findings>,
    /// Of streams: one of the logs has not been read from where it begins.
    pub(super) is_behind: bool,
    /// Ends a round between two files.
    pub(super) stop: Arc<AtomicBool>,
}

/// Where both are read.
#[expect(clippy::large_enum_variant, reason = "there is one of them in a process")]
pub(super) enum Sources {
    Files { predictions: Box<dyn Source>, labels: Box<dyn Source> },
    Streams { predictions: Course, labels: Course },
}

impl Judging {
    /// Goes on where the process before has stopped.
    pub(crate) fn open(options: Judged, stop: Arc<AtomicBool>) -> io::Result<Judging> {
        let Judged { logs, repository, folder, findings, bounds, .. } = options;
        let begin = bounds.from.unwrap_or_else(|| (options.now)() - BEGIN_US);
        let ledger = Ledger::open(&folder, begin)?;
        let judge = Judge::new(options.truth_bytes_max, ledger.clock_us);
        let known = ledger.clock_us.saturating_add(lateness(&bounds));
        let sources = match logs {
            Both::Files { predictions, labels } => Sources::Files { predictions, labels },
            Both::Streams { predictions, labels } => Sources::Streams {
                predictions: Course::new(predictions, (ROW, "predictions"), &ledger.courses),
                labels: Course::new(labels, (LABEL, "labels"), &ledger.courses),
            },
        };
        Ok(Judging {
            sources,
            repository,
            bounds,
            clock: Clock::new(options.now, known),
            judge: Arc::new(Mutex::new(judge)),
            logs: Vec::new(),
            ledger,
            findings,
            is_behind: false,
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
        let read = match self.sources {
            Sources::Files { .. } => self.list().and_then(|turns| self.read_files(&turns)),
            Sources::Streams { .. } => self.read_messages(),
        };
        if read.is_err() {
            metrics::failed("store");
        }
        metrics::judged(self.ledger.clock_us);
        read
    }

    /// Which versions are judged now.
    pub(super) fn look(&mut self) {
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
            self.is_behind |= is_changed;
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
        if self.ledger.clock_us <= latest(now, self.lateness()) {
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

    /// Everything up to then has been read: judges what is over.
    pub(super) fn advance(&mut self, to: i64) -> io::Result<()> {
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
        self.leave();
        let settled = self.ledger.settle(&self.findings);
        if settled.is_err() {
            metrics::failed("state");
        }
        settled
    }

    pub(super) fn lateness(&self) -> i64 {
        lateness(&self.bounds)
    }

    /// Writes down how far that is.
    pub(crate) fn checkpoint(&mut self) -> io::Result<()> {
        self.settle()
    }
}

/// As it is configured.
fn lateness(bounds: &Bounds) -> i64 {
    i64::try_from(bounds.lateness.as_micros()).unwrap_or(i64::MAX)
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
pub(super) mod scene;
#[cfg(test)]
#[path = "judging_tests.rs"]
mod tests;
