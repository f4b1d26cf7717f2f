//! When a batch runs, and how much of the queue goes into it.
//!
//! Pure: a queue and the time go in, a step comes out. The lane asks under its lock and does as it
//! is told. Invariants: a batch never holds more rows or elements than allowed, keeps the order of
//! arrival among requests of like shapes, and always starts with the oldest request.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use server_base::limits;

use crate::sizes::Sizes;

/// What the policy and the lane need to know of a waiting request.
pub trait Queued {
    /// Rows it brings. A request with more than the maximum was refused at the door.
    fn rows(&self) -> usize;
    /// What its run costs is in proportion to these: elements of all its rows, padding included.
    /// Requests that may share a batch have as many a row.
    fn units(&self) -> usize;
    /// When it came in.
    fn arrived(&self) -> Instant;
    /// When its answer is no longer wanted.
    fn deadline(&self) -> Instant;
    /// Would an answer at that time come too late?
    fn lost(&self, then: Instant) -> bool {
        self.deadline() <= then
    }
    /// Has its caller gone away?
    fn is_gone(&self) -> bool;
    /// May the two share a batch?
    fn joins(&self, other: &Self) -> bool;
    /// Ends it: its deadline passed in the queue or will before it is answered, or its caller went
    /// away.
    fn expire(self, now: Instant);
}

/// How one version's requests are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Most rows of a batch; 1 row a request and no joining where the model is not batched.
    pub rows_max: usize,
    /// Most elements of a batch, padding included. A larger request was refused at the door.
    pub elements_max: usize,
    /// Numbers of rows that a batch is filled up to, the last of them `rows_max`; `None`: any.
    pub sizes: Option<Sizes>,
    /// How long the oldest request may be held back for others to join it.
    pub delay_max: Duration,
    /// Requests that may wait.
    pub queue_max: usize,
}

impl Default for Batching {
    fn default() -> Batching {
        Batching {
            rows_max: limits::BATCH_ROWS,
            elements_max: usize::MAX,
            sizes: None,
            delay_max: Duration::ZERO,
            queue_max: limits::QUEUE_REQUESTS,
        }
    }
}

/// Why a batch was closed. A closed set: also the values of a label on `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No row more is allowed, or the next request has too many.
    Full,
    /// The same of elements.
    Elements,
    /// A larger batch would, by what runs have cost, not be worth the wait or run for too long.
    Cost,
    /// An instance was free; all that could join had, and only requests of other shapes stayed.
    Shape,
    /// An instance was free, and nothing else waited.
    Idle,
    /// The oldest request had waited as long as it may.
    Delay,
    /// Waiting longer would have cost a request its deadline.
    Deadline,
    /// The version is being retired.
    Drain,
}

impl Reason {
    /// All of them, in the order of their numbers as array places.
    pub const ALL: [Reason; 8] = [
        Reason::Full,
        Reason::Elements,
        Reason::Cost,
        Reason::Shape,
        Reason::Idle,
        Reason::Delay,
        Reason::Deadline,
        Reason::Drain,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::Elements => "elements",
            Reason::Cost => "cost",
            Reason::Shape => "shape",
            Reason::Idle => "idle",
            Reason::Delay => "delay",
            Reason::Deadline => "deadline",
            Reason::Drain => "drain",
        }
    }

    /// Why a batch was closed that was begun for this reason and could not grow for that one.
    #[must_use]
    pub fn and(self, stopped: Option<Reason>) -> Reason {
        match (self, stopped) {
            // It was due anyhow; that others stayed behind was not the cause.
            (Reason::Delay | Reason::Deadline | Reason::Drain, _) => self,
            (_, Some(stopped)) => stopped,
            // It was full until a caller left, a moment ago.
            (_, None) => Reason::Idle,
        }
    }
}

/// What an idle instance should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing waits.
    Idle,
    /// Look again at that time, or when something arrives.
    Wait {
        /// When the oldest request has waited long enough.
        until: Instant,
    },
    /// Take a batch now.
    Run {
        /// Why now.
        reason: Reason,
    },
}

/// What the cost of runs allows the next batch to have.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// So many units, or one request.
    pub units: usize,
    /// How long they run; zero is unknown.
    pub run: Duration,
}

impl From<usize> for Most {
    fn from(units: usize) -> Most {
        Most { units, run: Duration::ZERO }
    }
}

/// A batching with such a bound.
pub struct Bounded<'a> {
    batching: &'a Batching,
    most: Most,
}

/// What a batch may still take.
struct Room {
    rows: usize,
    /// Why no more.
    limit: Reason,
}

/// A batch, and what kept it from being larger; `None`: there was no more.
pub struct Taken<T> {
    /// In order of arrival.
    pub batch: Vec<T>,
    /// A limit, or the shape of what stayed behind.
    pub stopped: Option<Reason>,
}

impl Batching {
    /// The same with smaller batches.
    pub fn at_most(&self, most: Most) -> Bounded<'_> {
        Bounded { batching: self, most }
    }

    /// How many rows run when a batch has `rows`: as many, or filled up.
    pub fn rows_run(&self, rows: usize) -> usize {
        self.sizes.as_ref().and_then(|it| it.up(rows)).unwrap_or(rows)
    }
}

impl Bounded<'_> {
    /// What to do with `queue` at `now`, for an instance that is free.
    pub fn step<T: Queued>(&self, queue: &VecDeque<T>, now: Instant) -> Step {
        let wanted = || queue.iter().filter(|it| !is_unwanted(*it, now));
        let Some(first) = wanted().next() else {
            // What nobody wants is taken out at once.
            return if queue.is_empty() { Step::Idle } else { Step::Run { reason: Reason::Idle } };
        };
        let mut room = self.room(first);
        if wanted().filter(|it| it.joins(first)).any(|it| !room.take(it.rows()) || room.rows == 0) {
            return Step::Run { reason: Reason::Full };
        }
        let delay_max = self.batching.delay_max;
        if delay_max.is_zero() {
            return Step::Run { reason: Reason::Idle };
        }
        let due = first.arrived() + delay_max;
        // No batch mate is worth a deadline: nobody is held back longer than half of the own.
        let half =
            |it: &T| it.arrived() + it.deadline().saturating_duration_since(it.arrived()) / 2;
        let hurry = wanted().map(half).min().unwrap_or(due);
        if due <= now {
            Step::Run { reason: Reason::Delay }
        } else if hurry <= now {
            Step::Run { reason: Reason::Deadline }
        } else {
            Step::Wait { until: due.min(hurry) }
        }
    }

    /// How many rows like those of `first` may run together, and why no more.
    fn room<T: Queued>(&self, first: &T) -> Room {
        let Batching { rows_max, elements_max, sizes, .. } = self.batching;
        let row = first.units().checked_div(first.rows()).unwrap_or(1).max(1);
        let rows_of = |units: usize| {
            let rows = units / row;
            // Between two sizes as many run as the larger has; below the smallest, as that one.
            let size = sizes.as_ref().and_then(|it| it.down(rows).or(it.up(1)));
            size.unwrap_or(rows)
        };
        let (elements, worth) = (rows_of(*elements_max), rows_of(self.most.units));
        let full = Room { rows: *rows_max, limit: Reason::Full };
        let bounds = [(elements, Reason::Elements), (worth, Reason::Cost)];
        bounds.into_iter().fold(
            full,
            |room, (rows, limit)| {
                if rows < room.rows { Room { rows, limit } } else { room }
            },
        )
    }

    /// Moves the next batch out of `queue`, where so many units are `waiting`: the oldest request, then those like it, in order,
    /// until one does not fit. Requests of other shapes keep their places. What nobody wants any
    /// more is not run: it is moved to `unwanted` when its turn comes. So is what will be too late
    /// after a full batch, as long as more than that waits; the last is run whatever is thought of
    /// it: how else would it be found out that runs have become shorter?
    pub fn take<T: Queued>(
        &self,
        queue: &mut VecDeque<T>,
        mut waiting: usize,
        now: Instant,
        unwanted: &mut Vec<T>,
    ) -> Taken<T> {
        let mut batch: Vec<T> = Vec::with_capacity(queue.len().min(self.batching.rows_max));
        let (mut room, mut place) = (Room { rows: 0, limit: Reason::Full }, 0);
        let run = self.most.run;
        while let Some(next) = queue.get(place) {
            // At place 0, the common case, removing is popping.
            let deep = waiting > self.most.units && queue.len() > 1;
            if is_unwanted(next, now) || (deep && next.lost(now + run + run / 8)) {
                waiting = waiting.saturating_sub(next.units());
                unwanted.extend(queue.remove(place));
                continue;
            }
            match batch.first() {
                // However large it is, it runs: alone.
                None => {
                    room = self.room(next);
                    room.rows = room.rows.saturating_sub(next.rows());
                }
                Some(first) if !next.joins(first) => {
                    place += 1;
                    continue;
                }
                Some(_) if room.take(next.rows()) => {}
                Some(_) => return Taken { batch, stopped: Some(room.limit) },
            }
            batch.extend(queue.remove(place));
            if room.rows == 0 {
                return Taken { batch, stopped: Some(room.limit) };
            }
        }
        Taken { batch, stopped: (place > 0).then_some(Reason::Shape) }
    }
}

impl Room {
    /// Takes so many rows, if they fit.
    fn take(&mut self, rows: usize) -> bool {
        let left = self.rows.checked_sub(rows);
        self.rows = left.unwrap_or(self.rows);
        left.is_some()
    }
}

/// Is nobody left to answer in time?
pub(crate) fn is_unwanted<T: Queued>(item: &T, now: Instant) -> bool {
    item.deadline() <= now || item.is_gone()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
