//! The segment that is being written.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use server_base::{Told, Unlogged};

use crate::batch::Encoder;
use crate::catalogue::Position;
use crate::files::{Append, Files};
use crate::frame::{self, Body, Frame};
use crate::sink::Rows;
use crate::version::Version;

/// Rows of one version and hour.
#[derive(Clone)]
pub(crate) struct Piece {
    pub(crate) version: std::sync::Arc<Version>,
    pub(crate) hour: u32,
    pub(crate) records: u64,
    pub(crate) batch: RecordBatch,
    pub(crate) bytes: usize,
    /// Where it was appended last.
    pub(crate) span: Span,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: Position,
    pub(crate) length: u64,
}

/// What is kept of the memory in which a frame is made, for the next: that of two thousand records of 30 numbers, which
/// are company enough for the writer, takes half of it.
const BUFFER_BYTES_MAX: usize = 2 << 20;

/// Open for more.
pub(crate) struct Segment {
    pub(crate) number: u64,
    file: Box<dyn Append>,
    /// Bytes that were handed to the file.
    pub(crate) size: u64,
    frames: u32,
    /// The frame that is being made; else empty.
    buffer: Vec<u8>,
    /// By the version's id: its number in this segment, and the stream of its batches.
    subjects: HashMap<u64, (u32, Encoder)>,
}

/// Where the segment of that number lies.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.wal"))
}

/// The number of a segment's file.
pub(crate) fn number(path: &Path) -> Option<u64> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".wal")?;
    u64::from_str_radix(stem, 16).ok().filter(|_| stem.len() == 16)
}

impl Piece {
    /// As sinks take them.
    pub(crate) fn into_rows(self) -> Rows {
        let subject = &self.version.form.subject;
        let (model, version) = (subject.model.clone(), subject.version);
        Rows { model, version, hour: self.hour, batch: self.batch }
    }

    /// It is not written, and whoever waits for it is told so.
    pub(crate) fn refused(&self, waiting: Vec<Told>, why: Unlogged) {
        self.version.metrics.dropped_many(why, self.records);
        waiting.into_iter().for_each(|it| it(Err(why)));
    }
}

/// Why rows were not appended.
#[derive(Debug)]
pub(crate) enum Fault {
    /// They cannot be written, to whatever disk. Nothing of them was.
    Rows(ArrowError),
    /// The disk did not take them.
    Disk(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Disk(error)
    }
}

impl From<ArrowError> for Fault {
    fn from(error: ArrowError) -> Fault {
        Fault::Rows(error)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> io::Error {
        match fault {
            Fault::Rows(error) => io::Error::other(error),
            Fault::Disk(error) => error,
        }
    }
}

fn too_long() -> ArrowError {
    ArrowError::InvalidArgumentError("a frame of 2 GiB or more".to_owned())
}

impl Segment {
    /// Its name is on the disk when it returns; its head is with the first sync. One that could not be
    /// made leaves no file.
    pub(crate) fn create(files: &dyn Files, folder: &Path, number: u64) -> io::Result<Segment> {
        let path = path(folder, number);
        let mut file = files.create(&path)?;
        let head = frame::head(number);
        let made = file.append(&head).and_then(|()| files.sync_folder(folder));
        if let Err(error) = made {
            let _ = files.remove(&path);
            return Err(error);
        }
        let size = head.len() as u64;
        let (buffer, subjects) = (Vec::new(), HashMap::new());
        Ok(Segment { number, file, size, frames: 0, buffer, subjects })
    }

    /// After an error of the disk nothing more may be written to it.
    pub(crate) fn append(&mut self, piece: &mut Piece) -> Result<(), Fault> {
        let Version { id, form, .. } = &*piece.version;
        if !self.subjects.contains_key(id) {
            let (encoder, schema) = Encoder::new(piece.batch.schema_ref())?;
            let number = u32::try_from(self.subjects.len()).unwrap_or(u32::MAX);
            let (model, version) = (form.subject.model.clone(), form.subject.version);
            let body = Body::Subject { model, version, schema: &schema };
            let frame = Frame { index: self.frames, subject: number, body };
            self.buffer.clear();
            frame.encode(&mut self.buffer).ok_or_else(too_long)?;
            self.write()?;
            self.subjects.insert(*id, (number, encoder));
        }
        let Some((number, encoder)) = self.subjects.get_mut(id) else { return Ok(()) };
        let rows = u32::try_from(piece.batch.num_rows()).unwrap_or(u32::MAX);
        self.buffer.clear();
        frame::begin_rows(&mut self.buffer, (self.frames, *number), (piece.hour, rows));
        encoder.encode(&piece.batch, &mut self.buffer)?;
        frame::seal(&mut self.buffer).ok_or_else(too_long)?;
        let at = Position { segment: self.number, offset: self.size };
        piece.span = Span { at, length: self.buffer.len() as u64 };
        self.write()
    }

    /// Appends the frame in the buffer.
    fn write(&mut self) -> Result<(), Fault> {
        self.size += self.buffer.len() as u64;
        self.frames += 1;
        let written = self.file.append(&self.buffer);
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_MAX);
        Ok(written?)
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}
