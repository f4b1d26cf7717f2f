//! A round over a log of messages: from where it stands to what was there when the round began, some thousand
//! messages at a time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use server_feedback::{MESSAGE_BYTES_MAX, ROW, columns_of, source_of};

use super::chunk::{Chunk, Fate, Looked};
use super::cursor::Place;
use super::follower::{Follower, Log, Round};
use super::metrics;
use super::stream::{Message, Offsets, least};
use super::version::VersionLog;

/// While much is read, models are looked at anew so often.
pub(super) const ROUND_MAX: Duration = Duration::from_secs(10);

impl Follower {
    /// Reads what has come since.
    pub(super) fn read_messages(&mut self) -> io::Result<Round> {
        let now = (self.now)();
        if self.logs.is_empty() {
            // Whoever is followed next says where that begins.
            self.positions = super::stream::Positions::default();
            return Ok(Round::Whole);
        }
        let clocks: io::Result<()> =
            (0..self.logs.len()).try_for_each(|n| self.check_clock(n, now));
        let read = clocks.and_then(|()| self.set_out()).and_then(|ends| self.read_to(&ends, now));
        if read.is_err() {
            self.positions.is_set = false;
        }
        read
    }

    /// Where the next process has to begin.
    pub(super) fn needed(&self) -> Offsets {
        least(&self.positions.next, self.logs.iter().flat_map(VersionLog::needs))
    }

    /// Puts the stream where it is to be read, and says to where.
    fn set_out(&mut self) -> io::Result<Offsets> {
        self.logs.iter_mut().for_each(|it| it.try_again(&self.monitors));
        let is_behind = self.logs.iter().any(VersionLog::is_behind);
        let kept = self.needed();
        let Log::Stream(stream) = &mut self.log else { return Ok(Offsets::new()) };
        let there = stream.partitions()?;
        let known = &self.positions.next;
        if is_behind || !self.positions.stands(&there) {
            let mut at = if is_behind { kept } else { known.clone() };
            if let Some(time) = self.logs.iter().filter_map(|it| it.since).min() {
                let (since, is_first) = (stream.since(time)?, known.is_empty());
                for (partition, range) in &there {
                    // Whoever does not know has everything read, which only takes longer.
                    let since = since.get(partition).copied().unwrap_or(range.start);
                    match at.get_mut(partition) {
                        Some(it) => *it = since.min(*it),
                        None if is_first => drop(at.insert(*partition, since)),
                        None => {}
                    }
                }
            }
            metrics::messages("lost", self.positions.begin(at, &there));
            stream.seek(&self.positions.next)?;
            self.positions.is_set = true;
            if is_behind {
                // As if a process began: what waited comes once more.
                self.logs.iter_mut().for_each(VersionLog::begin);
            }
            self.is_moved = true;
        }
        Ok(there.into_iter().map(|(partition, range)| (partition, range.end)).collect())
    }

    fn read_to(&mut self, ends: &Offsets, now: i64) -> io::Result<Round> {
        let begin = Instant::now();
        let lateness = self.lateness();
        let sources = self.logs.iter().enumerate();
        let sources = sources.map(|(n, it)| (source_of(&it.who.0, it.who.1), n)).collect();
        let mut ended = Round::Whole;
        while !self.positions.has_reached(ends) {
            let is_stopped = self.stop.load(Ordering::Relaxed);
            if is_stopped || begin.elapsed() > ROUND_MAX {
                ended = if is_stopped { Round::Stopped } else { Round::Cut };
                break;
            }
            let chunk = self.chunk(ends, &sources)?;
            self.take_in(chunk);
            self.count(ends, (now, lateness));
            self.checkpoint_now_and_then()?;
        }
        self.count(ends, (now, lateness));
        for log in &self.logs {
            log.metrics.stands(log.waiting.rows(), log.cursor.watermark());
        }
        Ok(ended)
    }

    /// Counts the rows that nothing belongs before any more.
    fn count(&mut self, ends: &Offsets, (now, lateness): (i64, i64)) {
        if let Some(written) = self.positions.written(ends, now) {
            (0..self.logs.len()).for_each(|n| self.advance(n, written - lateness));
        }
        self.relieve();
    }

    /// What comes next.
    fn chunk(&mut self, ends: &Offsets, sources: &BTreeMap<String, usize>) -> io::Result<Chunk> {
        let Follower { log, logs, positions, stop, .. } = self;
        let mut chunk = Chunk::new(ROW, positions.next.clone());
        let latest = logs.iter().map(|it| it.latest).min().unwrap_or(i64::MAX);
        let counted = logs.iter().map(|it| it.cursor.watermark()).min().unwrap_or(i64::MIN);
        let Log::Stream(stream) = log else { return Ok(chunk) };
        chunk.fill(stream.as_mut(), (ends, stop), |message| {
            let again = positions.is_again(message.partition, message.offset);
            let fate = fate((message, again), sources, logs);
            // A clock that is wrong does not say how old what comes next is, and what is late has nothing
            // wait for it.
            let time = message.time.filter(|it| (counted..=latest).contains(it));
            Looked { time, again, is_last: false, fate }
        })?;
        Ok(chunk)
    }

    /// Has its rows wait for their turn.
    fn take_in(&mut self, chunk: Chunk) {
        let from = Arc::new(chunk.from);
        for heap in &chunk.heaps {
            let Some(log) = self.logs.get_mut(heap.log) else { continue };
            let taken = match columns_of(&heap.columns) {
                Ok(columns) => {
                    let values = heap.values();
                    log.take(&self.monitors, (&columns, &values), (heap.again, &from))
                }
                Err(why) => (heap.len(), Some(why)),
            };
            let (wrong, why) = taken;
            if heap.again {
                continue;
            }
            metrics::messages("read", (heap.len() - wrong) as u64);
            metrics::messages("unreadable", wrong as u64);
            if let Some(error) = why.filter(|_| self.positions.is_news("unreadable")) {
                let (model, version) = &log.who;
                tracing::error!(%model, %version, rows = wrong, error, "messages cannot be read: they are left out, and others of their kind will be");
            }
        }
        for (why, (messages, first)) in chunk.left {
            metrics::messages(why, messages);
            self.positions.tell(first, why);
        }
        self.positions.passed(chunk.next, &chunk.times);
        self.is_moved |= chunk.messages > 0;
    }
}

fn fate<'a>(
    (message, again): (&Message<'a>, bool),
    sources: &BTreeMap<String, usize>,
    logs: &[VersionLog],
) -> Fate<'a> {
    let (Some(ROW), Some(source), Some(columns)) = (message.kind, message.source, message.columns)
    else {
        return Fate::Left("foreign");
    };
    if message.value.len() > MESSAGE_BYTES_MAX {
        return Fate::Left("too_large");
    }
    let found = sources.get(source).and_then(|n| Some((*n, logs.get(*n)?)));
    let Some((log, of)) = found else { return Fate::Left("other") };
    // Up to a millisecond may have been cut off.
    match message.time.map(|it| of.cursor.place(it.saturating_add(999), of.latest)) {
        Some(Place::Before) => Fate::Left("other"),
        // It was counted, or was late or ahead already.
        Some(Place::Late | Place::Ahead) if again => Fate::Left("other"),
        Some(Place::Late | Place::Waits | Place::Ahead) | None => Fate::Row { log, columns },
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
