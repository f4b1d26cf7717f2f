//! Rows that lie in Parquet files already: found, read again, and written elsewhere.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use server_base::{ModelName, Version};

use crate::catalogue::Position;
use crate::hive::{model_folder, walk};
use crate::jsonlines::JsonLines;
use crate::parquet::properties;
use crate::past::times;
use crate::schema::fixed;
use crate::sink::{Rows, Sink as _};

const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// Which rows.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of that model.
    pub model: Option<String>,
    /// Of that version.
    pub version: Option<u64>,
    /// Of requests that came in then, in microseconds since 1970.
    pub time: Option<Range<i64>>,
}

/// The files in which there may be some, in the order of time.
pub fn files(folder: &Path, wanted: &Wanted) -> io::Result<Vec<PathBuf>> {
    let Wanted { model, version, .. } = wanted;
    let (model, version) =
        (model.as_deref().map(model_folder), version.map(|it| format!("version={it}")));
    let is_wanted = |depth: usize, name: &str| match depth {
        0 => model.as_ref().is_none_or(|it| name == it),
        1 => version.as_ref().is_none_or(|it| name == it),
        _ => true,
    };
    let found = walk(folder, &is_wanted)?;
    let mut found: Vec<PathBuf> = found.iter().map(fs::DirEntry::path).collect();
    // Below model and version the names of folders and files are in the order of time.
    let key = |it: &PathBuf| {
        let parts: Vec<String> =
            it.iter().rev().take(3).map(|it| it.to_string_lossy().into_owned()).collect();
        parts.into_iter().rev().collect::<Vec<_>>()
    };
    found.sort_by_cached_key(key);
    Ok(found)
}

/// The rows of a file, in as few pieces as there are gaps in what is wanted of them.
pub fn read(path: &Path, wanted: &Wanted) -> io::Result<Vec<Rows>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?);
    let builder = builder.map_err(io::Error::other)?;
    let about = builder.schema().metadata();
    let said =
        |key: &str| about.get(key).ok_or_else(|| io::Error::other(format!("no {key} in it")));
    let model = ModelName::new(said("salver.model")?).map_err(io::Error::other)?;
    let version = Version(said("salver.version")?.parse().map_err(io::Error::other)?);
    // A file is what one flush held in memory too: it is read at once, so that no request is torn.
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let reader = builder.with_batch_size(rows.max(1)).build().map_err(io::Error::other)?;
    let mut found = Vec::new();
    for batch in reader {
        let batch = batch.map_err(io::Error::other)?;
        let times = times(&batch);
        let is_wanted = |it: &i64| wanted.time.as_ref().is_none_or(|range| range.contains(it));
        let mut begin = 0;
        for run in times.chunk_by(|a, b| is_wanted(a) == is_wanted(b)) {
            if run.first().is_some_and(is_wanted) {
                let hour = run.first().map_or(0, |it| it.div_euclid(MICROS_AN_HOUR));
                let hour = u32::try_from(hour).unwrap_or(0);
                let batch = batch.slice(begin, run.len());
                found.push(Rows { model: model.clone(), version, hour, batch });
            }
            begin += run.len();
        }
    }
    Ok(found)
}

/// A file that rows are written to, in the form that its name ends in.
pub struct Export {
    to: Form,
    rows: u64,
}

enum Form {
    Parquet(Option<Box<ArrowWriter<File>>>, Option<File>, Option<SchemaRef>),
    Csv(BufWriter<File>, Option<SchemaRef>),
    Lines(JsonLines<BufWriter<File>>),
}

impl Export {
    /// A new file: `.parquet`, `.csv` or `.jsonl`.
    pub fn create(path: &Path) -> io::Result<Export> {
        let kind = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let known = ["parquet", "csv", "jsonl"];
        if !known.contains(&kind) {
            let words = format!("{kind:?} is none of {}", known.join(", "));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        let file = File::create(path)?;
        let to = match kind {
            "parquet" => Form::Parquet(None, Some(file), None),
            "csv" => Form::Csv(BufWriter::new(file), None),
            _ => Form::Lines(JsonLines::new(BufWriter::new(file))),
        };
        Ok(Export { to, rows: 0 })
    }

    /// Adds rows. All rows of a table have the same columns; lines may have any.
    pub fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.rows += rows.batch.num_rows() as u64;
        match &mut self.to {
            Form::Lines(lines) => {
                lines.write(rows)?;
                lines.flush(Position::default(), "")
            }
            Form::Parquet(..) | Form::Csv(..) => {
                let (model, version) = (rows.model.as_str(), rows.version);
                self.table(&rows.batch, (model, version))
            }
        }
    }

    fn table(&mut self, batch: &RecordBatch, whose: (&str, Version)) -> io::Result<()> {
        let named = named(batch, whose).map_err(io::Error::other)?;
        match &mut self.to {
            Form::Lines(_) => Ok(()),
            Form::Parquet(writer, file, first) => {
                same(first, &named, whose)?;
                if let Some(file) = file.take() {
                    let properties = Some(properties().build());
                    let made = ArrowWriter::try_new(file, named.schema(), properties);
                    *writer = Some(Box::new(made.map_err(io::Error::other)?));
                }
                // Its metadata may say more than that of the first.
                let batch = first
                    .as_ref()
                    .map(|it| RecordBatch::try_new(Arc::clone(it), named.columns().to_vec()));
                let batch = batch.transpose().map_err(io::Error::other)?;
                let (Some(writer), Some(batch)) = (writer, batch) else { return Ok(()) };
                writer.write(&batch).map_err(io::Error::other)
            }
            Form::Csv(out, first) => {
                let is_first = first.is_none();
                same(first, &named, whose)?;
                csv(out, &named, is_first)
            }
        }
    }

    /// The file is whole; how many rows it has. A table that nothing was written to has the columns that
    /// every log has.
    pub fn finish(mut self) -> io::Result<u64> {
        let is_bare = match &self.to {
            Form::Parquet(_, _, first) | Form::Csv(_, first) => first.is_none(),
            Form::Lines(_) => false,
        };
        if is_bare {
            let batch = RecordBatch::new_empty(Arc::new(Schema::new(fixed())));
            self.table(&batch, ("", Version(0)))?;
        }
        match self.to {
            Form::Lines(_) => {}
            Form::Csv(mut out, _) => out.flush()?,
            Form::Parquet(writer, _, _) => {
                if let Some(writer) = writer {
                    writer.close().map(drop).map_err(io::Error::other)?;
                }
            }
        }
        Ok(self.rows)
    }
}

/// With model and version as columns: no path says them any more.
fn named(
    batch: &RecordBatch,
    (model, version): (&str, Version),
) -> Result<RecordBatch, ArrowError> {
    let count = batch.num_rows();
    let model = StringArray::from_iter_values(std::iter::repeat_n(model, count));
    let version = UInt64Array::from_iter_values(std::iter::repeat_n(version.0, count));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(model), Arc::new(version)];
    columns.extend(batch.columns().iter().cloned());
    let schema = batch.schema();
    let mut fields = vec![
        Arc::new(Field::new("model", DataType::Utf8, false)),
        Arc::new(Field::new("version", DataType::UInt64, false)),
    ];
    fields.extend(schema.fields().iter().cloned());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The first rows say which columns there are.
fn same(
    first: &mut Option<SchemaRef>,
    batch: &RecordBatch,
    (model, version): (&str, Version),
) -> io::Result<()> {
    let Some(known) = first else {
        *first = Some(batch.schema());
        return Ok(());
    };
    let alike =
        |(a, b): (&Arc<Field>, &Arc<Field>)| a.name() == b.name() && a.data_type() == b.data_type();
    let (known, schema) = (known.fields(), batch.schema());
    if known.len() == schema.fields().len() && known.iter().zip(schema.fields()).all(alike) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{model} version {version} has other columns than the rows before it: choose a model and a \
         version, or lines (.jsonl)"
    )))
}

fn csv(out: &mut BufWriter<File>, batch: &RecordBatch, is_first: bool) -> io::Result<()> {
    let line = |cells: Vec<String>| {
        let quoted = |it: String| match it.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", it.replace('"', "\"\"")),
            false => it,
        };
        cells.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
    };
    if is_first {
        let names = batch.schema().fields().iter().map(|it| it.name().clone()).collect();
        out.write_all(line(names).as_bytes())?;
    }
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|it| ArrayFormatter::try_new(it.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    for row in 0..batch.num_rows() {
        let cells = columns.iter().map(|it| it.value(row).to_string()).collect();
        out.write_all(line(cells).as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
