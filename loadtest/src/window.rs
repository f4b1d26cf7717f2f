//! How long a run lasts, and which of its requests count.
//!
//! Made by `run`, one per thread; asked by `station`. A request counts by its *start*: one that
//! began before the end is waited for, so that the slowest are never cut off.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Time { warmup: Duration, duration: Duration },
    Requests(u64),
}

#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) begin: Instant,
    pub(crate) counted_from: Instant,
    /// `None`: the budget of requests ends the run.
    pub(crate) end: Option<Instant>,
    budget: Cell<u64>,
}

impl Window {
    /// The window of thread `thread` of `threads`; they share a limit of requests.
    pub(crate) fn new(limit: Limit, begin: Instant, thread: u64, threads: u64) -> Window {
        match limit {
            Limit::Time { warmup, duration } => {
                let counted_from = begin + warmup;
                let end = Some(counted_from + duration);
                Window { begin, counted_from, end, budget: Cell::new(u64::MAX) }
            }
            Limit::Requests(requests) => {
                let share = requests / threads + u64::from(thread < requests % threads);
                Window { begin, counted_from: begin, end: None, budget: Cell::new(share) }
            }
        }
    }

    /// May a request start at `start`? Takes it from the budget.
    pub(crate) fn admits(&self, start: Instant) -> bool {
        let left = self.budget.get();
        let open = left > 0 && self.end.is_none_or(|end| start < end);
        if open {
            self.budget.set(left - 1);
        }
        open
    }

    /// Does a request that was admitted at `start` count, or was it warm-up?
    pub(crate) fn counts(&self, start: Instant) -> bool {
        start >= self.counted_from
    }

    /// Did an answer that arrived at `finish` arrive within the counted time?
    pub(crate) fn covers(&self, finish: Instant) -> bool {
        finish >= self.counted_from && self.end.is_none_or(|end| finish < end)
    }
}
