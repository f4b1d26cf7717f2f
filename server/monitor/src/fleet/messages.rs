//! A round over a log of messages: from where it stands to what was there when the round began, some thousand
//! messages at a time.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use server_feedback::{MESSAGE_BYTES_MAX, ROW, columns_of, source_of};

use super::cursor::Place;
use super::follower::{Follower, Log, Round};
use super::metrics;
use super::stream::{Message, Offsets, least};
use super::version::VersionLog;

/// Messages that are turned into rows at once: enough that what is done for each heap of them is nothing, and
/// few enough to be little memory.
const CHUNK_MESSAGES: usize = 8_192;
/// See `CHUNK_MESSAGES`; and a message.
const CHUNK_BYTES: usize = 8 << 20;

/// While much is read, models are looked at anew so often.
const ROUND_MAX: Duration = Duration::from_secs(10);

/// Messages that were taken together.
struct Chunk {
    /// Where the first of them is that matters.
    from: Offsets,
    next: Offsets,
    /// Partitions and times of rows, in their order.
    times: Vec<(i32, i64)>,
    heaps: Vec<Heap>,
    messages: usize,
    bytes: usize,
}

/// Those of them that say the same of themselves.
struct Heap {
    log: usize,
    /// They were read before.
    again: bool,
    columns: String,
    values: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

/// What is to become of a message.
enum Fate<'a> {
    Row {
        log: usize,
        columns: &'a str,
    },
    /// It is left out, for that reason.
    Left(&'static str),
}

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
        let is_inside = |it: (&i32, &Range<i64>)| {
            known.get(it.0).is_some_and(|at| (it.1.start..=it.1.end).contains(at))
        };
        let stands = self.positions.is_set && known.len() == there.len();
        if is_behind || !stands || !there.iter().all(is_inside) {
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
            self.positions.begin(at, &there);
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
        let mut chunk = Chunk::new(positions.next.clone());
        let latest = logs.iter().map(|it| it.latest).min().unwrap_or(i64::MAX);
        let counted = logs.iter().map(|it| it.cursor.watermark()).min().unwrap_or(i64::MIN);
        let Log::Stream(stream) = log else { return Ok(chunk) };
        while !chunk.is_full() && !ends.iter().all(|it| chunk.next.get(it.0) >= Some(it.1)) {
            let came = stream.next(&mut |message| {
                let again = positions.is_again(message.partition, message.offset);
                let fate = fate((message, again), sources, logs);
                // A clock that is wrong does not say how old what comes next is, and what is late has nothing
                // wait for it.
                let time = message.time.filter(|it| (counted..=latest).contains(it));
                if let Fate::Left(why) = fate
                    && !again
                {
                    metrics::messages(why, 1);
                    if positions.is_news(why) {
                        let Message { partition, offset, .. } = message;
                        tracing::warn!(
                            partition,
                            offset,
                            why,
                            "a message of the log is left out, and others of its kind will be"
                        );
                    }
                }
                chunk.add(&Message { time, ..*message }, again, &fate);
            })?;
            if !came {
                chunk.pass(stream.ended());
            }
            let is_over = stop.load(Ordering::Relaxed) || chunk.messages > 0;
            if !came && is_over {
                break;
            }
        }
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
                Err(why) => (heap.ends.len(), Some(why)),
            };
            let (wrong, why) = taken;
            if heap.again {
                continue;
            }
            metrics::messages("read", (heap.ends.len() - wrong) as u64);
            metrics::messages("unreadable", wrong as u64);
            if let Some(error) = why.filter(|_| self.positions.is_news("unreadable")) {
                let (model, version) = &log.who;
                tracing::error!(%model, %version, rows = wrong, error, "messages cannot be read: they are left out, and others of their kind will be");
            }
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

impl Chunk {
    fn new(next: Offsets) -> Chunk {
        let from = next.clone();
        Chunk { from, next, times: Vec::new(), heaps: Vec::new(), messages: 0, bytes: 0 }
    }

    fn is_full(&self) -> bool {
        self.messages >= CHUNK_MESSAGES || self.bytes >= CHUNK_BYTES
    }

    /// What came is taken, and between that and the ends there are no messages.
    fn pass(&mut self, ends: &Offsets) {
        for (partition, end) in ends {
            if let Some(next) = self.next.get_mut(partition) {
                *next = (*next).max(*end);
            }
        }
    }

    fn add(&mut self, message: &Message<'_>, again: bool, fate: &Fate<'_>) {
        let Message { partition, offset, .. } = *message;
        // Something that was on its way when reading began elsewhere.
        let Some(next) = self.next.get_mut(&partition).filter(|it| offset >= **it) else { return };
        *next = offset + 1;
        if let (true, Some(from)) = (self.heaps.is_empty(), self.from.get_mut(&partition)) {
            *from = offset + i64::from(matches!(fate, Fate::Left(_)));
        }
        self.messages += 1;
        self.bytes += message.value.len();
        if message.kind == Some(ROW)
            && let Some(time) = message.time
        {
            self.times.push((partition, time));
        }
        let Fate::Row { log, columns } = *fate else { return };
        let is_same = |it: &Heap| it.log == log && it.again == again && it.columns == columns;
        let place = self.heaps.iter().rposition(is_same).unwrap_or_else(|| {
            let (columns, values) = (columns.to_owned(), Vec::new());
            self.heaps.push(Heap { log, again, columns, values, ends: Vec::new() });
            self.heaps.len() - 1
        });
        if let Some(heap) = self.heaps.get_mut(place) {
            heap.values.extend_from_slice(message.value);
            heap.ends.push(heap.values.len());
        }
    }
}

impl Heap {
    fn values(&self) -> Vec<&[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        let ranges = begins.zip(&self.ends).map(|(begin, end)| *begin..*end);
        ranges.filter_map(|it| self.values.get(it)).collect()
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
