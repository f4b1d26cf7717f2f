use super::*;
use crate::fixture;
use crate::parquet::ParquetSink;

/// Three hours of one model and one of another.
fn log() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = ParquetSink::new(folder.path().to_path_buf(), "log").expect("a folder");
    for (model, hour) in [("a=b", 480_002), ("a=b", 480_000), ("c", 480_001), ("a=b", 480_001)] {
        sink.write(&fixture::rows(model, hour, 2)).expect("takes rows");
    }
    sink.flush(Position::default(), "log").expect("flushes");
    folder
}

fn micros(hour: i64) -> i64 {
    hour * MICROS_AN_HOUR
}

/// Model and hour of each piece that is found.
fn found(folder: &Path, wanted: &Wanted) -> Vec<(String, u32)> {
    let files = files(folder, wanted).expect("a folder");
    let rows = files.iter().flat_map(|it| read(it, wanted).expect("rows"));
    rows.map(|it| (it.model.to_string(), it.hour)).collect()
}

#[test]
fn rows_are_found_by_model_version_and_time() {
    let folder = log();
    let all = Wanted::default();
    let of = |model: &str| Wanted { model: Some(model.to_owned()), ..all.clone() };
    let pairs =
        |it: &[(&str, u32)]| it.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect::<Vec<_>>();
    let one = [("a=b", 480_000), ("a=b", 480_001), ("a=b", 480_002)];
    assert_eq!(found(folder.path(), &of("a=b")), pairs(&one));
    assert_eq!(found(folder.path(), &all).len(), 4);
    assert_eq!(found(folder.path(), &all)[0].1, 480_000, "in the order of time");
    assert_eq!(found(folder.path(), &Wanted { version: Some(4), ..all.clone() }), []);
    let time = Some(micros(480_001)..micros(480_002));
    assert_eq!(found(folder.path(), &Wanted { time, ..of("a=b") }), pairs(&one[1..2]));
}

#[test]
fn rows_are_written_in_the_form_that_the_name_says() {
    let folder = log();
    let out = tempfile::tempdir().expect("scratch");
    let wanted = Wanted { model: Some("a=b".to_owned()), ..Wanted::default() };
    for name in ["x.parquet", "x.csv", "x.jsonl"] {
        let path = out.path().join(name);
        let mut export = Export::create(&path).expect("a file");
        for file in files(folder.path(), &wanted).expect("files") {
            for rows in read(&file, &wanted).expect("rows") {
                export.write(&rows).expect(name);
            }
        }
        assert_eq!(export.finish().expect(name), 6);
    }
    let csv = fs::read_to_string(out.path().join("x.csv")).expect("text");
    assert_eq!(csv.lines().count(), 7);
    assert!(csv.starts_with("model,version,event_id,"), "{csv}");
    assert!(csv.lines().nth(1).is_some_and(|it| it.starts_with("a=b,3,")), "{csv}");
    let lines = fs::read_to_string(out.path().join("x.jsonl")).expect("text");
    assert!(lines.lines().all(|it| it.starts_with("{\"model\":\"a=b\",\"version\":3,")), "{lines}");
    let file = File::open(out.path().join("x.parquet")).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("whole");
    assert_eq!(reader.metadata().file_metadata().num_rows(), 6);
    let unknown = Export::create(&out.path().join("x.xlsx")).err().expect("refused");
    assert_eq!(unknown.to_string(), "\"xlsx\" is none of parquet, csv, jsonl");
}

#[test]
fn a_table_has_the_same_columns_throughout() {
    let out = tempfile::tempdir().expect("scratch");
    let mut export = Export::create(&out.path().join("x.csv")).expect("a file");
    export.write(&fixture::rows("a", 1, 1)).expect("the first");
    let mut other = fixture::subject("b");
    other.config.outputs = Some(Vec::new());
    let batch =
        fixture::form(other).rows(&[fixture::record(fixture::hour(1), 1)], fixture::hour(1));
    let rows = Rows { batch: batch.expect("rows"), ..fixture::rows("b", 1, 1) };
    let refused = export.write(&rows).expect_err("other columns").to_string();
    assert!(refused.starts_with("b version 3 has other columns"), "{refused}");
}

#[test]
fn a_table_without_rows_is_a_table() {
    let out = tempfile::tempdir().expect("scratch");
    // Nobody knows which columns, or what is there says so.
    for (known, columns) in [(false, 2 + fixed().len()), (true, 2 + fixed().len() + 3)] {
        for name in ["x.parquet", "x.csv", "x.jsonl"] {
            let mut export = Export::create(&out.path().join(name)).expect("a file");
            if known {
                let rows = fixture::rows("a", 1, 1);
                export.write(&Rows { batch: rows.batch.slice(0, 0), ..rows }).expect(name);
            }
            assert_eq!(export.finish().expect(name), 0);
        }
        let file = File::open(out.path().join("x.parquet")).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("whole");
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        assert_eq!(reader.schema().fields().len(), columns);
        let text = |name: &str| fs::read_to_string(out.path().join(name)).expect("text");
        assert_eq!(text("x.csv").matches(',').count(), columns - 1);
        assert_eq!((text("x.csv").lines().count(), text("x.jsonl").as_str()), (1, ""));
    }
}
