use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::event_batch::BATCH_EVENTS_MAX;
use crate::fixture;
use crate::sink::conformance;

/// A field's text or number in a line that was made here: its texts hold no quotes.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let rest = line.split_once(&format!("\"{name}\":")).map_or("", |it| it.1);
    rest.split([',', '}']).next().unwrap_or_default().trim_matches('"')
}

/// Writes down what is posted, a line each; fails when it is told to.
struct Kept {
    file: PathBuf,
    fails: usize,
    /// Posts that are taken before it fails.
    takes: usize,
    bytes_max: usize,
}

impl Post for Kept {
    fn post(&mut self, event: &Event) -> io::Result<()> {
        if self.takes == 0 && self.fails > 0 {
            self.fails -= 1;
            return Err(io::ErrorKind::TimedOut.into());
        }
        if event.body.len() > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.takes = self.takes.saturating_sub(1);
        let mut file = OpenOptions::new().append(true).create(true).open(&self.file)?;
        let headers: Vec<String> =
            event.headers.iter().map(|(name, it)| format!("{name}: {it}")).collect();
        writeln!(file, "{} | {}", headers.join("; "), String::from_utf8_lossy(&event.body))
    }
}

fn sink(folder: &Path, events: Events) -> CloudEvents<Kept> {
    let file = folder.join("posted");
    CloudEvents::new(Kept { file, fails: 0, takes: 0, bytes_max: usize::MAX }, events)
}

fn posted(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("posted")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn it_is_a_sink() {
    let make = |folder: &Path| -> Box<dyn Sink> { Box::new(sink(folder, Events::Rows)) };
    let delivered = |folder: &Path| {
        let rows = posted(folder).into_iter().flat_map(|it| {
            let parts: Vec<String> = it.split("\"data\":").skip(1).map(str::to_owned).collect();
            parts
        });
        let key = |it: String| {
            let row = field(&it, "row_index").parse().expect("a number");
            (field(&it, "event_id").to_owned(), row)
        };
        rows.map(key).collect()
    };
    conformance::check(&make, &delivered);
}

#[test]
fn rows_go_in_batches() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path(), Events::Rows);
    let rows = fixture::rows("a b", 480_000, BATCH_EVENTS_MAX + 1);
    sink.write(&rows).expect("takes rows");
    sink.flush(Position::default(), "log").expect("flushes");
    let posted = posted(folder.path());
    assert_eq!(posted.len(), 2);
    let (event, row) = fixture::keys(&rows.batch).pop().expect("the last");
    let expect = format!(
        "content-type: application/cloudevents-batch+json; charset=utf-8 | [{{\"specversion\":\"1.0\",\
         \"type\":\"{ROW}\",\"source\":\"/models/a%20b/versions/3\",\"id\":\"{event}.{row}\",\
         \"time\":\"2024-10-04T00:00:00.000000Z\",\"datacontenttype\":\"application/json\",\
         \"data\":{{\"event_id\":\"{event}\","
    );
    assert!(posted[1].starts_with(&expect), "{}", posted[1]);
    assert!(posted[1].ends_with("}}]"), "{}", posted[1]);
}

#[test]
fn requests_and_answers_are_as_kserves() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path(), Events::Kserve);
    let mut records =
        [fixture::record(fixture::hour(480_000), 2), fixture::record(fixture::hour(1), 1)];
    records[0].request_id = smallvec::SmallVec::from_slice("ö\"1".as_bytes());
    records[1].failure = Some((server_base::Kind::Invalid, "x".to_owned()));
    records[1].outputs.clear();
    let form = fixture::form(fixture::subject("m"));
    let batch = form.rows(&records, fixture::hour(1)).expect("rows");
    let Rows { model, version, .. } = fixture::rows("m", 1, 1);
    sink.write(&Rows { model, version, hour: 1, batch }).expect("takes rows");
    sink.flush(Position::default(), "log").expect("flushes");
    let posted = posted(folder.path());
    let heads: BTreeSet<&str> =
        posted.iter().map(|it| it.split(" | ").next().expect("one")).collect();
    let head = |id: &str, kind: &str, time: &str| {
        format!(
            "content-type: application/json; ce-specversion: 1.0; ce-id: {id}; ce-type: {kind}; \
             ce-source: /models/m/versions/3; ce-time: {time}; ce-inferenceservicename: m; \
             ce-component: predictor; ce-endpoint: direct"
        )
    };
    let (first, second) = ("2024-10-04T00:00:00.000000Z", "1970-01-01T01:00:00.000000Z");
    let expect = [
        head("%C3%B6%221", REQUEST, first),
        head("%C3%B6%221", RESPONSE, first),
        head(&records[1].event.to_string(), REQUEST, second),
    ];
    assert_eq!(heads, expect.iter().map(String::as_str).collect());
    let bodies: Vec<&str> = posted.iter().map(|it| it.split(" | ").nth(1).expect("two")).collect();
    assert_eq!(
        bodies[..2],
        [
            r#"{"id":"ö\"1","inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[0,0.5,1,1.5]}]}"#,
            r#"{"model_name":"m","model_version":"3","id":"ö\"1","outputs":[{"name":"y","datatype":"INT64","shape":[2],"data":[0,1]}]}"#,
        ]
    );
}

#[test]
fn what_was_not_taken_comes_again_under_the_same_ids() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path(), Events::Rows);
    sink.to.fails = 1;
    let rows = fixture::rows("m", 480_000, 3);
    let (first, second) = (Position::default(), "log");
    sink.write(&rows).expect("takes rows");
    assert!(sink.flush(first, second).is_err());
    sink.reset();
    sink.write(&rows).expect("the same again");
    sink.flush(first, second).expect("flushes");
    let posted = posted(folder.path());
    assert_eq!(posted.len(), 1);
    for (event, row) in fixture::keys(&rows.batch) {
        assert!(posted[0].contains(&format!("\"id\":\"{event}.{row}\"")));
    }
}

/// Ids of the rows in each post.
fn ids(posted: &[String]) -> Vec<Vec<String>> {
    let body = |it: &String| it.split_once(" | ").expect("headers and body").1.to_owned();
    let events = |it: &str| serde_json::from_str::<Vec<serde_json::Value>>(it).expect("a batch");
    let id = |it: &serde_json::Value| it["id"].as_str().expect("an id").to_owned();
    posted.iter().map(|it| events(&body(it)).iter().map(id).collect()).collect()
}

fn keys(rows: &Rows) -> Vec<String> {
    fixture::keys(&rows.batch).into_iter().map(|(event, row)| format!("{event}.{row}")).collect()
}

/// A receiver that fails at every third post would never take a flush of four at once.
#[test]
fn a_flush_that_failed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path(), Events::Rows);
    let rows = fixture::rows("m", 480_000, 4 * BATCH_EVENTS_MAX);
    let from = Position { segment: 3, offset: 100 };
    (sink.to.takes, sink.to.fails) = (2, 2);
    for fails in [true, true, false] {
        sink.write(&rows).expect("takes rows");
        assert_eq!(sink.flush(from, "log").is_err(), fails);
        sink.reset();
    }
    assert_eq!(ids(&posted(folder.path())).concat(), keys(&rows), "each once, in their order");
}

#[test]
fn other_rows_are_posted_from_the_first() {
    let check = |segment, model: &str| {
        let folder = tempfile::tempdir().expect("scratch");
        let mut sink = sink(folder.path(), Events::Rows);
        let rows = fixture::rows("m", 480_000, 2 * BATCH_EVENTS_MAX);
        (sink.to.takes, sink.to.fails) = (1, 1);
        sink.write(&rows).expect("takes rows");
        assert!(sink.flush(Position { segment: 3, offset: 0 }, "log").is_err());
        sink.reset();
        let others = fixture::rows(model, 480_000, 2 * BATCH_EVENTS_MAX);
        sink.write(&others).expect("takes rows");
        sink.flush(Position { segment, offset: 0 }, "log").expect("flushes");
        assert_eq!(ids(&posted(folder.path())[1..]).concat(), keys(&others));
    };
    check(4, "m");
    check(3, "n");
}

#[test]
fn batches_that_are_too_large_are_posted_in_parts() {
    let rows = fixture::rows("m", 480_000, 100);
    let check = |bytes_max: usize, expect: &[String]| {
        let folder = tempfile::tempdir().expect("scratch");
        let mut sink = sink(folder.path(), Events::Rows);
        sink.to.bytes_max = bytes_max;
        sink.write(&rows).expect("takes rows");
        sink.flush(Position::default(), "log").expect("flushes");
        let posted = posted(folder.path());
        assert_eq!(ids(&posted).concat(), expect);
        posted.len()
    };
    let all = keys(&rows);
    assert_eq!(check(usize::MAX, &all), 1);
    assert!((2..=128).contains(&check(8_000, &all)));
    assert_eq!(check(1_200, &all), 100, "one by one");
    assert_eq!(check(100, &[]), 0, "left out, and nothing waits for them");
}

/// An event each.
fn left_out(rows: usize) -> LeftOut {
    LeftOut { events: rows, rows }
}

/// Whichever attempt it was that left some out.
#[test]
fn rows_that_nobody_takes_are_told_apart_once() {
    let mut names = vec![10; 2 * BATCH_EVENTS_MAX];
    for long in [0, 3, BATCH_EVENTS_MAX + 1] {
        names[long] = 4_000;
    }
    let rows = fixture::named(&names);
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path(), Events::Rows);
    sink.to.bytes_max = 3_000;
    let mut flush = |fails: Option<usize>, rows: &Rows| {
        (sink.to.takes, sink.to.fails) = fails.map_or((0, 0), |it| (it, 1));
        sink.write(rows).expect("takes rows");
        let left_out = sink.flush(Position::default(), "log");
        sink.reset();
        left_out.ok()
    };
    assert_eq!(flush(None, &rows), Some(left_out(3)));
    let posts = posted(folder.path()).len();
    // It fails at its last post, with some of the second batch left out.
    assert_eq!(flush(Some(posts - 1), &rows), None);
    assert_eq!(flush(None, &rows), Some(left_out(3)));
    // The same, and then it does not all come at once.
    assert_eq!(flush(Some(posts - 1), &rows), None);
    let (first, second) = names.split_at(BATCH_EVENTS_MAX - 100);
    assert_eq!(flush(None, &fixture::named(first)), Some(left_out(2)));
    assert_eq!(flush(None, &fixture::named(second)), Some(left_out(1)));
}

#[test]
fn rows_of_requests_that_nobody_takes_are_counted_by_request() {
    let folder = tempfile::tempdir().expect("scratch");
    let mut sink = sink(folder.path(), Events::Kserve);
    sink.to.bytes_max = 3_000;
    sink.write(&fixture::named(&[10, 4_000, 10])).expect("takes rows");
    let left_out =
        |sink: &mut CloudEvents<Kept>| sink.flush(Position::default(), "log").expect("flushes");
    assert_eq!(left_out(&mut sink), LeftOut { events: 2, rows: 1 });
    assert_eq!(posted(folder.path()).len(), 2 * 2, "question and answer of two");
    // What is not in the log can be told neither as a question nor as an answer.
    let mut hidden = fixture::subject("m");
    (hidden.config.inputs, hidden.config.outputs) = (Some(Vec::new()), Some(Vec::new()));
    let record = fixture::record(fixture::hour(480_000), 2);
    let batch = fixture::form(hidden).rows(&[record], fixture::hour(480_000)).expect("rows");
    let rows = Rows { batch, ..fixture::rows("m", 480_000, 1) };
    sink.write(&rows).expect("takes rows");
    sink.reset();
    sink.write(&rows).expect("the same again");
    assert_eq!(left_out(&mut sink), LeftOut { events: 2, rows: 2 });
}
