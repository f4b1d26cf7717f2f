//! Rows as CloudEvents 1.0, posted to whoever takes them by HTTP.
//!
//! In two forms: one of our own, an event for each row, many in one request (JSON batch content mode);
//! and KServe's, an event for each request and one for its answer (binary content mode), which its
//! consumers know. Either way an event that comes twice has the same id.

use std::io;

use crate::catalogue::Position;
use crate::hive::date;
use crate::json::{quoted, tensor_json};
use crate::jsonlines::objects;
use crate::metrics;
use crate::past::{Past, requests, times};
use crate::sink::{Rows, Sink};

/// Of our own.
pub(crate) const ROW: &str = "dev.salver.inference.row.v1";

/// KServe's two.
const REQUEST: &str = "org.kubeflow.serving.inference.request";
const RESPONSE: &str = "org.kubeflow.serving.inference.response";

/// Events of one batch. Receivers are free to refuse more than they like; these are modest.
const BATCH_EVENTS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes that wait for a flush.
const BYTES_MAX: usize = 4 << 20;

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// Which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// One for each row.
    Rows,
    /// KServe's, two for each request.
    Kserve,
}

/// What is posted at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Headers of the request, beside those of every request.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Posts events.
pub trait Post: Send {
    /// The event has been taken when it returns.
    fn post(&mut self, event: &Event) -> io::Result<()>;
}

/// Posts what is logged.
pub struct CloudEvents<P> {
    to: P,
    events: Events,
    /// Ready to be posted.
    waiting: Vec<Event>,
    /// Events of a batch that is being made, and how many.
    batch: (Vec<u8>, usize),
    bytes: usize,
}

impl<P: Post> CloudEvents<P> {
    /// To that receiver.
    pub fn new(to: P, events: Events) -> CloudEvents<P> {
        CloudEvents { to, events, waiting: Vec::new(), batch: (Vec::new(), 0), bytes: 0 }
    }

    fn rows(&mut self, rows: &Rows) -> io::Result<()> {
        let (lines, times) = (objects(&rows.batch)?, times(&rows.batch));
        let source = quoted(&source(rows));
        for (line, micros) in lines.split(|it| *it == b'\n').zip(times) {
            let id = quoted(&format!("{}.{}", field(line, "event_id"), field(line, "row_index")));
            let time = time(micros);
            let head = format!(
                "{{\"specversion\":\"1.0\",\"type\":\"{ROW}\",\"source\":{source},\"id\":{id},\
                 \"time\":\"{time}\",\"datacontenttype\":\"application/json\",\"data\":"
            );
            let (batch, events) = &mut self.batch;
            batch.extend_from_slice(if *events == 0 { b"[" } else { b"," });
            batch.extend_from_slice(head.as_bytes());
            batch.extend_from_slice(line);
            batch.push(b'}');
            *events += 1;
            self.bytes += head.len() + line.len();
            if *events >= BATCH_EVENTS_MAX || batch.len() >= BATCH_BYTES_MAX {
                self.close();
            }
        }
        Ok(())
    }

    /// The batch that is being made is complete.
    fn close(&mut self) {
        let (mut body, events) = std::mem::take(&mut self.batch);
        if events > 0 {
            body.push(b']');
            let kind = "application/cloudevents-batch+json; charset=utf-8".to_owned();
            self.waiting.push(Event { headers: vec![("content-type", kind)], body });
        }
    }

    fn kserve(&mut self, rows: &Rows) {
        for past in requests(&rows.batch) {
            match request(&past) {
                Some(body) => self.event(rows, &past, (REQUEST, body)),
                None => metrics::untold(self.name()),
            }
            if past.status != "OK" {
                continue;
            }
            match response(rows, &past) {
                Some(body) => self.event(rows, &past, (RESPONSE, body)),
                None => metrics::untold(self.name()),
            }
        }
    }

    fn event(&mut self, rows: &Rows, past: &Past, (kind, body): (&str, String)) {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", header(&past.request_id)),
            ("ce-type", kind.to_owned()),
            ("ce-source", source(rows)),
            ("ce-time", time(past.at_micros)),
            ("ce-inferenceservicename", header(rows.model.as_str())),
            ("ce-component", "predictor".to_owned()),
            ("ce-endpoint", past.route.clone()),
        ];
        self.bytes += body.len();
        self.waiting.push(Event { headers, body: body.into_bytes() });
    }
}

impl<P: Post> Sink for CloudEvents<P> {
    fn name(&self) -> &'static str {
        match self.events {
            Events::Rows => "cloudevents",
            Events::Kserve => "kserve",
        }
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        match self.events {
            Events::Rows => self.rows(rows)?,
            Events::Kserve => self.kserve(rows),
        }
        Ok(())
    }

    fn flush(&mut self, _from: Position, _of: &str) -> io::Result<()> {
        self.close();
        for event in &self.waiting {
            self.to.post(event)?;
        }
        self.reset();
        Ok(())
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.batch = (Vec::new(), 0);
        self.bytes = 0;
    }

    fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX || self.waiting.len() >= BATCH_EVENTS_MAX
    }
}

fn request(past: &Past) -> Option<String> {
    let inputs = tensors(past.inputs.as_ref().ok()?)?;
    Some(format!("{{\"id\":{},\"inputs\":[{inputs}]}}", quoted(&past.request_id)))
}

fn response(rows: &Rows, past: &Past) -> Option<String> {
    let outputs = tensors(&past.outputs).filter(|it| !it.is_empty())?;
    let (model, id) = (quoted(rows.model.as_str()), quoted(&past.request_id));
    let version = rows.version;
    Some(format!(
        "{{\"model_name\":{model},\"model_version\":\"{version}\",\"id\":{id},\"outputs\":[{outputs}]}}"
    ))
}

fn tensors(all: &[(String, backend_api::Tensor)]) -> Option<String> {
    let texts = all.iter().map(|(name, tensor)| tensor_json(name, tensor));
    Some(texts.collect::<Option<Vec<String>>>()?.join(","))
}

/// Which model and version: a reference to a URI.
pub(crate) fn source(rows: &Rows) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~".contains(&it);
    format!("/models/{}/versions/{}", escaped(rows.model.as_str(), plain), rows.version)
}

/// As the binding to HTTP says: what is no printable ASCII, quotes and percent signs.
fn header(text: &str) -> String {
    escaped(text, |it| it.is_ascii_graphic() && it != b'"' && it != b'%')
}

fn escaped(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let byte = |it: u8| if plain(it) { char::from(it).to_string() } else { format!("%{it:02X}") };
    text.bytes().map(byte).collect()
}

/// A field's text or number in a line that was made here: its texts hold no quotes.
fn field<'a>(line: &'a [u8], name: &str) -> &'a str {
    let line = std::str::from_utf8(line).unwrap_or_default();
    let rest = line.split_once(&format!("\"{name}\":")).map_or("", |it| it.1);
    rest.split([',', '}']).next().unwrap_or_default().trim_matches('"')
}

/// As RFC 3339 says.
pub(crate) fn time(micros: i64) -> String {
    let (seconds, micros) =
        (micros.div_euclid(MICROS_A_SECOND), micros.rem_euclid(MICROS_A_SECOND));
    let (day, second) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
    let day = date(u32::try_from(day).unwrap_or(0));
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{day}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
#[path = "cloudevents_tests.rs"]
mod tests;
