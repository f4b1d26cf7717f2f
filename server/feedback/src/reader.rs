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

/// See the module. Errors of the kind `InvalidData` are about what is in the file and will come again; others
/// are of the disk or the volume.
pub struct LogFile {
    builder: ParquetRecordBatchReaderBuilder<Input>,
    failed: Failed,
}

impl LogFile {
    /// Reads its end, which says what is in it.
    pub fn open(file: File) -> io::Result<LogFile> {
        let (input, failed) = Input::new(file)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(input);
        let builder = builder.map_err(|it| failed.instead_of(it))?;
        Ok(LogFile { builder, failed })
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
        let builder = self.builder.with_projection(mask).with_batch_size(PIECE_ROWS);
        let failed = self.failed;
        let reader = builder.build().map_err(|it| failed.instead_of(it))?;
        Ok(reader.map(move |it| it.map_err(|it| failed.instead_of(it))))
    }
}
