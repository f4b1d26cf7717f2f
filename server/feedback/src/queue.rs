//! Records on their way from requests to the writer.
//!
//! Bounded in number and in bytes. Whoever offers a record waits for a few instructions at the most,
//! and wakes the writer only if it sleeps or if a request waits for the disk.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use server_base::{Record, Told, Unlogged};

use crate::version::Version;
use crate::weight::Weight;

/// A record that waits.
pub(crate) struct Item {
    pub(crate) version: Arc<Version>,
    pub(crate) record: Box<Record>,
    /// Who waits for it to be on the disk.
    pub(crate) told: Option<Told>,
    /// What it takes of the budget.
    pub(crate) bytes: usize,
}

/// Bounds of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
}

/// See the module.
pub(crate) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    writer: OnceLock<Thread>,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    /// Of those, and of those that the writer has taken and is not done with.
    bytes: usize,
    taken: usize,
    /// Does the writer sleep until somebody wakes it?
    asleep: bool,
    /// Does any of them have somebody who waits?
    urgent: bool,
    closed: bool,
}

/// What the writer gets.
#[derive(Default)]
pub(crate) struct Drained {
    pub(crate) items: Vec<Item>,
    /// Nothing more will come.
    pub(crate) closed: bool,
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Queue {
        Queue { bounds, state: Mutex::default(), writer: OnceLock::new() }
    }

    /// The thread that is to be woken: this one.
    pub(crate) fn listen(&self) {
        let _ = self.writer.set(thread::current());
    }

    /// Puts a record in, or gives back who waits for it.
    pub(crate) fn push(
        &self,
        version: &Arc<Version>,
        mut record: Box<Record>,
        told: Option<Told>,
    ) -> Result<(), (Unlogged, Option<Told>)> {
        let weight = Weight::of(&record, &version.form);
        let bytes = match weight.charge() {
            Ok(bytes) => bytes,
            Err(why) => return Err((why, told)),
        };
        if let Err(why) = self.lock().enter(bytes, self.bounds) {
            return Err((why, told));
        }
        // Its place is taken, so what is copied now is within the bounds.
        weight.slim(&mut record, &version.form);
        let urgent = told.is_some();
        let mut state = self.lock();
        state.items.push(Item { version: Arc::clone(version), record, told, bytes });
        let wakes = std::mem::take(&mut state.asleep) || (urgent && !state.urgent);
        state.urgent |= urgent;
        drop(state);
        if wakes && let Some(writer) = self.writer.get() {
            writer.unpark();
        }
        Ok(())
    }

    /// Takes what is there, for the writer. `rest`: how long it may sleep if there is nothing; then
    /// `linger` is how long it waits for company, unless somebody waits.
    pub(crate) fn drain(&self, rest: Duration, linger: Duration) -> Drained {
        let sleeps = {
            let mut state = self.lock();
            state.asleep = state.items.is_empty() && !state.closed;
            state.asleep
        };
        if sleeps {
            thread::park_timeout(rest);
        }
        let lingers = {
            let mut state = self.lock();
            state.asleep = false;
            !state.items.is_empty() && !state.urgent && !state.closed
        };
        if lingers {
            thread::park_timeout(linger);
        }
        let mut state = self.lock();
        state.urgent = false;
        let items = std::mem::take(&mut state.items);
        state.taken = items.len();
        // `push` counts the bytes before the item is there: closed is closed when none is on its way.
        let closed = state.closed && state.bytes == items.iter().map(|it| it.bytes).sum::<usize>();
        Drained { items, closed }
    }

    /// The writer is done with so many records and bytes.
    pub(crate) fn release(&self, records: usize, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        state.taken = state.taken.saturating_sub(records);
    }

    /// Lets nothing more in.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Records that wait, and bytes in all.
    pub(crate) fn filled(&self) -> (usize, usize) {
        let state = self.lock();
        (state.items.len() + state.taken, state.bytes)
    }

    /// Nothing under the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, bytes: usize, bounds: Bounds) -> Result<(), Unlogged> {
        if self.closed {
            return Err(Unlogged::Closed);
        }
        let records = self.items.len() + self.taken;
        if records >= bounds.records_max || self.bytes.saturating_add(bytes) > bounds.bytes_max {
            return Err(Unlogged::Queue);
        }
        self.bytes += bytes;
        Ok(())
    }
}
