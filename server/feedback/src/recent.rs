//! Rows that have just been synced, for sinks that keep up: they need not read them from the disk, check and decode
//! them, each for itself. A sink that has fallen behind finds them where they are for good.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::catalogue::Position;
use crate::segment::Span;
use crate::sink::Rows;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// What these rows take of memory at the most.
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of the log.
    kept: VecDeque<Kept>,
    bytes: usize,
    /// How far each sink has read.
    read: Vec<Position>,
}

#[derive(Debug)]
struct Kept {
    span: Span,
    rows: Arc<Rows>,
    bytes: usize,
}

impl Recent {
    /// For sinks that have come so far.
    pub(crate) fn new(read: Vec<Position>, bytes_max: usize) -> Recent {
        Recent { bytes_max, state: Mutex::new(State { read, ..State::default() }) }
    }

    /// Rows whose frame lies there, and is known to be on the disk.
    pub(crate) fn keep(&self, span: Span, rows: impl FnOnce() -> Rows) {
        let mut state = self.lock();
        if state.read.is_empty() {
            return;
        }
        let rows = Arc::new(rows());
        let bytes = rows.batch.get_array_memory_size();
        while state.bytes.saturating_add(bytes) > self.bytes_max {
            // What is longer than all of it is not kept.
            if !state.forget() {
                return;
            }
        }
        state.bytes += bytes;
        state.kept.push_back(Kept { span, rows, bytes });
    }

    /// The rows of the frame that begins there, and its length, if they are here; for a sink that has read everything
    /// before it.
    pub(crate) fn at(&self, sink: usize, at: Position) -> Option<(u64, Arc<Rows>)> {
        let mut state = self.lock();
        if let Some(read) = state.read.get_mut(sink) {
            *read = at;
        }
        let slowest = state.read.iter().min().copied();
        while state.kept.front().is_some_and(|it| Some(it.span.at) < slowest) {
            state.forget();
        }
        let place = state.kept.binary_search_by_key(&at, |it| it.span.at).ok()?;
        state.kept.get(place).map(|it| (it.span.length, Arc::clone(&it.rows)))
    }

    /// Nothing under the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The oldest. False: there was none.
    fn forget(&mut self) -> bool {
        let first = self.kept.pop_front();
        self.bytes -= first.as_ref().map_or(0, |it| it.bytes);
        first.is_some()
    }
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
