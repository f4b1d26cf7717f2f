//! Rows of the log, written to a file of another form.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use server_base::Version;

use crate::catalogue::Position;
use crate::jsonlines::JsonLines;
use crate::parquet::properties;
use crate::schema::fixed;
use crate::sink::{Rows, Sink as _};

/// The columns of a table: all that any of its files has. Newer servers log more of them.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    fields: Vec<FieldRef>,
    files: usize,
}

impl Columns {
    /// Those of a file too. What some files lack is null in their rows. An error: a column is of two types.
    pub fn add(&mut self, schema: &Schema) -> Result<(), String> {
        for field in schema.fields() {
            let Some(known) = self.fields.iter_mut().find(|it| it.name() == field.name()) else {
                let is_new = self.files > 0;
                let nullable = field.is_nullable() || is_new;
                self.fields.push(Arc::new(field.as_ref().clone().with_nullable(nullable)));
                continue;
            };
            if known.data_type() != field.data_type() {
                let (name, one, other) = (field.name(), known.data_type(), field.data_type());
                return Err(format!(
                    "column {name:?} is {one} in some rows and {other} in others: choose a model and \
                     a version, or lines (.jsonl)"
                ));
            }
            if field.is_nullable() {
                make_nullable(known);
            }
        }
        let lacks = |it: &FieldRef| schema.column_with_name(it.name()).is_none();
        self.fields.iter_mut().filter(|it| lacks(it)).for_each(make_nullable);
        self.files += 1;
        Ok(())
    }

    /// No file has been added.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// With model and version in front: no path says them any more. Without a file those that every log has.
    fn schema(self) -> SchemaRef {
        let model = Field::new("model", DataType::Utf8, false);
        let version = Field::new("version", DataType::UInt64, false);
        let own =
            if self.is_empty() { fixed().into_iter().map(Arc::new).collect() } else { self.fields };
        let own = own.into_iter().filter(|it| !["model", "version"].contains(&it.name().as_str()));
        let fields = [model, version].into_iter().map(Arc::new).chain(own);
        Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>()))
    }
}

fn make_nullable(field: &mut FieldRef) {
    if !field.is_nullable() {
        *field = Arc::new(field.as_ref().clone().with_nullable(true));
    }
}

/// A file that rows are written to, in the form that its name ends in.
pub struct Export {
    to: Form,
    schema: SchemaRef,
    rows: u64,
}

enum Form {
    Parquet(Box<ArrowWriter<File>>),
    Csv(BufWriter<File>),
    Lines(JsonLines<BufWriter<File>>),
}

/// The endings of names.
const FORMS: [&str; 3] = ["parquet", "csv", "jsonl"];

fn form(path: &Path) -> io::Result<&'static str> {
    let kind = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    FORMS.into_iter().find(|it| *it == kind).ok_or_else(|| {
        let words = format!("{kind:?} is none of {}", FORMS.join(", "));
        io::Error::new(io::ErrorKind::InvalidInput, words)
    })
}

impl Export {
    /// Has every row of it the same columns, which have to be known before the first? So it is with
    /// `.parquet` and `.csv`, and not with `.jsonl`; others are refused.
    pub fn is_table(path: &Path) -> io::Result<bool> {
        form(path).map(|it| it != "jsonl")
    }

    /// A new file: `.parquet`, `.csv` or `.jsonl`. Lines have the columns that their rows have.
    pub fn create(path: &Path, columns: Columns) -> io::Result<Export> {
        let kind = form(path)?;
        let (file, schema) = (File::create(path)?, columns.schema());
        let to = match kind {
            "parquet" => {
                let properties = Some(properties().build());
                let writer = ArrowWriter::try_new(file, Arc::clone(&schema), properties);
                Form::Parquet(Box::new(writer.map_err(io::Error::other)?))
            }
            "csv" => {
                let mut out = BufWriter::new(file);
                let names = schema.fields().iter().map(|it| it.name().clone()).collect();
                out.write_all(line(names).as_bytes())?;
                Form::Csv(out)
            }
            _ => Form::Lines(JsonLines::new(BufWriter::new(file))),
        };
        Ok(Export { to, schema, rows: 0 })
    }

    /// Adds rows.
    pub fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.rows += rows.batch.num_rows() as u64;
        match &mut self.to {
            Form::Lines(lines) => {
                lines.write(rows)?;
                lines.flush(Position::default(), "").map(drop)
            }
            Form::Parquet(writer) => {
                let batch = conformed(rows, &self.schema).map_err(io::Error::other)?;
                writer.write(&batch).map_err(io::Error::other)
            }
            Form::Csv(out) => {
                let batch = conformed(rows, &self.schema).map_err(io::Error::other)?;
                csv(out, &batch)
            }
        }
    }

    /// The file is whole; how many rows it has.
    pub fn finish(self) -> io::Result<u64> {
        match self.to {
            Form::Lines(_) => {}
            Form::Csv(mut out) => out.flush()?,
            Form::Parquet(writer) => writer.close().map(drop).map_err(io::Error::other)?,
        }
        Ok(self.rows)
    }
}

/// With the table's columns: model and version of these rows, and null where they lack one.
fn conformed(rows: &Rows, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let (batch, count) = (&rows.batch, rows.batch.num_rows());
    let column = |field: &FieldRef| -> ArrayRef {
        match (field.name().as_str(), batch.column_by_name(field.name())) {
            ("model", _) => {
                let names = std::iter::repeat_n(rows.model.as_str(), count);
                Arc::new(StringArray::from_iter_values(names))
            }
            ("version", _) => {
                let Version(number) = rows.version;
                Arc::new(UInt64Array::from_iter_values(std::iter::repeat_n(number, count)))
            }
            (_, Some(column)) => Arc::clone(column),
            (_, None) => new_null_array(field.data_type(), count),
        }
    };
    let columns = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn line(cells: Vec<String>) -> String {
    let quoted = |it: String| match it.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", it.replace('"', "\"\"")),
        false => it,
    };
    cells.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

fn csv(out: &mut BufWriter<File>, batch: &RecordBatch) -> io::Result<()> {
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
#[path = "export_tests.rs"]
mod tests;
