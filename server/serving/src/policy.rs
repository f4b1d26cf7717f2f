//! When a batch runs, and how much of the queue goes into it.
//!
//! Pure: a queue and the time go in, a step comes out. The lane asks under its lock and does as it
//! is told. Invariants: a batch never holds more rows than allowed, keeps the order of arrival
//! among requests of like shapes, and always starts with the oldest request.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use server_base::limits;

/// What the policy and the lane need to know of a waiting request.
pub trait Queued {
    /// Rows it brings. A request with more than the maximum was refused at the door.
    fn rows(&self) -> usize;
    /// When it came in.
    fn arrived(&self) -> Instant;
    /// When its answer is no longer wanted.
    fn deadline(&self) -> Instant;
    /// Has its caller gone away?
    fn is_gone(&self) -> bool;
    /// May the two share a batch?
    fn joins(&self, other: &Self) -> bool;
    /// Ends it: its deadline passed in the queue, or its caller went away.
    fn expire(self, now: Instant);
}

/// How one version's requests are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Most rows of a batch; 1 row a request and no joining where the model is not batched.
    pub rows_max: usize,
    /// How long the oldest request may be held back for others to join it.
    pub delay_max: Duration,
    /// Requests that may wait.
    pub queue_max: usize,
}

impl Default for Batching {
    fn default() -> Batching {
        Batching {
            rows_max: limits::BATCH_ROWS,
            delay_max: Duration::ZERO,
            queue_max: limits::QUEUE_REQUESTS,
        }
    }
}

/// Why a batch was closed. A closed set: also the values of a label on `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No room for the next request.
    Full,
    /// An instance was free and there was no reason to wait.
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
    pub const ALL: [Reason; 5] =
        [Reason::Full, Reason::Idle, Reason::Delay, Reason::Deadline, Reason::Drain];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::Idle => "idle",
            Reason::Delay => "delay",
            Reason::Deadline => "deadline",
            Reason::Drain => "drain",
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

impl Batching {
    /// The same with smaller batches.
    #[must_use]
    pub fn at_most(self, rows: usize) -> Batching {
        Batching { rows_max: self.rows_max.min(rows.max(1)), ..self }
    }

    /// What to do with `queue` at `now`, for an instance that is free.
    pub fn step<T: Queued>(&self, queue: &VecDeque<T>, now: Instant) -> Step {
        let Some(first) = queue.front() else { return Step::Idle };
        if self.is_full(queue, first) {
            return Step::Run { reason: Reason::Full };
        }
        if self.delay_max.is_zero() {
            return Step::Run { reason: Reason::Idle };
        }
        let due = first.arrived() + self.delay_max;
        // No batch mate is worth a deadline: nobody is held back longer than half of the own.
        let half =
            |it: &T| it.arrived() + it.deadline().saturating_duration_since(it.arrived()) / 2;
        let hurry = queue.iter().map(half).min().unwrap_or(due);
        if due <= now {
            Step::Run { reason: Reason::Delay }
        } else if hurry <= now {
            Step::Run { reason: Reason::Deadline }
        } else {
            Step::Wait { until: due.min(hurry) }
        }
    }

    /// Do the requests that can share a batch with `first` fill it?
    fn is_full<T: Queued>(&self, queue: &VecDeque<T>, first: &T) -> bool {
        let mut rows = 0;
        queue.iter().filter(|it| it.joins(first)).any(|it| {
            rows += it.rows();
            rows >= self.rows_max
        })
    }

    /// Moves the next batch out of `queue`: the oldest request, then those like it, in order,
    /// until one does not fit. Requests of other shapes keep their places. What nobody wants any
    /// more is not run: it is moved to `unwanted` when its turn comes.
    pub fn take<T: Queued>(
        &self,
        queue: &mut VecDeque<T>,
        now: Instant,
        unwanted: &mut Vec<T>,
    ) -> Vec<T> {
        let mut rows = 0;
        let mut batch: Vec<T> = Vec::with_capacity(queue.len().min(self.rows_max));
        let mut place = 0;
        while let Some(next) = queue.get(place) {
            // At place 0, the common case, removing is popping.
            if is_unwanted(next, now) {
                unwanted.extend(queue.remove(place));
            } else if batch.first().is_some_and(|first| !next.joins(first)) {
                place += 1;
            } else if batch.is_empty() || rows + next.rows() <= self.rows_max {
                rows += next.rows();
                batch.extend(queue.remove(place));
            } else {
                break;
            }
            if rows >= self.rows_max {
                break;
            }
        }
        batch
    }
}

/// Is nobody left to answer in time?
pub(crate) fn is_unwanted<T: Queued>(item: &T, now: Instant) -> bool {
    item.deadline() <= now || item.is_gone()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
