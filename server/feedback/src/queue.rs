//! Records on their way from requests to the writer.
//!
//! Bounded in number and in bytes. Whoever offers a record waits for a few instructions at the most,
//! and wakes the writer only if it sleeps, if a request waits for the disk or if many records do. They lie
//! packed in lists, which go to the writer and back.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use server_base::{Record, Told, Unlogged};

use crate::list::List;
use crate::parcel::Parcel;
use crate::version::Version;

/// Lists that are full before the writer has waited as long as it may: it goes on then. Two thousand
/// records are company enough, and are still in a cache when it reads them.
const COMPANY: usize = 8;

/// Empty lists that are kept, about two megabytes: what is filled while the writer has as much, and not
/// what had gathered while the disk did not keep up.
const SPARES_MAX: usize = 2 * COMPANY;

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
    lists: Vec<List>,
    records: usize,
    /// Empty ones.
    spares: Vec<List>,
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
    pub(crate) lists: Vec<List>,
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
        record: &Record,
        told: Option<Told>,
    ) -> Result<(), (Unlogged, Option<Told>)> {
        let mut parcel = match Parcel::new(record, version) {
            Ok(parcel) => parcel,
            Err(why) => return Err((why, told)),
        };
        let (bytes, is_long) = (parcel.bytes, parcel.is_long());
        if is_long {
            if let Err(why) = self.lock().enter(bytes, self.bounds) {
                return Err((why, told));
            }
            // Its place is taken, so what is copied now is within the bounds.
            parcel.hold();
        }
        let urgent = told.is_some();
        let mut state = self.lock();
        if !is_long && let Err(why) = state.enter(bytes, self.bounds) {
            return Err((why, told));
        }
        let is_company = state.put(&mut parcel, told);
        let wakes = std::mem::take(&mut state.asleep) || (urgent && !state.urgent) || is_company;
        state.urgent |= urgent;
        drop(state);
        if wakes && let Some(writer) = self.writer.get() {
            writer.unpark();
        }
        Ok(())
    }

    /// Takes what is there, for the writer. `rest`: how long it may sleep if there is nothing; then
    /// `linger` is how long it waits for company, unless somebody waits or enough has come.
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
            let enough = state.urgent || state.lists.len() > COMPANY;
            state.records > 0 && !enough && !state.closed
        };
        if lingers {
            thread::park_timeout(linger);
        }
        // With room, so that whoever fills it takes nothing from the allocator.
        let empty = Vec::with_capacity(SPARES_MAX);
        let mut state = self.lock();
        state.urgent = false;
        let lists = std::mem::replace(&mut state.lists, empty);
        state.taken = std::mem::take(&mut state.records);
        // The bytes of a long record are counted before it is there: closed is closed when none is on
        // its way.
        let here = || lists.iter().map(List::bytes).sum::<usize>();
        let closed = state.closed && state.bytes == here();
        Drained { lists, closed }
    }

    /// The writer is done with the records of these lists, which are emptied and filled again.
    pub(crate) fn release(&self, mut lists: Vec<List>) {
        let records: usize = lists.iter().map(List::len).sum();
        let bytes: usize = lists.iter().map(List::bytes).sum();
        lists.iter_mut().for_each(List::clear);
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        state.taken = state.taken.saturating_sub(records);
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

    /// True: that was the first of them for which there was no room in as many lists as are company.
    fn put(&mut self, parcel: &mut Parcel<'_>, told: Option<Told>) -> bool {
        self.records += 1;
        match self.lists.last_mut().filter(|it| it.has_room(parcel)) {
            Some(list) => {
                list.put(parcel, told);
                false
            }
            None => {
                let mut list = self.spares.pop().unwrap_or_else(List::with_room);
                list.put(parcel, told);
                self.lists.push(list);
                self.lists.len() == COMPANY + 1
            }
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
