use std::fs;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::Array as _;

use super::*;
use crate::fixture;

/// Writes rows under each name, with the columns of all of them.
fn export(folder: &tempfile::TempDir, all: &[Rows]) {
    for name in ["x.parquet", "x.csv", "x.jsonl"] {
        let mut columns = Columns::default();
        all.iter().for_each(|it| columns.add(&it.batch.schema()).expect("of one type"));
        let path = folder.path().join(name);
        assert_eq!(Export::is_table(&path).expect("a form"), name != "x.jsonl");
        let mut export = Export::create(&path, columns).expect("a file");
        all.iter().for_each(|it| export.write(it).expect(name));
        let rows = all.iter().map(|it| it.batch.num_rows() as u64).sum::<u64>();
        assert_eq!(export.finish().expect(name), rows);
    }
}

fn text(folder: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).expect("text")
}

/// Rows and columns of the table.
fn table(folder: &tempfile::TempDir) -> (RecordBatch, usize) {
    let file = File::open(folder.path().join("x.parquet")).expect("a file");
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("whole");
    let schema = Arc::clone(builder.schema());
    let batches = builder.build().expect("readable").map(|it| it.expect("rows"));
    let batches: Vec<RecordBatch> = batches.collect();
    let columns = schema.fields().len();
    (arrow_select::concat::concat_batches(&schema, &batches).expect("alike"), columns)
}

#[test]
fn rows_are_written_in_the_form_that_the_name_says() {
    let folder = tempfile::tempdir().expect("scratch");
    export(&folder, &[fixture::rows("a=b", 480_000, 2), fixture::rows("a=b", 480_001, 1)]);
    let csv = text(&folder, "x.csv");
    assert_eq!(csv.lines().count(), 4);
    assert!(csv.starts_with("model,version,event_id,"), "{csv}");
    assert!(csv.lines().nth(1).is_some_and(|it| it.starts_with("a=b,3,")), "{csv}");
    let lines = text(&folder, "x.jsonl");
    assert!(lines.lines().all(|it| it.starts_with("{\"model\":\"a=b\",\"version\":3,")), "{lines}");
    assert_eq!(table(&folder).0.num_rows(), 3);
    let unknown = Export::create(&folder.path().join("x.xlsx"), Columns::default());
    let unknown = unknown.err().expect("refused").to_string();
    assert_eq!(unknown, "\"xlsx\" is none of parquet, csv, jsonl");
}

/// Rows of a server that had one column less, and whose inputs always were there.
fn older() -> Rows {
    let rows = fixture::rows("a", 1, 2);
    let keep = |it: &&FieldRef| it.name() != "in.x.1";
    let schema = rows.batch.schema();
    let places: Vec<usize> =
        schema.fields().iter().enumerate().filter(|it| keep(&it.1)).map(|it| it.0).collect();
    let batch = rows.batch.project(&places).expect("columns");
    let all_there: Vec<Field> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, it)| field.as_ref().clone().with_nullable(it.null_count() > 0))
        .collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(all_there)), batch.columns().to_vec());
    Rows { batch: batch.expect("no nulls"), ..rows }
}

#[test]
fn what_older_rows_lack_is_null() {
    for newer_first in [false, true] {
        let mut all = vec![older(), fixture::rows("a", 2, 3)];
        if newer_first {
            all.reverse();
        }
        let folder = tempfile::tempdir().expect("scratch");
        export(&folder, &all);
        let (rows, columns) = table(&folder);
        assert_eq!(
            (rows.num_rows(), columns),
            (5, 2 + all[usize::from(!newer_first)].batch.num_columns())
        );
        let column = |name: &str| rows.column_by_name(name).expect("a column").null_count();
        assert_eq!((column("in.x.1"), column("in.x.0"), column("event_id")), (2, 0, 0));
        let csv = text(&folder, "x.csv");
        let commas: Vec<usize> = csv.lines().map(|it| it.matches(',').count()).collect();
        assert_eq!(commas, [columns - 1; 6]);
    }
}

#[test]
fn a_column_has_one_type_throughout() {
    let mut columns = Columns::default();
    let of = |kind| Schema::new(vec![Field::new("in.x", kind, true)]);
    columns.add(&of(DataType::Float32)).expect("the first");
    let refused = columns.add(&of(DataType::Int64)).expect_err("another type");
    assert!(
        refused.starts_with("column \"in.x\" is Float32 in some rows and Int64 in"),
        "{refused}"
    );
}

#[test]
fn a_table_without_rows_is_a_table() {
    let none = fixture::rows("a", 1, 1);
    let none = Rows { batch: none.batch.slice(0, 0), ..none };
    // Nobody knows which columns, or what is there says so.
    for (all, own) in [(vec![], fixed().len()), (vec![none], fixed().len() + 3)] {
        let folder = tempfile::tempdir().expect("scratch");
        export(&folder, &all);
        let (rows, columns) = table(&folder);
        assert_eq!((rows.num_rows(), columns), (0, 2 + own));
        let csv = text(&folder, "x.csv");
        assert_eq!((csv.lines().count(), csv.matches(',').count()), (1, columns - 1));
        assert_eq!(text(&folder, "x.jsonl"), "");
    }
}
