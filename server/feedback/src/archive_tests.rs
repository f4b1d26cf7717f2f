use super::*;
use crate::catalogue::Position;
use crate::fixture;
use crate::parquet::ParquetSink;
use crate::sink::Sink as _;
use crate::source::FolderSource;

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

fn archive(folder: &tempfile::TempDir) -> FolderSource {
    FolderSource::new(vec![folder.path().to_path_buf()])
}

/// Model and hour of each piece that is found.
fn found(folder: &tempfile::TempDir, wanted: &Wanted) -> Vec<(String, u32)> {
    let mut archive = archive(folder);
    let mut pieces = Vec::new();
    for it in files(&mut archive, wanted).expect("a folder") {
        let file = open(&mut archive, &it).expect("opened").expect("there");
        pieces.extend(read(file, wanted).expect("pieces").map(|it| it.expect("rows")));
    }
    pieces.into_iter().map(|it| (it.model.to_string(), it.hour)).collect()
}

#[test]
fn rows_are_found_by_model_version_and_time() {
    let folder = log();
    let all = Wanted::default();
    let of = |model: &str| Wanted { model: Some(model.to_owned()), ..all.clone() };
    let pairs =
        |it: &[(&str, u32)]| it.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect::<Vec<_>>();
    let one = [("a=b", 480_000), ("a=b", 480_001), ("a=b", 480_002)];
    assert_eq!(found(&folder, &of("a=b")), pairs(&one));
    assert_eq!(found(&folder, &all).len(), 4);
    assert_eq!(found(&folder, &all)[0].1, 480_000, "in the order of time");
    assert_eq!(found(&folder, &Wanted { version: Some(4), ..all.clone() }), []);
    let time = Some(micros(480_001)..micros(480_002));
    assert_eq!(found(&folder, &Wanted { time, ..of("a=b") }), pairs(&one[1..2]));
}

#[test]
fn what_was_written_last_is_found_first() {
    let folder = log();
    let mut archive = archive(&folder);
    let mut newest = |wanted: &Wanted| {
        let mut newest = Newest::new(&mut archive, wanted).expect("a folder");
        let mut paths = Vec::new();
        while let Some(it) = newest.next(&mut archive).expect("a list") {
            paths.push(it);
        }
        paths
    };
    let all = Wanted::default();
    let mut expect = files(&mut self::archive(&folder), &all).expect("a folder");
    expect.reverse();
    assert_eq!((newest(&all), expect.len()), (expect, 4));
    let time = Some(micros(480_001)..micros(480_002));
    let one = newest(&Wanted { time, model: Some("c".to_owned()), version: Some(3) });
    let [one] = &one[..] else { panic!("one of {}", one.len()) };
    assert!(one.path().starts_with("model=c/version=3/date="), "{}", one.path());
    let none = Wanted { time: Some(micros(480_001)..micros(480_001)), ..all };
    assert!(newest(&none).is_empty());
}

/// Lists two names at a time.
struct Short(FolderSource);

impl crate::source::Source for Short {
    fn list(&mut self, wanted: &Below<'_>) -> io::Result<crate::source::Listed> {
        self.0.list(&Below { most: 2, ..*wanted })
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> Result<std::fs::File, Missing> {
        self.0.fetch(folder, object)
    }
}

impl Archive for Short {
    fn folders(&mut self, folder: &str) -> io::Result<Vec<String>> {
        self.0.folders(folder)
    }
}

#[test]
fn a_list_in_parts_is_a_list() {
    let folder = log();
    let wanted = Wanted { model: Some("a=b".to_owned()), ..Wanted::default() };
    let mut short = Short(archive(&folder));
    let found = files(&mut short, &wanted).expect("a list");
    assert_eq!((found.len(), &found), (3, &files(&mut short.0, &wanted).expect("a list")));
    std::fs::remove_file(folder.path().join(found[0].path())).expect("it is there");
    assert!(open(&mut short, &found[0]).expect("no error").is_none(), "it is gone");
}
