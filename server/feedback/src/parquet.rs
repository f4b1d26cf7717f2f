//! Rows as Parquet files under Hive paths: `model=…/version=…/date=…/hour=…/….parquet`.
//!
//! A file is written aside, synced and put in its place: whoever looks sees whole files only. Its name is
//! that of the place in the log where it begins, so what is done over after a crash takes, in a folder,
//! the place of what was there. Model and version are in the path and in the file's metadata, not in columns: readers make
//! columns of the path themselves, and two of a name would be in each other's way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::Compression;
use ::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use ::parquet::schema::types::ColumnPath;
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use server_base::{ModelName, Version};

use crate::catalogue::Position;
use crate::files::{Disk, create_folder};
use crate::hive::{hour_folder, version_folder};
use crate::place::{Folder, Place, UNFINISHED, Whole};
use crate::retention::Keep;
use crate::sink::{LeftOut, Rows, Sink};

/// Rows of a group: readers take one at a time, and it is built in memory.
const GROUP_ROWS: usize = 131_072;

/// Rows of all files together after which they are finished.
const ROWS_MAX: usize = 1 << 20;

/// Files that are written at a time: models times versions times hours.
const FILES_MAX: usize = 64;

/// Columns with few different values. All others are written as they are, which is faster.
const REPEATED: &[&str] = &[
    "artifact_digest",
    "route",
    "protocol",
    "status",
    "error",
    "sample_rate",
    "sample_reason",
    "rollout_id",
    "traffic_weight",
];

/// Writes files and hands them to a place.
pub struct ParquetSink {
    place: Box<dyn Place>,
    /// Where files are until they are whole.
    aside: PathBuf,
    open: BTreeMap<Partition, Part>,
    rows: usize,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Partition {
    model: ModelName,
    version: Version,
    hour: u32,
    /// Of the schema: a version that is configured anew has other columns.
    number: usize,
}

/// A file that is being written.
struct Part {
    path: PathBuf,
    writer: ArrowWriter<File>,
    schema: arrow_schema::SchemaRef,
}

impl ParquetSink {
    /// Into that folder, which is made; `log` tells its files from those of others that write there.
    pub fn new(folder: PathBuf, log: &str) -> io::Result<ParquetSink> {
        ParquetSink::keeping(folder, log, Keep::default())
    }

    /// The same, and the oldest files are deleted, as far as that says.
    pub fn keeping(folder: PathBuf, log: &str, keep: Keep) -> io::Result<ParquetSink> {
        let aside = folder.join(format!(".unfinished-{log}"));
        ParquetSink::to(Box::new(Folder::new(folder, keep)), aside)
    }

    /// To that place. Files are written to the folder `aside` first; what an earlier process left there
    /// is deleted.
    pub fn to(place: Box<dyn Place>, aside: PathBuf) -> io::Result<ParquetSink> {
        match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        create_folder(&Disk, &aside)?;
        Ok(ParquetSink { place, aside, open: BTreeMap::new(), rows: 0, bytes: 0 })
    }

    fn part(&mut self, rows: &Rows) -> io::Result<&mut Part> {
        let Rows { model, version, hour, batch } = rows;
        let (model, version, hour, schema) = (model.clone(), *version, *hour, batch.schema());
        let like = |(it, part): (&Partition, &Part)| {
            (it.model == model && it.version == version && it.hour == hour)
                .then_some((it.number, part.schema == schema))
        };
        let found: Vec<(usize, bool)> = self.open.iter().filter_map(like).collect();
        let number = found.iter().find(|(_, same)| *same).map_or(found.len(), |(it, _)| *it);
        let partition = Partition { model, version, hour, number };
        let count = self.open.len();
        match self.open.entry(partition) {
            std::collections::btree_map::Entry::Occupied(it) => Ok(it.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let path = self.aside.join(format!("{count}{UNFINISHED}"));
                let file = File::create(&path)?;
                let properties = properties().build();
                let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties));
                let writer = writer.map_err(io::Error::other)?;
                Ok(place.insert(Part { path, writer, schema }))
            }
        }
    }
}

impl Sink for ParquetSink {
    fn name(&self) -> &'static str {
        self.place.name()
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        let part = self.part(rows)?;
        part.writer.write(&rows.batch).map_err(io::Error::other)?;
        self.rows += rows.batch.num_rows();
        self.bytes += bytes(&rows.batch);
        Ok(())
    }

    fn flush(&mut self, from: Position, of: &str) -> io::Result<LeftOut> {
        let name = format!("{of}-{:016x}-{:010x}", from.segment, from.offset);
        for (partition, part) in std::mem::take(&mut self.open) {
            let file = part.writer.into_inner().map_err(io::Error::other)?;
            file.sync_all()?;
            let name = format!("{name}-{}", partition.number);
            self.place.put(&Whole { at: &part.path, folder: &partition.folder(), name: &name })?;
            // One that was taken is gone.
            let _ = fs::remove_file(&part.path);
        }
        (self.rows, self.bytes) = (0, 0);
        self.place.idle();
        Ok(LeftOut::default())
    }

    fn reset(&mut self) {
        for (_, part) in std::mem::take(&mut self.open) {
            // It is overwritten by the next of its number, at the latest.
            let _ = fs::remove_file(part.path);
        }
        (self.rows, self.bytes) = (0, 0);
    }

    fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX
            || self.bytes >= self.place.bytes_max()
            || self.open.len() >= FILES_MAX
    }

    fn idle(&mut self) {
        self.place.idle();
    }
}

impl Partition {
    fn folder(&self) -> String {
        format!("{}/{}", version_folder(&self.model, self.version), hour_folder(self.hour))
    }
}

pub(crate) fn properties() -> WriterPropertiesBuilder {
    let plain = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_created_by(concat!("salver ", env!("CARGO_PKG_VERSION")).to_owned());
    REPEATED
        .iter()
        .fold(plain, |it, name| it.set_column_dictionary_enabled(ColumnPath::from(*name), true))
}

/// What the rows take. Rows from a segment are slices of one buffer, which every column would count.
fn bytes(batch: &RecordBatch) -> usize {
    let column = |it: &ArrayRef| it.to_data().get_slice_memory_size().unwrap_or_default();
    batch.columns().iter().map(column).sum()
}

#[cfg(test)]
#[path = "parquet_tests.rs"]
pub(crate) mod tests;
