use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::fixture;
use crate::sink::conformance;

/// Writes down what is produced, a line each; fails when it is told to, after so many messages.
struct Kept {
    file: PathBuf,
    fails_after: Option<usize>,
    /// Messages of each call.
    calls: Vec<usize>,
}

impl Produce for Kept {
    fn produce(&mut self, messages: &[Message]) -> io::Result<()> {
        self.calls.push(messages.len());
        let fails = self.fails_after.take();
        let mut file = OpenOptions::new().append(true).create(true).open(&self.file)?;
        for it in messages.iter().take(fails.unwrap_or(messages.len())) {
            let id = it.headers.iter().find(|it| it.0 == "ce_id").map_or("", |it| &it.1);
            writeln!(file, "{id}")?;
        }
        fails.map_or(Ok(()), |_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn sink(folder: &Path) -> Messages<Kept> {
    let file = folder.join("produced");
    Messages::new(Kept { file, fails_after: None, calls: Vec::new() })
}

/// Ids, in the order in which they were produced.
fn produced(folder: &Path) -> Vec<(String, u32)> {
    let text = fs::read_to_string(folder.join("produced")).unwrap_or_default();
    let id = |it: &str| {
        let (event, row) = it.split_once('.').expect("two parts");
        (event.to_owned(), row.parse().expect("a number"))
    };
    text.lines().map(id).collect()
}

#[test]
fn it_is_a_sink() {
    let make = |folder: &Path| -> Box<dyn Sink> { Box::new(sink(folder)) };
    conformance::check(&make, &produced);
}

#[test]
fn a_row_is_an_event_in_binary_mode_keyed_by_its_request() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path());
    let mut record = fixture::record(fixture::hour(480_000), 2);
    record.request_id = smallvec::SmallVec::from_slice("ö\n1".as_bytes());
    let form = fixture::form(fixture::subject("a b"));
    let batch = form.rows(&[record], fixture::hour(1)).expect("rows");
    let rows = Rows { batch, ..fixture::rows("a b", 480_000, 1) };
    sink.write(&rows).expect("takes rows");
    let [_, second] = sink.waiting.as_slice() else { panic!("two rows") };
    assert_eq!((second.key.as_str(), second.time_ms), ("ö\n1", 480_000 * 3_600_000));
    let (event, _) = fixture::keys(&rows.batch).remove(1);
    let columns = manifest(&rows.batch.schema());
    let expect = [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", &format!("{event}.1")),
        ("ce_type", "dev.salver.inference.row.v1"),
        ("ce_source", "/models/a%20b/versions/3"),
        ("ce_time", "2024-10-04T00:00:00.000000Z"),
        (COLUMNS, &columns),
    ];
    assert_eq!(second.headers, expect.map(|(name, it)| (name, it.to_owned())));
    let value = String::from_utf8(second.value.clone()).expect("text");
    let head = format!("{{\"model\":\"a b\",\"version\":3,\"event_id\":\"{event}\",");
    assert!(value.starts_with(&head) && value.ends_with('}'), "{value}");
    assert!(value.contains("\"row_index\":1,") && value.contains("\"in.x.1\":1.5,"), "{value}");
}

#[test]
fn what_was_not_taken_comes_again_under_the_same_ids_and_in_order() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path());
    sink.to.fails_after = Some(2);
    let rows = fixture::rows("m", 480_000, 3);
    let keys = fixture::keys(&rows.batch);
    let flush = |sink: &mut Messages<Kept>| sink.flush(Position::default(), "log");
    sink.write(&rows).expect("takes rows");
    assert!(flush(&mut sink).is_err());
    sink.reset();
    sink.write(&rows).expect("the same again");
    flush(&mut sink).expect("flushes");
    assert_eq!(produced(folder.path()), [&keys[..2], &keys[..]].concat());
}

#[test]
fn many_rows_go_in_bounded_pieces() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path());
    let half = fixture::rows("m", 480_000, WAITING_MAX / 2 + 1);
    sink.write(&half).expect("takes rows");
    assert!(!sink.is_full());
    sink.write(&half).expect("takes rows");
    assert!(sink.is_full());
    sink.flush(Position::default(), "log").expect("flushes");
    let all = WAITING_MAX / 2 * 2 + 2;
    assert_eq!(sink.to.calls.iter().sum::<usize>(), all);
    assert!(sink.to.calls.len() > 1 && sink.to.calls.iter().all(|it| *it <= WAITING_MAX));
    assert!(!sink.is_full());
}

#[test]
fn a_row_that_no_broker_takes_holds_up_nothing() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path());
    let mut long = fixture::record(fixture::hour(480_000), 1);
    long.request_id = smallvec::SmallVec::from_elem(b'x', MESSAGE_BYTES_MAX);
    let records = [long, fixture::record(fixture::hour(480_000), 1)];
    let form = fixture::form(fixture::subject("m"));
    let batch = form.rows(&records, fixture::hour(1)).expect("rows");
    let rows = Rows { batch, ..fixture::rows("m", 480_000, 1) };
    // What comes again is left out once.
    sink.write(&rows).expect("takes rows");
    sink.reset();
    sink.write(&rows).expect("takes rows");
    let left_out = sink.flush(Position::default(), "log").expect("flushes");
    assert_eq!(left_out, LeftOut { events: 1, rows: 1 });
    assert_eq!(produced(folder.path()), &fixture::keys(&rows.batch)[1..]);
}
