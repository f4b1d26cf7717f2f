//! A Parquet file of the log, read a piece at a time, and of its columns those that are wanted.

use std::fs::File;
use std::io;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use server_base::{ModelName, Version};

use crate::input::{Failed, Input};

/// Rows that are in memory at a time.
const PIECE_ROWS: usize = 8_192;

/// And about so many bytes of them, by what they take in the file before it is compressed.
const PIECE_BYTES: u64 = 16 << 20;

/// See the module. Errors of the kind `InvalidData` are about what is in the file and will come again; others
/// are of the disk or the volume.
pub struct LogFile {
    builder: ParquetRecordBatchReaderBuilder<Input>,
    failed: Failed,
    piece_rows: usize,
}

impl LogFile {
    /// Reads its end, which says what is in it.
    pub fn open(file: File) -> io::Result<LogFile> {
        let (input, failed) = Input::new(file)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(input);
        let builder = builder.map_err(|it| failed.instead_of(it))?;
        let about = builder.metadata();
        let bytes =
            about.row_groups().iter().map(|it| it.total_byte_size().unsigned_abs()).sum::<u64>();
        let rows = about.file_metadata().num_rows().unsigned_abs();
        let piece_rows = (PIECE_BYTES * rows.max(1) / bytes.max(1)).clamp(1, PIECE_ROWS as u64);
        let piece_rows = usize::try_from(piece_rows).unwrap_or(PIECE_ROWS);
        Ok(LogFile { builder, failed, piece_rows })
    }

    /// So many rows are read at a time.
    #[cfg(test)]
    pub(crate) fn of_rows(self, piece_rows: usize) -> LogFile {
        LogFile { piece_rows, ..self }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        usize::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Of its rows only so many, the last.
    pub fn last(self, rows: usize) -> LogFile {
        let left_out = self.rows().saturating_sub(rows);
        LogFile { builder: self.builder.with_offset(left_out), ..self }
    }

    /// Whose rows they are.
    pub fn whose(&self) -> io::Result<(ModelName, Version)> {
        let wrong = |words: String| io::Error::new(io::ErrorKind::InvalidData, words);
        let about = self.schema().metadata();
        let said = |key: &str| about.get(key).ok_or_else(|| wrong(format!("no {key} in it")));
        let model = ModelName::new(said("salver.model")?).map_err(|it| wrong(it.to_string()))?;
        let version = said("salver.version")?;
        let number = version.parse().map_err(|_| wrong(format!("{version:?} is no version")))?;
        Ok((model, Version(number)))
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        self.builder.schema()
    }

    /// Are its rows of that version?
    pub fn is_of(&self, model: &ModelName, version: Version) -> bool {
        let about = self.schema().metadata();
        about.get("salver.model").is_some_and(|it| *it == model.as_str())
            && about.get("salver.version").is_some_and(|it| *it == version.to_string())
    }

    /// Its rows, with the columns that `wants`, in the order of the file.
    pub fn pieces(
        self,
        wants: impl Fn(&str) -> bool,
    ) -> io::Result<impl Iterator<Item = io::Result<RecordBatch>>> {
        let fields = self.schema().fields().iter().enumerate();
        let wanted: Vec<usize> = fields.filter(|it| wants(it.1.name())).map(|it| it.0).collect();
        let mask = ProjectionMask::roots(self.builder.parquet_schema(), wanted);
        let builder = self.builder.with_projection(mask).with_batch_size(self.piece_rows);
        let failed = self.failed;
        let reader = builder.build().map_err(|it| failed.instead_of(it))?;
        Ok(reader.map(move |it| it.map_err(|it| failed.instead_of(it))))
    }
}
