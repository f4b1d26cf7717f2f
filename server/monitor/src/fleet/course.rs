//! One of the two streams that are joined, predictions or labels: how far it was read, and where the next
//! process has to begin.

use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::chunk::{Chunk, Fate, Looked};
use super::metrics;
use super::stream::{self, Message, Offsets, Positions, Stream};
use super::trail::Trail;

/// Rounds in a row in which it is not there, until that is believed.
const MISSED_MIN: u32 = 2;

/// Times of messages are cut off to milliseconds.
const CUT_US: i64 = 999;

/// See the module.
pub(super) struct Course {
    stream: Box<dyn Stream>,
    /// What its messages are, as they say and as metrics have it.
    kind: &'static str,
    what: &'static str,
    pub(super) positions: Positions,
    trail: Trail,
    /// It was not there, in so many rounds in a row.
    missed: u32,
}

/// What is written down of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// Nothing that is of that time or later lies before its offsets.
    from_us: i64,
    offsets: stream::Saved,
}

/// Which times of messages are to be believed, and looked at.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// Windows that were over by then have been judged.
    pub(super) clock: i64,
    /// What was read before is needed from then on.
    pub(super) again: i64,
    /// What is later is of a clock that is wrong.
    pub(super) latest: i64,
    /// After the first that is later nothing is taken yet.
    pub(super) until: i64,
}

impl Course {
    /// Goes on with what the process before has left. `kind` and `what`: what its messages are, as they say and
    /// as metrics have it.
    pub(super) fn new(
        stream: Box<dyn Stream>,
        (kind, what): (&'static str, &'static str),
        saved: &[Saved],
    ) -> Course {
        let saved = saved.iter().find(|it| it.offsets.is_of(stream.name())).cloned();
        // Without any nothing is known of any time.
        let from_us = saved.as_ref().map_or(i64::MAX, |it| it.from_us);
        let positions = Positions::of(saved.map(|it| it.offsets), stream.name());
        let trail = Trail::at(from_us, &positions.next);
        Course { stream, kind, what, positions, trail, missed: 0 }
    }

    /// What is to be written down, if the next process needs what is of that time or later.
    pub(super) fn saved(&mut self, from_us: i64) -> Option<Saved> {
        let is_known = self.trail.covers(from_us);
        is_known.then(|| {
            let next = self.trail.since(from_us);
            Saved { from_us, offsets: self.positions.saved(self.stream.name(), &next, &[]) }
        })
    }

    /// Puts the stream where it is to be read, and says to where. If `begin` says so, all that is of that time or
    /// later is read, also what was read before. `None`: it is not there, which may be because a broker has just
    /// started, and is believed in the next round.
    pub(super) fn set_out(&mut self, begin: Option<i64>) -> io::Result<Option<Offsets>> {
        let there = match self.stream.partitions() {
            // Whoever writes first makes it. What is gone was there.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && self.positions.next.is_empty() =>
            {
                self.missed = self.missed.saturating_add(1);
                if self.missed < MISSED_MIN {
                    return Ok(None);
                }
                if self.missed == MISSED_MIN {
                    let (topic, what) = (self.stream.name(), self.what);
                    tracing::warn!(topic, what, %error, "it is not there yet: nothing is taken to be in it");
                }
                begin.into_iter().for_each(|it| self.trail = Trail::new(it));
                self.positions.is_set = false;
                return Ok(Some(Offsets::new()));
            }
            there => there?,
        };
        self.missed = 0;
        if begin.is_some() || !self.positions.fits(&there) {
            let at = match begin {
                None => self.positions.next.clone(),
                Some(time) if self.trail.covers(time) => self.trail.since(time),
                Some(time) => {
                    let since = self.stream.since(time)?;
                    self.trail = Trail::new(time);
                    // Whoever does not know has everything read, which only takes longer.
                    let first = |(it, range): (&i32, &Range<i64>)| {
                        (*it, since.get(it).copied().unwrap_or(range.start))
                    };
                    there.iter().map(first).collect()
                }
            };
            let lost = self.positions.begin(at, &there);
            metrics::truth_messages(self.what, "lost", lost);
            self.trail.begin(&self.positions.next, &there);
        }
        // Where it goes on what was read of late still says what time it is.
        if !self.positions.is_set {
            self.stream.seek(&self.positions.next)?;
            self.positions.is_set = true;
        }
        Ok(Some(there.into_iter().map(|(partition, range)| (partition, range.end)).collect()))
    }

    /// What comes next.
    pub(super) fn chunk(
        &mut self,
        (ends, stop): (&Offsets, &AtomicBool),
        times: Times,
        mut fate: impl for<'a> FnMut(&Message<'a>, bool) -> Fate<'a>,
    ) -> io::Result<Chunk> {
        let Course { stream, kind, positions, trail, .. } = self;
        let mut chunk = Chunk::new(kind, positions.next.clone());
        chunk.fill(stream.as_mut(), (ends, stop), |message| {
            let again = positions.is_again(message.partition, message.offset);
            let is_ours = message.kind == Some(*kind);
            // Without a time nobody knows how long it would be needed.
            let ours = message.time.filter(|_| is_ours);
            let fate = if ours.is_some() { fate(message, again) } else { Fate::Left("foreign") };
            // What nobody believes is needed by nobody.
            if let Some(time) = ours.filter(|it| *it <= times.latest) {
                trail.add(message.partition, message.offset, end_of(time));
            }
            // What comes again is of windows that are open, and says as much as when it came first.
            let from = if again { times.again } else { times.clock };
            let time = message.time.filter(|it| (from..=times.latest).contains(it));
            Looked { time, again, is_last: time.is_some_and(|it| it > times.until), fate }
        })?;
        Ok(chunk)
    }

    /// What was taken in is passed by.
    pub(super) fn passed(&mut self, chunk: Chunk) {
        for (why, (messages, first)) in chunk.left {
            metrics::truth_messages(self.what, why, messages);
            self.positions.tell(first, why);
        }
        self.positions.passed(chunk.next, &chunk.times);
    }

    /// Messages of a heap were read; so many were none.
    pub(super) fn counted(&self, (messages, wrong): (usize, usize)) {
        metrics::truth_messages(self.what, "read", (messages - wrong) as u64);
        metrics::truth_messages(self.what, "unreadable", wrong as u64);
    }
}

/// Up to which time it may be, if a message says it was then.
pub(super) fn end_of(time: i64) -> i64 {
    time.saturating_add(CUT_US)
}
