//! A sink's thread: reads what is on the disk, hands it on, and remembers for good how far it came.

use std::collections::HashMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use server_base::{ModelName, Version};

use crate::batch;
use crate::catalogue::{Catalogue, Next, Position};
use crate::files::Files;
use crate::frame::{Body, Found, Frame, HEAD_BYTES, PREFIX_BYTES, decode};
use crate::metrics::{self, SinkMetrics};
use crate::recover::{cursor_text, parse_cursor};
use crate::segment::path;
use crate::sink::{LeftOut, Rows, Sink};

/// What is read of a segment at a time, unless one frame is longer.
const READ_BYTES: usize = 4 << 20;

/// How long to wait after a failure: so long at first, then twice as long each time.
const PAUSE: Duration = Duration::from_millis(100);

/// And never longer.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Delivery {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) folder: PathBuf,
    /// Which log it is.
    pub(crate) log: String,
    pub(crate) catalogue: Arc<Catalogue>,
    /// Its place among the sinks.
    pub(crate) place: usize,
    pub(crate) sink: Box<dyn Sink>,
    /// How long rows may wait for others before they are flushed.
    pub(crate) roll: Duration,
    pub(crate) metrics: SinkMetrics,
    reader: Reader,
    /// Everything in front of it is delivered for good.
    durable: Position,
    /// Since when rows wait for a flush, and how many there are.
    waiting: Option<Instant>,
    rows: u64,
}

/// Where it reads, and what it has learned on the way there.
#[derive(Default)]
struct Reader {
    at: Position,
    /// Of the next frame.
    index: u32,
    subjects: HashMap<u32, Subject>,
}

struct Subject {
    model: ModelName,
    version: Version,
    schema: Vec<u8>,
}

/// A panic as an error. What the sink holds then is forgotten by its reset.
fn caught<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let worked = panic::catch_unwind(AssertUnwindSafe(work));
    worked.unwrap_or_else(|_| Err(io::Error::other("it panicked")))
}

/// Where a sink's cursor lies.
fn cursor_path(folder: &Path, sink: &dyn Sink) -> PathBuf {
    folder.join(format!("{}.cursor", sink.name()))
}

/// How far a sink had come; the beginning if that is not known.
pub(crate) fn cursor(files: &dyn Files, folder: &Path, sink: &dyn Sink) -> Position {
    let read = files.read(&cursor_path(folder, sink), 0, 100);
    read.ok().and_then(|it| parse_cursor(&it)).unwrap_or_default()
}

/// The furthest that any sink had come, those included that are not used now.
pub(crate) fn known(files: &dyn Files, folder: &Path) -> io::Result<Option<Position>> {
    let mut furthest = None;
    for path in files.list(folder)? {
        if path.extension().is_some_and(|it| it == "cursor") {
            furthest = furthest.max(parse_cursor(&files.read(&path, 0, 100)?));
        }
    }
    Ok(furthest)
}

/// What a delivery works on.
pub(crate) struct Source {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) folder: PathBuf,
    pub(crate) log: String,
    pub(crate) catalogue: Arc<Catalogue>,
}

impl Delivery {
    pub(crate) fn new(
        source: Source,
        (place, sink, durable): (usize, Box<dyn Sink>, Position),
        roll: Duration,
    ) -> Delivery {
        let Source { files, folder, log, catalogue } = source;
        let metrics = SinkMetrics::new(sink.name());
        Delivery {
            files,
            folder,
            log,
            catalogue,
            place,
            sink,
            roll,
            metrics,
            reader: Reader::default(),
            durable,
            waiting: None,
            rows: 0,
        }
    }

    /// Until the log is over and all of it delivered, or its time is up.
    pub(crate) fn run(mut self) {
        let mut pause = PAUSE;
        self.rewind();
        loop {
            // A bug in a sink is one more way to fail.
            match caught(|| self.turn()) {
                Ok(true) => pause = PAUSE,
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(sink = self.sink.name(), %error, "rows cannot be delivered now");
                    self.metrics.failed();
                    let reset = caught(|| {
                        self.sink.reset();
                        Ok(())
                    });
                    if let Err(error) = reset {
                        tracing::error!(sink = self.sink.name(), %error, "a sink cannot be reset");
                    }
                    self.rewind();
                    if self.catalogue.closing().is_some_and(|it| it <= Instant::now() + pause) {
                        return;
                    }
                    self.catalogue.pause(pause);
                    pause = (2 * pause).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Back to what is delivered for good: the rest comes again.
    fn rewind(&mut self) {
        self.reader = Reader::default();
        self.reader.at.segment = self.durable.segment;
        (self.waiting, self.rows) = (None, 0);
    }

    /// False: it was the last.
    fn turn(&mut self) -> io::Result<bool> {
        let due = self.waiting.map(|it| it + self.roll);
        let until = due.unwrap_or_else(|| Instant::now() + self.roll);
        match self.catalogue.next(self.reader.at, until) {
            Next::Read(end) => self.read(end)?,
            Next::Segment(number) => {
                self.reader = Reader::default();
                self.reader.at.segment = number;
                return Ok(true);
            }
            Next::Wait => {
                let closing = self.catalogue.closing();
                if closing.is_some() || due.is_some_and(|it| it <= Instant::now()) {
                    self.flush()?;
                }
                self.sink.idle();
                return Ok(closing.is_none());
            }
        }
        let overdue = self.waiting.is_some_and(|it| it.elapsed() >= self.roll);
        if overdue || self.sink.is_full() {
            self.flush()?;
        }
        let late = self.catalogue.closing().is_some_and(|it| it <= Instant::now());
        Ok(!late)
    }

    /// Takes whole frames from there on, up to `end`.
    fn read(&mut self, end: u64) -> io::Result<()> {
        let Position { segment, offset } = self.reader.at;
        let path = path(&self.folder, segment);
        if offset == 0 {
            self.reader.at.offset = HEAD_BYTES as u64;
            return Ok(());
        }
        if self.take_recent(end)? {
            return Ok(());
        }
        let offset = self.reader.at.offset;
        let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = self.files.read(&path, offset, left.min(READ_BYTES))?;
        if let Found::Part(whole) = decode(&bytes, self.reader.index) {
            bytes = self.files.read(&path, offset, left.min(whole.max(PREFIX_BYTES)))?;
            if let Found::Part(whole) = decode(&bytes, self.reader.index) {
                bytes = self.files.read(&path, offset, left.min(whole))?;
            }
        }
        let mut rest = bytes.as_slice();
        loop {
            match decode(rest, self.reader.index) {
                Found::Frame(frame, length) => {
                    self.frame(frame)?;
                    self.reader.at.offset += length as u64;
                    self.reader.index += 1;
                    rest = rest.get(length..).unwrap_or_default();
                    if self.sink.is_full() {
                        return Ok(());
                    }
                }
                Found::Part(_) if rest.len() < bytes.len() => return Ok(()),
                Found::End => return Ok(()),
                // It was good when it was synced or looked at. Nothing behind it can be found.
                Found::Bad | Found::Part(_) => {
                    let at = self.reader.at;
                    tracing::error!(
                        segment,
                        offset = at.offset,
                        "a segment has gone bad: its rest is lost"
                    );
                    self.metrics.lost(end.saturating_sub(at.offset));
                    self.reader.at.offset = end;
                    return Ok(());
                }
            }
        }
    }

    /// Takes what follows from memory, as long as it is there. False: the rest is to be read.
    fn take_recent(&mut self, end: u64) -> io::Result<bool> {
        while self.reader.at.offset < end {
            let recent = self.catalogue.recent.at(self.place, self.reader.at);
            let Some((length, rows)) = recent else { return Ok(false) };
            self.take(&rows)?;
            self.reader.at.offset += length;
            self.reader.index += 1;
            if self.sink.is_full() {
                break;
            }
        }
        Ok(true)
    }

    fn frame(&mut self, frame: Frame<'_>) -> io::Result<()> {
        match frame.body {
            Body::Subject { model, version, schema } => {
                let subject = Subject { model, version, schema: schema.to_vec() };
                self.reader.subjects.insert(frame.subject, subject);
                Ok(())
            }
            // On the way to where it had come: see below.
            Body::Rows { .. } if self.reader.at < self.durable => Ok(()),
            Body::Rows { hour, batch, .. } => {
                let subject = self.reader.subjects.get(&frame.subject);
                let subject = subject.ok_or_else(|| io::Error::other("rows of no version"))?;
                let batch = batch::decode(&subject.schema, batch).map_err(io::Error::other)?;
                let (model, version) = (subject.model.clone(), subject.version);
                self.take(&Rows { model, version, hour, batch })
            }
        }
    }

    fn take(&mut self, rows: &Rows) -> io::Result<()> {
        // On the way to where it had come.
        if self.reader.at < self.durable {
            return Ok(());
        }
        self.rows += rows.batch.num_rows() as u64;
        self.waiting.get_or_insert_with(Instant::now);
        self.sink.write(rows)
    }

    fn flush(&mut self) -> io::Result<()> {
        let left_out = match self.waiting {
            Some(_) => self.sink.flush(self.durable, &self.log)?,
            None => LeftOut::default(),
        };
        if self.reader.at > self.durable {
            let text = cursor_text(self.reader.at);
            self.files.replace(&cursor_path(&self.folder, &*self.sink), text.as_bytes())?;
            self.durable = self.reader.at;
            self.catalogue.advance(self.place, self.durable);
        }
        // Not before: without its cursor it all comes again, and would be counted again.
        self.metrics.delivered(self.rows.saturating_sub(left_out.rows as u64));
        metrics::untold(self.sink.name(), left_out.events);
        (self.waiting, self.rows) = (None, 0);
        Ok(())
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
