//! The columns of a version that are looked at: its files may differ, what goes to its monitor does not.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};

use crate::cells::Type;
use crate::columns::is_value;
use crate::embeddings;

/// What says of a row which it is, when it came and whether it counts.
const FIXED: [&str; 6] =
    ["event_id", "row_index", "event_time", "status", "sample_reason", "route"];

/// Of a file's columns those that are looked at: of the named ones, or all that have statistics. `embeddings` are
/// tensors that are looked at as vectors, whatever else is.
pub(crate) fn wanted(
    schema: &Schema,
    named: Option<&[String]>,
    embeddings: &[String],
) -> SchemaRef {
    let is_wanted = |it: &&Arc<Field>| {
        let tensor = tensor(it);
        let is_vector =
            tensor.split_once('.').is_some_and(|(_, it)| embeddings.iter().any(|at| at == it));
        let is_named = |list: &[String]| list.iter().any(|at| at == it.name() || *at == tensor);
        let plain = Type::of(it.data_type()).is_some();
        let watched = named.map_or(plain, is_named);
        FIXED.contains(&it.name().as_str()) || (is_value(it.name()) && (is_vector || watched))
    };
    let fields = schema.fields().iter().filter(is_wanted);
    let kept = |it: &Arc<Field>| {
        // A file that lacks a column has nothing in it.
        let is_null = it.is_nullable() || is_value(it.name());
        it.as_ref().clone().with_nullable(is_null)
    };
    Arc::new(Schema::new(fields.map(kept).collect::<Vec<_>>()))
}

/// Whose element a column is, or which tensor it is: `in.NAME` or `out.NAME`.
fn tensor(field: &Field) -> String {
    let side = field.name().split_once('.').map_or("", |it| it.0);
    let name = field.metadata().get(embeddings::TENSOR);
    name.map_or_else(|| field.name().clone(), |it| format!("{side}.{it}"))
}

/// Of the columns that are looked at those that a message has.
pub(crate) fn shared(had: &Schema, wanted: &Schema) -> SchemaRef {
    let has = |it: &&Arc<Field>| {
        had.field_with_name(it.name()).is_ok_and(|at| at.data_type() == it.data_type())
    };
    Arc::new(Schema::new(wanted.fields().iter().filter(has).cloned().collect::<Vec<_>>()))
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
    use std::collections::HashMap;

    use arrow_array::{Array as _, Float32Array, StringArray};
    use arrow_schema::DataType;

    use super::*;
    use crate::fixture;

    /// A column of the log: one number of a tensor, or all of it.
    fn column(name: &str, tensor: &str, kind: DataType) -> Field {
        let about = [(embeddings::TENSOR.to_owned(), tensor.to_owned())];
        Field::new(name, kind, false).with_metadata(HashMap::from(about))
    }

    #[test]
    fn vectors_come_with_the_columns_of_their_tensor() {
        let data = Field::new("data", DataType::Binary, false);
        let whole = DataType::Struct(vec![data].into());
        let schema = Schema::new(vec![
            column("in.e.0", "e", DataType::Float32),
            column("in.e.1", "e", DataType::Float32),
            column("in.x.0", "x", DataType::Float32),
            column("out.pooled", "pooled", whole.clone()),
            column("out.other", "other", whole),
        ]);
        let check = |named: Option<&[&str]>, embeddings: &[&str], expect: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
            let named = named.map(owned);
            let got = wanted(&schema, named.as_deref(), &owned(embeddings));
            let names: Vec<&str> = got.fields().iter().map(|it| it.name().as_str()).collect();
            assert_eq!(names, expect, "{named:?} {embeddings:?}");
            assert!(got.fields().iter().all(|it| it.metadata().contains_key(embeddings::TENSOR)));
        };
        check(Some(&["in.e"]), &[], &["in.e.0", "in.e.1"]);
        check(Some(&["in.x.0", "out.pooled"]), &[], &["in.x.0", "out.pooled"]);
        check(None, &[], &["in.e.0", "in.e.1", "in.x.0"]);
        check(None, &["pooled"], &["in.e.0", "in.e.1", "in.x.0", "out.pooled"]);
    }

    #[test]
    fn files_that_differ_come_out_alike() {
        let schema =
            wanted(&fixture::schema(), Some(&["in.x".to_owned(), "in.kind".to_owned()]), &[]);
        let names: Vec<&str> = schema.fields().iter().map(|it| it.name().as_str()).collect();
        assert_eq!(
            names,
            [
                "event_id",
                "row_index",
                "event_time",
                "status",
                "sample_reason",
                "route",
                "in.x",
                "in.kind"
            ]
        );
        let all = wanted(&fixture::schema(), None, &[]);
        assert_eq!(all.fields().len(), 9);
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
        assert_eq!(same.column(7).data_type(), &DataType::Utf8);
        let lacking = RecordBatch::try_from_iter([(
            "event_id",
            Arc::new(StringArray::from(vec!["a"])) as ArrayRef,
        )]);
        conformed(&schema, &lacking.expect("a batch")).expect_err("a row must say when it came");
    }
}
