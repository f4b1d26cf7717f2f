use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::fixture;
use crate::sink::conformance;

/// Writes down what is posted, a line each; fails when it is told to.
struct Kept {
    file: PathBuf,
    fails: usize,
}

impl Post for Kept {
    fn post(&mut self, event: &Event) -> io::Result<()> {
        if self.fails > 0 {
            self.fails -= 1;
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.file)?;
        let headers: Vec<String> =
            event.headers.iter().map(|(name, it)| format!("{name}: {it}")).collect();
        writeln!(file, "{} | {}", headers.join("; "), String::from_utf8_lossy(&event.body))
    }
}

fn sink(folder: &Path, events: Events) -> CloudEvents<Kept> {
    CloudEvents::new(Kept { file: folder.join("posted"), fails: 0 }, events)
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
            let row = field(it.as_bytes(), "row_index").parse().expect("a number");
            (field(it.as_bytes(), "event_id").to_owned(), row)
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
