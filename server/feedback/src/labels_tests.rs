use super::*;

const HOUR: i64 = MICROS_AN_HOUR;

fn model() -> ModelName {
    ModelName::new("wine").expect("a name")
}

fn row(id: &str, value: LabelValue, recorded_time: i64) -> LabelRow {
    LabelRow {
        label_id: format!("replica-{id}"),
        inference_id: id.to_owned(),
        row_index: 3,
        value,
        label_time: (id != "a").then_some(7),
        recorded_time,
    }
}

fn files(root: &std::path::Path) -> Vec<PathBuf> {
    let mut found = crate::parquet::tests::files(root);
    found.sort();
    found
}

#[test]
fn what_was_put_there_is_read_again() {
    let root = tempfile::tempdir().expect("scratch");
    let keep = Keep::default();
    let mut put = LabelFiles::keeping(root.path().to_path_buf(), "x", keep).expect("a folder");
    let rows = [
        row("a", LabelValue::Number(0.1), 480_001 * HOUR + 5),
        row("b", LabelValue::Bool(true), 480_001 * HOUR + 6),
        row("c", LabelValue::Text("2".to_owned()), 480_002 * HOUR),
    ];
    // What is done over takes its own place.
    for _ in 0..2 {
        put.put(&model(), "x-1", &rows).expect("put");
    }
    let found = files(root.path());
    assert_eq!(found.len(), 2, "one an hour: {found:?}");
    let first = found[0].strip_prefix(root.path()).expect("below").display().to_string();
    let name = format!("x-1-{:x}.parquet", 480_001 * HOUR + 5);
    assert_eq!(first, format!("model=wine/{}/{name}", hour_folder(480_001)));
    let mut read = Vec::new();
    for it in &found {
        let file = File::open(it).expect("there");
        read_labels(file, &model(), |rows| read.extend(rows)).expect("labels");
    }
    assert_eq!(read, rows);
    let other = ModelName::new("m").expect("a name");
    let file = File::open(&found[0]).expect("there");
    read_labels(file, &other, |_| {}).expect_err("of another model");
}

#[test]
fn what_is_no_file_of_labels_is_refused() {
    let root = tempfile::tempdir().expect("scratch");
    let path = root.path().join("x.parquet");
    fs::write(&path, "PAR1 and no more").expect("written");
    read_labels(File::open(path).expect("there"), &model(), |_| {}).expect_err("torn");
}

#[test]
fn old_files_go_as_those_of_predictions_do() {
    let root = tempfile::tempdir().expect("scratch");
    let keep = Keep { age: None, bytes: Some(0) };
    let mut put = LabelFiles::keeping(root.path().to_path_buf(), "x", keep).expect("a folder");
    put.put(&model(), "x-1", &[row("a", LabelValue::Number(1.0), HOUR)]).expect("put");
    assert_eq!(files(root.path()), Vec::<PathBuf>::new());
}
