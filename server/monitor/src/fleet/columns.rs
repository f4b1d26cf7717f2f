//! The columns of a version that are looked at: its files may differ, what goes to its monitor does not.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};

use crate::cells::Type;
use crate::columns::is_value;

/// What says of a row which it is, when it came and whether it counts.
const FIXED: [&str; 5] = ["event_id", "row_index", "event_time", "status", "sample_reason"];

/// Of a file's columns those that are looked at: the named ones, or all that have statistics.
pub(crate) fn wanted(schema: &Schema, named: Option<&[String]>) -> SchemaRef {
    let is_wanted = |it: &&Arc<Field>| {
        let name = it.name();
        let known = || named.is_none_or(|list| list.contains(name));
        let value = || is_value(name) && known() && Type::of(it.data_type()).is_some();
        FIXED.contains(&name.as_str()) || value()
    };
    let fields = schema.fields().iter().filter(is_wanted);
    let plain = |it: &Arc<Field>| {
        // A file that lacks a column has nothing in it.
        let is_null = it.is_nullable() || is_value(it.name());
        Field::new(it.name(), it.data_type().clone(), is_null)
    };
    Arc::new(Schema::new(fields.map(plain).collect::<Vec<_>>()))
}

/// A batch with those columns; one that it lacks, or has of another type, is empty.
pub(crate) fn conformed(
    wanted: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let column = |it: &Arc<Field>| -> ArrayRef {
        let found = batch.column_by_name(it.name());
        let found = found.filter(|at| at.data_type() == it.data_type());
        found.map_or_else(|| new_null_array(it.data_type(), rows), Arc::clone)
    };
    let columns = wanted.fields().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array as _, Float32Array, StringArray};
    use arrow_schema::DataType;

    use super::*;
    use crate::fixture;

    #[test]
    fn files_that_differ_come_out_alike() {
        let schema = wanted(&fixture::schema(), Some(&["in.x".to_owned(), "in.kind".to_owned()]));
        let names: Vec<&str> = schema.fields().iter().map(|it| it.name().as_str()).collect();
        assert_eq!(
            names,
            ["event_id", "row_index", "event_time", "status", "sample_reason", "in.x", "in.kind"]
        );
        let all = wanted(&fixture::schema(), None);
        assert_eq!(all.fields().len(), 8);
        // `in.kind` has become a number, `in.x` is not logged any more.
        let rows = fixture::Rows::new(1).draw(3, fixture::Weather::default());
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            match field.name().as_str() {
                "in.x" => {}
                "in.kind" => {
                    columns
                        .push(("in.kind".to_owned(), Arc::new(Float32Array::from(vec![1.0; 3]))));
                }
                name => columns.push((name.to_owned(), Arc::clone(column))),
            }
        }
        let other = RecordBatch::try_from_iter(columns).expect("a batch");
        let same = conformed(&schema, &other).expect("conforms");
        let nulls = |name: &str| same.column_by_name(name).map(|it| it.null_count());
        assert_eq!(
            (nulls("in.x"), nulls("in.kind"), nulls("event_id")),
            (Some(3), Some(3), Some(0))
        );
        assert_eq!(same.column(6).data_type(), &DataType::Utf8);
        let lacking = RecordBatch::try_from_iter([(
            "event_id",
            Arc::new(StringArray::from(vec!["a"])) as ArrayRef,
        )]);
        conformed(&schema, &lacking.expect("a batch")).expect_err("a row must say when it came");
    }
}
