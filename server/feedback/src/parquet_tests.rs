use std::path::Path;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::fixture;
use crate::sink::conformance;

/// Every file below, unfinished ones apart.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|it| it.expect("an entry").path());
    let below = |it: PathBuf| if it.is_dir() { files(&it) } else { vec![it] };
    let hidden =
        |it: &PathBuf| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.'));
    let mut found: Vec<PathBuf> = entries.filter(|it| !hidden(it)).flat_map(below).collect();
    found.sort();
    found
}

/// Event and row of every row below.
pub(crate) fn delivered(folder: &Path) -> Vec<(String, u32)> {
    let rows = |path: PathBuf| {
        let file = File::open(path).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let batches = reader.build().expect("a reader");
        batches.flat_map(|it| fixture::keys(&it.expect("rows"))).collect::<Vec<_>>()
    };
    files(folder).into_iter().flat_map(rows).collect()
}

#[test]
fn it_is_a_sink() {
    let make = |folder: &Path| -> Box<dyn Sink> {
        Box::new(ParquetSink::new(folder.to_path_buf(), "log").expect("a folder"))
    };
    conformance::check(&make, &delivered);
}

/// A pattern of DuckDB's or Python's looks into hidden folders as well.
#[test]
fn what_is_not_whole_is_not_named_like_what_is() {
    fn below(folder: &Path) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path());
        entries.flat_map(|it| if it.is_dir() { below(&it) } else { vec![it] }).collect()
    }
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = ParquetSink::new(folder.path().to_path_buf(), "log").expect("a folder");
    let named = |it: &PathBuf| it.extension().is_some_and(|it| it == "parquet");
    sink.write(&fixture::rows("m", 480_001, 2)).expect("takes rows");
    let found = below(folder.path());
    assert!(found.len() == 1 && !named(&found[0]), "{found:?}");
    sink.flush(Position { segment: 1, offset: 20 }, "log").expect("flushes");
    let found = below(folder.path());
    assert!(found.len() == 1 && named(&found[0]), "{found:?}");
}

#[test]
fn files_lie_under_hive_paths_and_say_whose_they_are() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = ParquetSink::new(folder.path().to_path_buf(), "log").expect("a folder");
    sink.write(&fixture::rows("a=b", 480_001, 2)).expect("takes rows");
    sink.flush(Position { segment: 1, offset: 20 }, "log").expect("flushes");
    let found = files(folder.path());
    let shown: Vec<_> = found
        .iter()
        .map(|it| it.strip_prefix(folder.path()).expect("below").display().to_string())
        .collect();
    let expect =
        "model=a%3Db/version=3/date=2024-10-04/hour=01/log-0000000000000001-0000000014-0.parquet";
    assert_eq!(shown, [expect]);
    let file = File::open(&found[0]).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
    let about = reader.schema().metadata();
    assert_eq!(about.get("salver.model").map(String::as_str), Some("a=b"));
    assert_eq!(about.get("salver.form").map(String::as_str), Some(crate::FORM));
    assert_eq!(about.get("salver.inputs").map(String::as_str), Some("x FP32 [rows,2]"));
}

/// Those rows as they come out of a segment, and how long their message is.
fn read_again(rows: &Rows) -> (Rows, usize) {
    let (mut encoder, schema) = crate::batch::Encoder::new(&rows.batch.schema()).expect("starts");
    let mut message = Vec::new();
    encoder.encode(&rows.batch, &mut message).expect("encodes");
    let batch = crate::batch::decode(&schema, &message).expect("decodes");
    (Rows { batch, ..rows.clone() }, message.len())
}

/// Rows that were read from a segment share one buffer.
#[test]
fn rows_are_counted_once() {
    let (rows, length) = read_again(&fixture::rows("m", 1, 1_000));
    let counted = bytes(&rows.batch);
    assert!((length / 2..=length).contains(&counted), "{counted}");
}

/// A sink that keeps up has its rows from memory, and from a segment when it does not.
#[test]
fn rows_from_memory_and_from_a_segment_are_of_one_file() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = ParquetSink::new(folder.path().to_path_buf(), "log").expect("a folder");
    let rows = [2, 3].map(|it| fixture::rows("m", 480_001, it));
    sink.write(&read_again(&rows[0]).0).expect("takes rows");
    sink.write(&rows[1]).expect("takes rows");
    sink.flush(Position { segment: 1, offset: 20 }, "log").expect("flushes");
    assert_eq!(files(folder.path()).len(), 1);
    assert_eq!(delivered(folder.path()), rows.map(|it| fixture::keys(&it.batch)).concat());
}

#[test]
fn old_files_go_though_nothing_comes() {
    let folder = tempfile::tempdir().expect("scratch");
    let hour = folder.path().join("model=m/version=1/date=2026-11-21/hour=01");
    fs::create_dir_all(&hour).expect("made");
    fs::write(hour.join("old.parquet"), "x").expect("written");
    let keep = Keep { age: None, bytes: Some(0) };
    let mut sink = ParquetSink::keeping(folder.path().to_path_buf(), "log", keep).expect("starts");
    sink.idle();
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}
