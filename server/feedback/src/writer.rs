//! The log's own thread: takes records from the queue, writes them to segments, syncs, tells.
//!
//! Group commit: while one sync is under way the next group gathers in the queue. After an error a
//! segment is left as it is, and what was not synced is written once more, to a new one; if that fails
//! too, it is given up, and whoever waits is told so. Nothing is ever said to be on the disk because a
//! second sync of the same file did not complain.

use std::collections::BTreeMap;
use std::io;
use std::iter::Peekable;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use server_base::{Told, Unlogged};

use crate::catalogue::Catalogue;
use crate::files::Files;
use crate::list::{Entry, LIST_WEIGHT_MAX, List};
use crate::metrics::LogMetrics;
use crate::queue::{Drained, Queue};
use crate::rows::micros;
use crate::segment::{Fault, Piece, Segment, Span, path};
use crate::version::tell;

/// How long the writer sleeps when nothing comes; then it looks what can be deleted.
const REST: Duration = Duration::from_secs(1);

/// How long records wait for company when nobody waits for them: a batch of a few hundred rows costs
/// little more than one of one.
const LINGER: Duration = Duration::from_millis(20);

/// Records of one group: so many rows at the least are turned into columns at a time.
const GROUP_RECORDS: usize = 16_384;

/// What the records of one group weigh, unless it is one alone: their rows are in memory beside them.
const GROUP_BYTES_MAX: usize = LIST_WEIGHT_MAX;

/// Bytes that may be unsynced: kept in memory too, to be written once more.
const UNSYNCED_BYTES_MAX: usize = 8 << 20;

/// How long the disk is left alone after it has failed twice.
const RECOVERY: Duration = Duration::from_secs(1);

/// What a column takes on the disk beside its values, in the schema and in a batch, at the most.
const COLUMN_BYTES: usize = 1_200;

const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// Where and how much.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) folder: PathBuf,
    /// Of one segment.
    pub(crate) segment_bytes: u64,
    /// Of all.
    pub(crate) disk_bytes_max: u64,
    /// How long records that nobody waits for may be unsynced.
    pub(crate) sync_interval: Duration,
}

/// See the module.
pub(crate) struct Writer {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) metrics: Arc<LogMetrics>,
    pub(crate) room: Room,
    segment: Option<Segment>,
    /// Of the next segment.
    next: u64,
    unsynced: Unsynced,
    /// The disk has failed: not before that time again.
    failing: Option<Instant>,
}

/// A writer that panics leaves nobody waiting: what comes then is refused, and told so.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        tracing::error!("the prediction log has ended by a panic; nothing is logged any more");
        self.0.close();
        let Drained { lists, .. } = self.0.drain(Duration::ZERO, Duration::ZERO);
        for mut list in lists {
            let told = list.take_told();
            list.entries().for_each(|it| it.version.metrics.refused(Unlogged::Closed));
            told.into_iter().for_each(|(_, it)| it(Err(Unlogged::Closed)));
        }
    }
}

/// What was written and is not known to be on the disk.
#[derive(Default)]
struct Unsynced {
    pieces: Vec<Piece>,
    told: Vec<Told>,
    bytes: usize,
    since: Option<Instant>,
}

impl Writer {
    /// `next` is larger than the number of any segment there is.
    pub(crate) fn new(
        (files, room): (Arc<dyn Files>, Room),
        queue: Arc<Queue>,
        catalogue: Arc<Catalogue>,
        metrics: Arc<LogMetrics>,
        next: u64,
    ) -> Writer {
        let (segment, unsynced, failing) = (None, Unsynced::default(), None);
        Writer { files, queue, catalogue, metrics, room, segment, next, unsynced, failing }
    }

    /// Until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let _closing = Closing(Arc::clone(&self.queue));
        self.queue.listen();
        while self.turn() {}
        if let Some(segment) = self.segment.take() {
            self.catalogue.seal(segment.number);
        }
    }

    /// False: it was the last.
    fn turn(&mut self) -> bool {
        let now = Instant::now();
        let due = self.unsynced.since.map(|it| it + self.room.sync_interval);
        let rest = due.map_or(REST, |it| it.saturating_duration_since(now)).min(REST);
        let Drained { lists, closed } = self.queue.drain(rest, LINGER);
        let mut left = lists.into_iter().peekable();
        while left.peek().is_some() {
            let mut group = cut(&mut left);
            self.group(&mut group);
            self.queue.release(group);
        }
        self.sync_if_due(closed);
        self.tidy();
        !closed
    }

    fn group(&mut self, group: &mut [List]) {
        for (mut piece, waiting) in self.pieces(group) {
            let written = match self.admit(&piece) {
                Ok(()) => self.append(&mut piece),
                Err(why) => {
                    piece.refused(waiting, why);
                    continue;
                }
            };
            if let Err(Fault::Rows(error)) = &written {
                let model = &piece.version.form.subject.model;
                tracing::error!(%model, %error, "rows cannot be written to any disk");
                piece.refused(waiting, Unlogged::Record);
                continue;
            }
            // If it is given up, so is whoever waits for it.
            self.unsynced.told.extend(waiting);
            self.unsynced.bytes += piece.bytes;
            self.unsynced.since.get_or_insert_with(Instant::now);
            self.unsynced.pieces.push(piece);
            if let Err(Fault::Disk(error)) = written {
                self.failed("write", &error);
                self.rewrite();
            }
        }
        if !self.unsynced.told.is_empty() || self.unsynced.bytes > UNSYNCED_BYTES_MAX {
            self.sync();
        }
    }

    /// Records as rows, by version and hour, each with those who wait.
    fn pieces(&self, group: &mut [List]) -> Vec<(Piece, Vec<Told>)> {
        let now = SystemTime::now();
        let mut parts: BTreeMap<(u64, u32), Part<'_>> = BTreeMap::new();
        for list in group {
            let mut told = list.take_told().into_iter().peekable();
            for (place, entry) in list.entries().enumerate() {
                let hour = micros(entry.head.time) / MICROS_AN_HOUR;
                let hour = u32::try_from(hour).unwrap_or(u32::MAX);
                let part = parts.entry((entry.version.id, hour)).or_default();
                part.entries.push(entry);
                part.told.extend(told.next_if(|it| it.0 == place).map(|it| it.1));
                part.bytes += entry.head.bytes;
            }
        }
        let piece = |((_, hour), part): ((u64, u32), Part<'_>)| {
            let Part { entries, told, bytes } = part;
            let version = Arc::clone(entries.first()?.version);
            let records = entries.len() as u64;
            version.metrics.offered(records);
            match version.form.batch(&entries, now) {
                Ok(batch) => {
                    let span = Span::default();
                    Some((Piece { version, hour, records, batch, bytes, span }, told))
                }
                Err(error) => {
                    tracing::error!(model = %version.form.subject.model, %error, "records cannot be rows");
                    version.metrics.dropped_many(Unlogged::Record, records);
                    told.into_iter().for_each(|it| tell(Some(it), Err(Unlogged::Record)));
                    None
                }
            }
        };
        parts.into_iter().filter_map(piece).collect()
    }

    /// May it be written? Makes room where that can be made.
    fn admit(&mut self, piece: &Piece) -> Result<(), Unlogged> {
        if self.failing.is_some_and(|it| Instant::now() < it) {
            return Err(Unlogged::Disk);
        }
        self.failing = None;
        let columns = piece.batch.num_columns() * COLUMN_BYTES;
        let most = (piece.batch.get_array_memory_size() + columns) as u64;
        let fits = |it: &Writer| it.catalogue.size().saturating_add(most) <= it.room.disk_bytes_max;
        if fits(self) {
            return Ok(());
        }
        self.seal_if_read();
        self.tidy();
        if fits(self) { Ok(()) } else { Err(Unlogged::Budget) }
    }

    fn append(&mut self, piece: &mut Piece) -> Result<(), Fault> {
        let full = |it: &Segment| it.size >= self.room.segment_bytes;
        if self.segment.as_ref().is_some_and(full) {
            self.roll()?;
        }
        if self.segment.is_none() {
            let number = self.next;
            // The number is used up, whatever comes of it.
            self.next += 1;
            let segment = Segment::create(&*self.files, &self.room.folder, number)?;
            self.catalogue.begin(number, segment.size);
            self.segment = Some(segment);
        }
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let written = segment.append(piece);
        self.catalogue.grow(segment.number, segment.size);
        written
    }

    /// The segment is full: what is in it must be on the disk before the next one begins.
    fn roll(&mut self) -> io::Result<()> {
        if let Some(segment) = &mut self.segment {
            segment.sync()?;
            self.catalogue.synced(segment.number, segment.size);
            self.catalogue.seal(segment.number);
            self.segment = None;
        }
        Ok(())
    }

    /// The segment is left as it is. One of which nothing is known to be on the disk goes: as long as the
    /// disk is full there would be one more of them every second.
    fn failed(&mut self, what: &str, error: &io::Error) {
        tracing::error!(what, %error, "the prediction log's disk failed");
        self.metrics.disk_failed(what);
        let Some(number) = self.segment.take().map(|it| it.number) else { return };
        let is_empty = self.catalogue.is_unsynced(number);
        if is_empty && self.files.remove(&path(&self.room.folder, number)).is_ok() {
            self.catalogue.forget(number);
        } else {
            self.catalogue.seal(number);
        }
    }

    /// Writes what is not known to be on the disk to a new segment, or gives it up.
    fn rewrite(&mut self) {
        let mut pieces = std::mem::take(&mut self.unsynced.pieces);
        let written = pieces.iter_mut().try_for_each(|it| self.append(it));
        match written {
            Ok(()) => self.unsynced.pieces = pieces,
            Err(fault) => {
                self.failed("rewrite", &fault.into());
                self.unsynced.pieces = pieces;
                self.give_up();
            }
        }
    }

    fn give_up(&mut self) {
        let Unsynced { pieces, told, .. } = std::mem::take(&mut self.unsynced);
        for piece in pieces {
            piece.version.metrics.dropped_many(Unlogged::Disk, piece.records);
        }
        told.into_iter().for_each(|it| it(Err(Unlogged::Disk)));
        self.failing = Some(Instant::now() + RECOVERY);
    }

    fn sync_if_due(&mut self, closing: bool) {
        let due = |it: Instant| it.elapsed() >= self.room.sync_interval;
        if closing || self.unsynced.since.is_some_and(due) {
            self.sync();
        }
    }

    fn sync(&mut self) {
        for attempt in ["sync", "second sync"] {
            if self.unsynced.pieces.is_empty() {
                self.unsynced.since = None;
                return;
            }
            let Some(segment) = &mut self.segment else { return self.give_up() };
            let began = Instant::now();
            let synced = segment.sync();
            self.metrics.synced(synced.is_ok(), began.elapsed());
            match synced {
                Ok(()) => return self.committed(),
                Err(error) => self.failed(attempt, &error),
            }
            if attempt == "sync" {
                self.rewrite();
            }
        }
        self.give_up();
    }

    fn committed(&mut self) {
        let Unsynced { pieces, told, .. } = std::mem::take(&mut self.unsynced);
        for piece in pieces {
            piece.version.metrics.written(piece.records, piece.batch.num_rows() as u64);
            self.catalogue.recent.keep(piece.span, || piece.into_rows());
        }
        // Sinks look for the rows now.
        if let Some(segment) = &self.segment {
            self.catalogue.synced(segment.number, segment.size);
        }
        told.into_iter().for_each(|it| it(Ok(())));
    }

    /// Deletes what all sinks have.
    fn tidy(&mut self) {
        for number in self.catalogue.take_read() {
            if let Err(error) = self.files.remove(&path(&self.room.folder, number))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(number, %error, "a segment that has been read cannot be deleted");
            }
        }
    }

    /// A segment that is open cannot be deleted: it is closed if there is no room and it holds nothing
    /// unsynced.
    fn seal_if_read(&mut self) {
        if self.unsynced.pieces.is_empty()
            && let Some(segment) = self.segment.take()
        {
            self.catalogue.seal(segment.number);
        }
    }
}

/// Records that become rows together, in a number and of a weight that memory has room for.
fn cut(lists: &mut Peekable<impl Iterator<Item = List>>) -> Vec<List> {
    let (mut group, mut records, mut bytes) = (Vec::new(), 0, 0_usize);
    while let Some(list) = lists.next_if(|it| {
        let fits = bytes.saturating_add(it.bytes()) <= GROUP_BYTES_MAX;
        records == 0 || (fits && records + it.len() <= GROUP_RECORDS)
    }) {
        (records, bytes) = (records + list.len(), bytes + list.bytes());
        group.push(list);
    }
    group
}

/// Records of one version and hour.
#[derive(Default)]
struct Part<'a> {
    entries: Vec<Entry<'a>>,
    told: Vec<Told>,
    bytes: usize,
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
