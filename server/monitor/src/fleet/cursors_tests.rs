use super::super::Object;
use super::*;

const HOUR: i64 = super::super::cursor::MICROS_AN_HOUR;

fn whose(model: &str) -> Who {
    (ModelName::new(model).expect("a name"), Version(1))
}

fn open(root: &Path) -> (Arc<Transaction>, Cursors, Known) {
    let disk = Arc::new(Transaction::open(root.to_path_buf(), &[FOLDER]).expect("opens"));
    let (cursors, known) = Cursors::open(Arc::clone(&disk), root).expect("read");
    (disk, cursors, known)
}

/// What the next process finds.
#[track_caller]
fn check(root: &Path, expect: &[(&str, &Cursor)]) {
    let (_, _, known) = open(root);
    let found: Vec<(String, i64, Vec<String>)> = known.cursors.iter().map(shown).collect();
    let expect: Vec<_> = expect.iter().map(|it| shown((&whose(it.0), it.1))).collect();
    assert_eq!(found, expect);
}

fn shown((who, cursor): (&Who, &Cursor)) -> (String, i64, Vec<String>) {
    let names = cursor.unfinished().into_iter().collect();
    (who.0.to_string(), cursor.watermark(), names)
}

/// As long as text as one can be.
fn object(name: &str) -> Object {
    let path = format!("date=1970-01-01/hour=00/{name}.parquet");
    Object { path, size: u64::MAX, written: i64::MIN }
}

fn cursor(watermark: i64, name: &str) -> Cursor {
    let mut cursor = Cursor::new(0);
    cursor.advance(watermark);
    cursor.was_read(&object(name), 10 * HOUR);
    cursor
}

#[test]
fn each_version_has_a_file_and_what_has_not_changed_is_not_written() {
    let root = tempfile::tempdir().expect("scratch");
    let root = root.path();
    let (disk, mut cursors, known) = open(root);
    assert!(known.cursors.is_empty() && !known.is_old);
    let (mut a, b) = (cursor(5, "a"), cursor(7, "b"));
    let write = |cursors: &mut Cursors, who: &str, it: &Cursor, has_counted| {
        cursors.write(&whose(who), it, has_counted).expect("written");
        cursors.beside(None).expect("written");
        disk.commit().expect("counts");
    };
    write(&mut cursors, "a", &a, false);
    write(&mut cursors, "b", &b, false);
    check(root, &[("a", &a), ("b", &b)]);
    // Nothing was found up to then: that is found again.
    let before = a.clone();
    a.advance(9);
    write(&mut cursors, "a", &a, false);
    check(root, &[("a", &before), ("b", &b)]);
    write(&mut cursors, "a", &a, true);
    check(root, &[("a", &a), ("b", &b)]);
    a.was_read(&object("c"), 11 * HOUR);
    write(&mut cursors, "a", &a, false);
    check(root, &[("a", &a), ("b", &b)]);
    cursors.forget(&whose("b"));
    check(root, &[("a", &a)]);
}

#[test]
fn what_was_put_aside_and_does_not_count_is_not_there() {
    let root = tempfile::tempdir().expect("scratch");
    let root = root.path();
    let (disk, mut cursors, _) = open(root);
    let (a, b) = (cursor(5, "a"), cursor(7, "b"));
    cursors.write(&whose("a"), &a, true).expect("written");
    disk.commit().expect("counts");
    cursors.write(&whose("a"), &b, true).expect("written");
    check(root, &[("a", &a)]);
}

#[test]
fn the_file_of_an_earlier_release_counts_until_all_is_written() {
    let root = tempfile::tempdir().expect("scratch");
    let root = root.path();
    let (a, b) = (cursor(5, "a"), cursor(7, "b"));
    let old = serde_json::json!({
        "format": 1,
        "versions": [["a", 1, a], ["b", 1, b]],
        "stream": { "name": "topic", "partitions": [[0, 4, 6]], "covered": [["a", 1]] },
    });
    fs::write(root.join(STREAM), old.to_string()).expect("written");
    // What a process left that was killed in between does not count.
    let (disk, mut cursors, known) = open(root);
    assert!(known.is_old && known.stream.is_some());
    cursors.write(&whose("a"), &cursor(8, "x"), true).expect("written");
    drop((disk, cursors));
    let (disk, mut cursors, known) = open(root);
    assert!(known.is_old);
    for (who, it) in &known.cursors {
        cursors.write(who, it, false).expect("written");
    }
    cursors.beside(known.stream.as_ref()).expect("written");
    disk.commit().expect("counts");
    check(root, &[("a", &a), ("b", &b)]);
    let (_, _, known) = open(root);
    assert!(!known.is_old);
    let stream = serde_json::to_value(known.stream).expect("JSON");
    assert_eq!(stream, old["stream"]);
    // It is put back: what lies beside it is of a later time.
    let old = serde_json::json!({ "format": 1, "versions": [["a", 1, a]] });
    fs::write(root.join(STREAM), old.to_string()).expect("written");
    check(root, &[("a", &a)]);
    assert!(!root.join(FOLDER).join("b@1.json").exists());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let root = tempfile::tempdir().expect("scratch");
    let root = root.path();
    let (disk, mut cursors, _) = open(root);
    cursors.write(&whose("a"), &cursor(5, "a"), true).expect("written");
    cursors.beside(None).expect("written");
    disk.commit().expect("counts");
    let check = |name: &str, text: &str, expect: &str| {
        let path = root.join(name);
        let before = fs::read(&path).expect("there");
        fs::write(&path, text).expect("written");
        let error = Cursors::open(Arc::clone(&disk), root).err().expect("refused").to_string();
        assert!(error.contains(name) && error.contains(expect), "{error}");
        fs::write(&path, before).expect("written");
    };
    check("cursors/a@1.json", "{", "EOF");
    let other =
        r#"{"format":3,"model":"a","version":1,"cursor":{"begin":0,"watermark":0,"read":{}}}"#;
    check("cursors/a@1.json", other, "it has format 3, this version reads 1 and 2");
    check("cursor.json", r#"{"format":3}"#, "it has format 3");
}

/// Fewer names than are remembered, which are long.
#[test]
fn what_is_full_can_be_written_and_read() {
    let root = tempfile::tempdir().expect("scratch");
    let root = root.path();
    let name = |number| object(&format!("{number:0900}"));
    let mut full = Cursor::new(0);
    let mut names = 0;
    while !full.is_full() {
        full.was_read(&name(names), i64::MIN);
        names += 1;
    }
    assert!(names < 150_000, "{names}");
    let (disk, mut cursors, _) = open(root);
    cursors.write(&whose("a"), &full, true).expect("written");
    disk.commit().expect("counts");
    let bytes = fs::metadata(root.join("cursors/a@1.json")).expect("there").len();
    assert!((128 << 20..BYTES_MAX as u64 / 2).contains(&bytes), "{bytes}");
    let (_, _, known) = open(root);
    let found = &known.cursors[&whose("a")];
    assert!(found.is_full() && found.is_read(&name(7)));
}
