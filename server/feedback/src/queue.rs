//! Records on their way from requests to the writer.
//!
//! Bounded in number and in bytes. Whoever offers a record waits for a few instructions at the most,
//! and wakes the writer only if it sleeps or if a request waits for the disk. What a request's thread has
//! taken from the allocator goes back to it there: records lie in lists that go to the writer and back.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use server_base::{Record, Told, Unlogged};

use crate::version::Version;
use crate::weight::Weight;

/// Records of one list: no list ever has to grow while others wait for the lock.
const LIST_RECORDS: usize = 256;

/// Empty lists that are kept, about three megabytes: what comes while the writer lingers, and not what
/// had gathered while the disk did not keep up.
const SPARES_MAX: usize = 16;

/// A record that waits.
pub(crate) struct Item {
    pub(crate) version: Arc<Version>,
    pub(crate) record: Record,
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
    /// The last is the one that is being filled.
    lists: Vec<Vec<Item>>,
    records: usize,
    /// Empty ones.
    spares: Vec<Vec<Item>>,
    /// Of those that wait, and of those that the writer has taken and is not done with.
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
    pub(crate) lists: Vec<Vec<Item>>,
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
        state.put(Item { version: Arc::clone(version), record: *record, told, bytes });
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
            state.asleep = state.records == 0 && !state.closed;
            state.asleep
        };
        if sleeps {
            thread::park_timeout(rest);
        }
        let lingers = {
            let mut state = self.lock();
            state.asleep = false;
            state.records > 0 && !state.urgent && !state.closed
        };
        if lingers {
            thread::park_timeout(linger);
        }
        let mut state = self.lock();
        state.urgent = false;
        let lists = std::mem::take(&mut state.lists);
        state.taken = std::mem::take(&mut state.records);
        // `push` counts the bytes before the item is there: closed is closed when none is on its way.
        let here = || lists.iter().flatten().map(|it| it.bytes).sum::<usize>();
        let closed = state.closed && state.bytes == here();
        Drained { lists, closed }
    }

    /// The writer is done with so many records and bytes.
    pub(crate) fn release(&self, records: usize, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        state.taken = state.taken.saturating_sub(records);
    }

    /// Lists that the writer has emptied, to be filled again.
    pub(crate) fn give_back(&self, mut lists: Vec<Vec<Item>>) {
        lists.retain(Vec::is_empty);
        let mut state = self.lock();
        let room = SPARES_MAX.saturating_sub(state.spares.len());
        state.spares.extend(lists.drain(..room.min(lists.len())));
        drop(state);
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
        (state.records + state.taken, state.bytes)
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
        let records = self.records + self.taken;
        if records >= bounds.records_max || self.bytes.saturating_add(bytes) > bounds.bytes_max {
            return Err(Unlogged::Queue);
        }
        self.bytes += bytes;
        Ok(())
    }

    fn put(&mut self, item: Item) {
        self.records += 1;
        match self.lists.last_mut().filter(|it| it.len() < LIST_RECORDS) {
            Some(list) => list.push(item),
            None => {
                let spare = self.spares.pop();
                let mut list = spare.unwrap_or_else(|| Vec::with_capacity(LIST_RECORDS));
                list.push(item);
                self.lists.push(list);
            }
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
