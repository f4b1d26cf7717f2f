//! The segment that is being written.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use crate::batch::Encoder;
use crate::files::{Append, Files};
use crate::frame::{self, Body, Frame};
use crate::version::Version;

/// Rows of one version and hour.
#[derive(Clone)]
pub(crate) struct Piece {
    pub(crate) version: std::sync::Arc<Version>,
    pub(crate) hour: u32,
    pub(crate) records: u64,
    pub(crate) batch: RecordBatch,
    pub(crate) bytes: usize,
}

/// Open for more.
pub(crate) struct Segment {
    pub(crate) number: u64,
    file: Box<dyn Append>,
    /// Bytes that were handed to the file.
    pub(crate) size: u64,
    frames: u32,
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

impl Segment {
    /// Its name is on the disk when it returns; its head is with the first sync.
    pub(crate) fn create(files: &dyn Files, folder: &Path, number: u64) -> io::Result<Segment> {
        let mut file = files.create(&path(folder, number))?;
        let head = frame::head(number);
        file.append(&head)?;
        files.sync_folder(folder)?;
        let size = head.len() as u64;
        Ok(Segment { number, file, size, frames: 0, subjects: HashMap::new() })
    }

    /// After an error nothing more may be written to it.
    pub(crate) fn append(&mut self, piece: &Piece) -> io::Result<()> {
        let Version { id, form, .. } = &*piece.version;
        if !self.subjects.contains_key(id) {
            let (encoder, schema) = Encoder::new(piece.batch.schema_ref()).map_err(fault)?;
            let number = u32::try_from(self.subjects.len()).unwrap_or(u32::MAX);
            let (model, version) = (form.subject.model.clone(), form.subject.version);
            self.write(number, Body::Subject { model, version, schema: &schema })?;
            self.subjects.insert(*id, (number, encoder));
        }
        let Some((number, encoder)) = self.subjects.get_mut(id) else { return Ok(()) };
        let (number, batch) = (*number, encoder.encode(&piece.batch).map_err(fault)?);
        let rows = u32::try_from(piece.batch.num_rows()).unwrap_or(u32::MAX);
        self.write(number, Body::Rows { hour: piece.hour, rows, batch: &batch })
    }

    fn write(&mut self, subject: u32, body: Body<'_>) -> io::Result<()> {
        let frame = Frame { index: self.frames, subject, body };
        let bytes = frame.encode().ok_or(io::ErrorKind::FileTooLarge)?;
        self.size += bytes.len() as u64;
        self.frames += 1;
        self.file.append(&bytes)
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

fn fault(error: ArrowError) -> io::Error {
    io::Error::other(error)
}
