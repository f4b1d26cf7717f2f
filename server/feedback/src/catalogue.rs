//! Which segments there are, how far each is on the disk, and how far each sink has come.
//!
//! Where the writer, which adds segments, and the sinks, which read them, meet. A sink sees what has
//! been synced and nothing else.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::recent::Recent;

/// A place in the log: everything in front of it has been dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// Bytes that are good, and on the disk.
    synced: u64,
    /// Bytes that the file takes.
    size: u64,
    /// Nothing more is written to it.
    sealed: bool,
}

/// What a sink is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// From the position up to that offset.
    Read(u64),
    /// The segment is read: on to the one of that number.
    Segment(u64),
    /// Nothing now.
    Wait,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// What was synced last.
    pub(crate) recent: Recent,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    segments: BTreeMap<u64, Segment>,
    /// Of each sink.
    cursors: Vec<Position>,
    /// When the sinks are to be at their ends.
    closing: Option<Instant>,
}

impl Catalogue {
    /// With segments of an earlier process, and how far the sinks had come.
    /// Of what is synced so many bytes stay in memory.
    pub(crate) fn new(
        found: &[(u64, u64, u64)],
        cursors: Vec<Position>,
        recent_bytes_max: usize,
    ) -> Catalogue {
        let segment = |&(number, synced, size)| (number, Segment { synced, size, sealed: true });
        let segments = found.iter().map(segment).collect();
        let recent = Recent::new(cursors.clone(), recent_bytes_max);
        let state = State { segments, cursors, closing: None };
        Catalogue { recent, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A segment has been begun.
    pub(crate) fn begin(&self, number: u64, size: u64) {
        let segment = Segment { synced: 0, size, sealed: false };
        self.lock().segments.insert(number, segment);
    }

    /// The file has grown, whatever has come of it.
    pub(crate) fn grow(&self, number: u64, size: u64) {
        if let Some(segment) = self.lock().segments.get_mut(&number) {
            segment.size = size;
        }
    }

    /// So much of it is on the disk.
    pub(crate) fn synced(&self, number: u64, bytes: u64) {
        if let Some(segment) = self.lock().segments.get_mut(&number) {
            segment.synced = bytes;
        }
        self.changed.notify_all();
    }

    /// Nothing more is written to it.
    pub(crate) fn seal(&self, number: u64) {
        if let Some(segment) = self.lock().segments.get_mut(&number) {
            segment.sealed = true;
        }
        self.changed.notify_all();
    }

    /// Takes sealed segments that every sink has read out of the catalogue: they can be deleted.
    pub(crate) fn take_read(&self) -> Vec<u64> {
        let mut state = self.lock();
        let slowest = state.cursors.iter().min().copied();
        let read = |(number, it): (&u64, &Segment)| {
            let end = Position { segment: *number, offset: it.synced };
            (it.sealed && slowest.is_none_or(|slowest| slowest >= end)).then_some(*number)
        };
        let numbers: Vec<u64> = state.segments.iter().map_while(read).collect();
        // They are the first.
        if let Some(last) = numbers.last() {
            state.segments = state.segments.split_off(&last.saturating_add(1));
        }
        numbers
    }

    /// Is nothing of it known to be on the disk?
    pub(crate) fn is_unsynced(&self, number: u64) -> bool {
        self.lock().segments.get(&number).is_some_and(|it| it.synced == 0)
    }

    /// Its file is gone.
    pub(crate) fn forget(&self, number: u64) {
        self.lock().segments.remove(&number);
        self.changed.notify_all();
    }

    /// Bytes of all segments.
    pub(crate) fn size(&self) -> u64 {
        self.lock().segments.values().map(|it| it.size).sum()
    }

    /// A sink has come so far, for good.
    pub(crate) fn advance(&self, sink: usize, position: Position) {
        if let Some(cursor) = self.lock().cursors.get_mut(sink) {
            *cursor = position;
        }
    }

    /// Bytes that are on the disk and that a sink does not have for good.
    pub(crate) fn lag(&self, sink: usize) -> u64 {
        let state = self.lock();
        let cursor = state.cursors.get(sink).copied().unwrap_or_default();
        let left = |(number, it): (&u64, &Segment)| match number.cmp(&cursor.segment) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => it.synced.saturating_sub(cursor.offset),
            std::cmp::Ordering::Greater => it.synced,
        };
        state.segments.iter().map(left).sum()
    }

    /// What is to be read there; waits for it until then.
    pub(crate) fn next(&self, at: Position, until: Instant) -> Next {
        let mut state = self.lock();
        loop {
            let next = state.next(at);
            let left = until.saturating_duration_since(Instant::now());
            if next != Next::Wait || left.is_zero() || state.closing.is_some() {
                return next;
            }
            state = self.wait(state, left);
        }
    }

    /// The log is over: sinks are to be at its end by then.
    pub(crate) fn close(&self, by: Instant) {
        self.lock().closing = Some(by);
        self.changed.notify_all();
    }

    /// When the sinks are to be at their ends.
    pub(crate) fn closing(&self) -> Option<Instant> {
        self.lock().closing
    }

    /// A pause that the log's end ends.
    pub(crate) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closing.is_some() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, left: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Nothing under the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&self, at: Position) -> Next {
        let here = self.segments.get(&at.segment);
        if let Some(segment) = here
            && at.offset < segment.synced
        {
            return Next::Read(segment.synced);
        }
        // One that is not there has been read, or lost: what comes after it counts.
        if here.is_some_and(|it| !it.sealed) {
            return Next::Wait;
        }
        let after = self.segments.range(at.segment.saturating_add(1)..).next();
        after.map_or(Next::Wait, |(number, _)| Next::Segment(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u64, offset: u64) -> Position {
        Position { segment, offset }
    }

    #[test]
    fn sinks_read_what_is_on_the_disk_and_segments_go_when_all_have() {
        let catalogue = Catalogue::new(&[(1, 100, 120), (2, 0, 50)], vec![at(0, 0), at(1, 100)], 0);
        let now = Instant::now();
        assert_eq!(catalogue.next(at(0, 0), now), Next::Segment(1));
        assert_eq!(catalogue.next(at(1, 0), now), Next::Read(100));
        assert_eq!(catalogue.next(at(1, 100), now), Next::Segment(2));
        assert_eq!(catalogue.next(at(2, 0), now), Next::Wait);
        assert_eq!((catalogue.lag(0), catalogue.lag(1)), (100, 0));
        catalogue.begin(3, 20);
        catalogue.grow(3, 70);
        assert_eq!(catalogue.next(at(2, 0), now), Next::Segment(3));
        assert_eq!(catalogue.next(at(3, 0), now), Next::Wait, "not synced");
        catalogue.synced(3, 70);
        assert_eq!(catalogue.next(at(3, 20), now), Next::Read(70));
        assert_eq!((catalogue.lag(0), catalogue.size()), (170, 240));
        assert_eq!(catalogue.take_read(), Vec::<u64>::new(), "the first sink has nothing");
        catalogue.advance(0, at(3, 70));
        assert_eq!(catalogue.take_read(), [1], "the second stands at the end of that");
        catalogue.advance(1, at(3, 70));
        assert_eq!(catalogue.take_read(), [2], "the third is not sealed");
        catalogue.seal(3);
        assert_eq!((catalogue.take_read(), catalogue.size()), (vec![3], 0));
    }
}
