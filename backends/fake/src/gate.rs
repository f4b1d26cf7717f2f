//! A place to wait until a test says go.

use std::sync::{Condvar, Mutex, PoisonError};

/// Closed at first; once open, open for ever. Counts who waits.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// Blocks until the gate is open.
    pub fn wait(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        self.changed.notify_all();
        while !state.open {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).open = true;
        self.changed.notify_all();
    }

    /// Blocks until so many wait at the gate: the test's way to know that a run has begun.
    pub fn await_waiting(&self, count: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.waiting < count {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
