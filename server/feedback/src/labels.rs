//! Labels as a table of their own beside the predictions: Parquet files under
//! `model=…/date=…/hour=…/….parquet`, by the hour in which they were recorded.
//!
//! A label is not of a version, and has other columns than any prediction: under the predictions' root it
//! would be in the way of those who read them with a pattern. Files come to their place as those of
//! predictions do: written aside, synced, and named by where they begin.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{
    Array as _, ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use server_base::ModelName;

use crate::files::{Disk, create_folder};
use crate::hive::{LABEL_FOLDERS, hour_folder, model_folder};
use crate::input::Input;
use crate::parquet::properties;
use crate::place::{Folder, Place, UNFINISHED, Whole};
use crate::retention::Keep;

/// The form of the table. Columns may be added under the same number.
const LABELS_FORM: &str = "label_log/v1";

/// What the place of labels is called beside that of predictions: its name and this.
pub const LABELS_SUFFIX: &str = "-labels";

const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// Rows that are read at a time.
const PIECE_ROWS: usize = 8_192;

/// What turned out to be true.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelValue {
    /// Yes or no.
    Bool(bool),
    /// A value, or a class by its number.
    Number(f64),
    /// A class by its name.
    Text(String),
}

/// A label as it lies in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRow {
    /// The same each time it is delivered, and nobody else's.
    pub label_id: String,
    /// Of the request: the log's `request_id`.
    pub inference_id: String,
    /// Its row.
    pub row_index: u32,
    /// What is true.
    pub value: LabelValue,
    /// When that became known, in microseconds since 1970, if somebody has said so.
    pub label_time: Option<i64>,
    /// When a replica took it.
    pub recorded_time: i64,
}

/// Where a model's labels lie, below their root.
pub fn labels_folder(model: &ModelName) -> String {
    model_folder(model.as_str())
}

/// The hour of a time, counted from 1970.
pub fn label_hour(micros: i64) -> u32 {
    u32::try_from(micros.div_euclid(MICROS_AN_HOUR)).unwrap_or(0)
}

/// Writes files and hands them to a place.
pub struct LabelFiles {
    place: Box<dyn Place>,
    /// Where a file is until it is whole.
    aside: PathBuf,
}

impl LabelFiles {
    /// Into that folder, which is made; `log` tells whose unfinished file is whose. The oldest files are
    /// deleted as far as that says.
    pub fn keeping(folder: PathBuf, log: &str, keep: Keep) -> io::Result<LabelFiles> {
        let aside = folder.join(format!(".unfinished-{log}"));
        LabelFiles::to(Box::new(Folder::of(folder, keep, LABEL_FOLDERS)), aside)
    }

    /// To that place. A file is written to the folder `aside` first; what an earlier process left there
    /// is deleted.
    pub fn to(place: Box<dyn Place>, aside: PathBuf) -> io::Result<LabelFiles> {
        match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        create_folder(&Disk, &aside)?;
        Ok(LabelFiles { place, aside })
    }

    /// The place's name.
    pub fn name(&self) -> &'static str {
        self.place.name()
    }

    /// Puts labels there for good, a file for each hour. `name` is that of where they begin.
    pub fn put(&mut self, model: &ModelName, name: &str, rows: &[LabelRow]) -> io::Result<()> {
        for rows in rows.chunk_by(|a, b| label_hour(a.recorded_time) == label_hour(b.recorded_time))
        {
            let Some(first) = rows.first() else { continue };
            let path = self.aside.join(format!("labels{UNFINISHED}"));
            let schema = schema(model);
            let properties = Some(properties().build());
            let writer =
                ArrowWriter::try_new(File::create(&path)?, Arc::clone(&schema), properties);
            let mut writer = writer.map_err(io::Error::other)?;
            writer.write(&batch(schema, rows)?).map_err(io::Error::other)?;
            writer.into_inner().map_err(io::Error::other)?.sync_all()?;
            let hour = hour_folder(label_hour(first.recorded_time));
            let folder = format!("{}/{hour}", labels_folder(model));
            // Time may go back and forth: two stretches of an hour are two files.
            let name = format!("{name}-{:x}", first.recorded_time);
            self.place.put(&Whole { at: &path, folder: &folder, name: &name })?;
            // One that was taken is gone.
            let _ = fs::remove_file(&path);
        }
        self.place.idle();
        Ok(())
    }

    /// Nothing has come for a while.
    pub fn idle(&mut self) {
        self.place.idle();
    }
}

fn schema(model: &ModelName) -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("+00:00")));
    let about = [("salver.form", LABELS_FORM), ("salver.model", model.as_str())];
    let about = HashMap::from(about.map(|(key, it)| (key.to_owned(), it.to_owned())));
    let fields = vec![
        Field::new("label_id", DataType::Utf8, false),
        Field::new("inference_id", DataType::Utf8, false),
        Field::new("row_index", DataType::UInt32, false),
        Field::new("label", DataType::Utf8, false),
        Field::new("label_type", DataType::Utf8, false),
        Field::new("label_number", DataType::Float64, true),
        Field::new("label_time", time(), true),
        Field::new("recorded_time", time(), false),
    ];
    Arc::new(Schema::new_with_metadata(fields, about))
}

/// In the order of the schema.
fn batch(schema: SchemaRef, rows: &[LabelRow]) -> io::Result<RecordBatch> {
    let text = |of: fn(&LabelRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let values = rows.iter().map(|it| match &it.value {
        LabelValue::Bool(it) => (it.to_string(), "boolean", Some(f64::from(u8::from(*it)))),
        LabelValue::Number(it) => (it.to_string(), "number", Some(*it)),
        LabelValue::Text(it) => (it.clone(), "text", None),
    });
    let values: Vec<(String, &str, Option<f64>)> = values.collect();
    let known = rows.iter().map(|it| it.label_time).collect::<TimestampMicrosecondArray>();
    let recorded = rows.iter().map(|it| it.recorded_time);
    let recorded = TimestampMicrosecondArray::from_iter_values(recorded);
    let columns: Vec<ArrayRef> = vec![
        text(|it| &it.label_id),
        text(|it| &it.inference_id),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|it| it.row_index))),
        Arc::new(StringArray::from_iter_values(values.iter().map(|it| &it.0))),
        Arc::new(StringArray::from_iter_values(values.iter().map(|it| it.1))),
        Arc::new(values.iter().map(|it| it.2).collect::<Float64Array>()),
        Arc::new(known.with_timezone("+00:00")),
        Arc::new(recorded.with_timezone("+00:00")),
    ];
    RecordBatch::try_new(schema, columns).map_err(io::Error::other)
}

/// Reads a file of a model's labels, a piece at a time. An error: it is none, or is torn.
pub fn read_labels(
    file: File,
    model: &ModelName,
    mut take: impl FnMut(Vec<LabelRow>),
) -> io::Result<()> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let (input, failed) = Input::new(file)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(input);
    let builder = builder.map_err(|it| failed.instead_of(it))?;
    let of = builder.schema().metadata().get("salver.model");
    if of.is_none_or(|it| it != model.as_str()) {
        return Err(wrong("its labels are of another model than its path"));
    }
    let pieces = builder.with_batch_size(PIECE_ROWS).build();
    for piece in pieces.map_err(|it| failed.instead_of(it))? {
        let rows = rows(&piece.map_err(|it| failed.instead_of(it))?);
        take(rows.ok_or_else(|| wrong("a column of labels is not there"))?);
    }
    Ok(())
}

fn rows(batch: &RecordBatch) -> Option<Vec<LabelRow>> {
    let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
    let times =
        |name: &str| batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>();
    let (ids, of, labels) = (text("label_id")?, text("inference_id")?, text("label")?);
    let (types, recorded, known) =
        (text("label_type")?, times("recorded_time")?, times("label_time")?);
    let places = batch.column_by_name("row_index")?.as_primitive_opt::<UInt32Type>()?;
    let numbers = batch.column_by_name("label_number")?.as_primitive_opt::<Float64Type>()?;
    let row = |row: usize| LabelRow {
        label_id: ids.value(row).to_owned(),
        inference_id: of.value(row).to_owned(),
        row_index: places.value(row),
        value: match types.value(row) {
            "boolean" => LabelValue::Bool(numbers.value(row) != 0.0),
            "number" => LabelValue::Number(numbers.value(row)),
            _ => LabelValue::Text(labels.value(row).to_owned()),
        },
        label_time: known.is_valid(row).then(|| known.value(row)),
        recorded_time: recorded.value(row),
    };
    Some((0..batch.num_rows()).map(row).collect())
}

#[cfg(test)]
#[path = "labels_tests.rs"]
mod tests;
