//! Which texts of a row are not what they were: cut, or with U+FFFD for what was no UTF-8.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field};
use backend_api::strings;

use crate::list::Entry;
use crate::redact::digest;
use crate::schema::{Columns, TRUNCATED, fixed, mark};
use crate::values::tensor;

/// The column of these records: for each row a list of such columns with the digests of what they were; null
/// where all is as it came.
pub(crate) fn of(
    columns: &Columns,
    entries: &[Entry<'_>],
    bytes_max: usize,
) -> Result<ArrayRef, ArrowError> {
    let mut marks: Vec<(usize, usize, String)> = Vec::new();
    let mut first = fixed().len();
    for (number, logged) in columns.inputs.iter().chain(&columns.outputs).enumerate() {
        let width = logged.width();
        let mut row = 0;
        for entry in entries.iter().filter(|_| logged.is_text()) {
            let tensor = tensor(logged, entry, number);
            let elements = tensor.map(|it| strings::iter(it.data)).into_iter().flatten();
            // So many as there are columns for.
            for (at, it) in elements.take(entry.rows() * width).enumerate() {
                if it.len() > bytes_max || std::str::from_utf8(it).is_err() {
                    marks.push((row + at / width, first + at % width, digest(it)));
                }
            }
            row += entry.rows();
        }
        first += width;
    }
    // Tensor by tensor is how they were found.
    marks.sort_by_key(|it| (it.0, it.1));
    listed(columns, entries.iter().map(|it| it.rows()).sum(), &marks)
}

fn listed(
    columns: &Columns,
    rows: usize,
    marks: &[(usize, usize, String)],
) -> Result<ArrayRef, ArrowError> {
    let texts = StructBuilder::new(
        mark(),
        vec![Box::new(StringBuilder::new()), Box::new(StringBuilder::new())],
    );
    let item = Field::new("item", DataType::Struct(mark()), false);
    let mut lists = ListBuilder::new(texts).with_field(item);
    let wrong = || ArrowError::SchemaError("marks are two texts".to_owned());
    let mut left = marks;
    for row in 0..rows {
        let (ours, others) = left.split_at(left.partition_point(|it| it.0 <= row));
        left = others;
        for (_, column, sha256) in ours {
            let both = lists.values();
            let name = columns.schema.field(*column).name();
            both.field_builder::<StringBuilder>(0).ok_or_else(wrong)?.append_value(name);
            both.field_builder::<StringBuilder>(1).ok_or_else(wrong)?.append_value(sha256);
            both.append(true);
        }
        lists.append(!ours.is_empty());
    }
    Ok(Arc::new(lists.finish()))
}

/// Is a column's text in that row what it was? None: an older server wrote the row, which did not say.
pub(crate) fn is_whole(batch: &RecordBatch, (column, row): (&str, usize)) -> Option<bool> {
    let lists = batch.column_by_name(TRUNCATED)?.as_list_opt::<i32>()?;
    if arrow_array::Array::is_null(lists, row) {
        return Some(true);
    }
    let marks = lists.value(row);
    let names = marks.as_struct_opt()?.column_by_name("column")?.as_string_opt::<i32>()?;
    Some(!names.iter().flatten().any(|it| it == column))
}
