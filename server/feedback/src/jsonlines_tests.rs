use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::Path;

use super::*;
use crate::fixture;
use crate::sink::conformance;

/// The value of a text or number in a line.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let rest = line.split(&format!("\"{name}\":")).nth(1).expect(name);
    rest.split([',', '}']).next().expect(name).trim_matches('"')
}

#[test]
fn it_is_a_sink() {
    let make = |folder: &Path| -> Box<dyn Sink> {
        let path = folder.join("lines");
        let file = OpenOptions::new().append(true).create(true).open(path).expect("a file");
        Box::new(JsonLines::new(file))
    };
    let delivered = |folder: &Path| {
        let text = fs::read_to_string(folder.join("lines")).unwrap_or_default();
        let key = |line: &str| {
            (
                field(line, "event_id").to_owned(),
                field(line, "row_index").parse().expect("a number"),
            )
        };
        text.lines().map(key).collect()
    };
    conformance::check(&make, &delivered);
}

#[test]
fn a_line_says_whose_it_is() {
    let mut sink = JsonLines::new(Vec::new());
    sink.write(&fixture::rows("a\"b", 1, 1)).expect("takes rows");
    sink.flush(Position::default(), "log").expect("flushes");
    let text = String::from_utf8(sink.to).expect("text");
    assert!(text.starts_with("{\"model\":\"a\\\"b\",\"version\":3,\"event_id\":\""), "{text}");
    assert_eq!(text.lines().count(), 1);
    let fields: BTreeMap<&str, &str> =
        ["in.x.1", "out.y", "status", "sample_rate"].map(|it| (it, field(&text, it))).into();
    let expect = [("in.x.1", "0.5"), ("out.y", "0"), ("status", "OK"), ("sample_rate", "1.0")];
    assert_eq!(fields, expect.into());
}
