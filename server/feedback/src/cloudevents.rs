//! Rows as CloudEvents 1.0, posted to whoever takes them by HTTP.
//!
//! In two forms: one of our own, an event for each row, many in one request (JSON batch content mode);
//! and KServe's, an event for each request and one for its answer (binary content mode), which its
//! consumers know. Either way an event that comes twice has the same id.

use std::io;
use std::mem::take;

use bytes::Bytes;
use server_base::{ModelName, Version, calendar};

use crate::catalogue::Position;
use crate::event_batch::{Batch, Waiting, post};
use crate::json::{quoted, tensor_json};
use crate::keys::Keys;
use crate::objects::objects;
use crate::past::{Past, requests, times};
use crate::sink::{LeftOut, Rows, Sink};

/// Of our own.
pub const ROW: &str = "dev.salver.inference.row.v1";

/// KServe's two.
const REQUEST: &str = "org.kubeflow.serving.inference.request";
const RESPONSE: &str = "org.kubeflow.serving.inference.response";

/// Bytes and posts that wait for a flush.
const BYTES_MAX: usize = 4 << 20;
const WAITING_MAX: usize = 500;

/// Which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// One for each row.
    Rows,
    /// KServe's, two for each request.
    Kserve,
}

impl Events {
    fn name(self) -> &'static str {
        match self {
            Events::Rows => "cloudevents",
            Events::Kserve => "kserve",
        }
    }
}

/// What is posted at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Headers of the request, beside those of every request.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Bytes,
}

/// Posts events.
pub trait Post: Send {
    /// The event has been taken when it returns. An error of the kind `FileTooLarge`: it is larger than it
    /// ever will be taken.
    fn post(&mut self, event: &Event) -> io::Result<()>;
}

/// Posts what is logged.
pub struct CloudEvents<P> {
    to: P,
    events: Events,
    /// Ready to be posted.
    waiting: Vec<Waiting>,
    /// A batch that is being made.
    batch: Batch,
    bytes: usize,
    /// Of what was taken: it cannot be told.
    untold: LeftOut,
    done: Done,
}

/// How far a flush came that failed. Rows come again in the same order, and so do posts; what was taken
/// is not posted again, or a receiver that fails now and then would never have taken all.
#[derive(Default)]
struct Done {
    /// Where in the log the flush began.
    from: Position,
    posts: usize,
    /// What nobody takes of them.
    left_out: LeftOut,
    /// Of the last post's body.
    crc: u32,
}

impl<P: Post> CloudEvents<P> {
    /// To that receiver.
    pub fn new(to: P, events: Events) -> CloudEvents<P> {
        CloudEvents {
            to,
            events,
            waiting: Vec::new(),
            batch: Batch::default(),
            bytes: 0,
            untold: LeftOut::default(),
            done: Done::default(),
        }
    }

    fn rows(&mut self, rows: &Rows) -> io::Result<()> {
        let (keys, lines) = (Keys::of(&rows.batch)?, objects(&rows.batch)?);
        let source = quoted(&source_of(&rows.model, rows.version));
        let lines = lines.split(|it| *it == b'\n');
        for (row, (line, micros)) in lines.zip(times(&rows.batch)).enumerate() {
            let (id, time) = (quoted(&keys.id(row)), calendar::of_us(micros));
            let head = format!(
                "{{\"specversion\":\"1.0\",\"type\":\"{ROW}\",\"source\":{source},\"id\":{id},\
                 \"time\":\"{time}\",\"datacontenttype\":\"application/json\",\"data\":"
            );
            self.bytes += head.len() + line.len();
            self.waiting.extend(self.batch.add(&[head.as_bytes(), line, b"}"]));
        }
        Ok(())
    }

    fn kserve(&mut self, rows: &Rows) {
        for past in requests(&rows.batch) {
            let answer = (past.status == "OK").then(|| (RESPONSE, response(rows, &past)));
            // Its rows go with the first of the two that can be told.
            let mut count = past.rows;
            for (kind, body) in std::iter::once((REQUEST, request(&past))).chain(answer) {
                match body {
                    Some(body) => self.event(rows, (&past, take(&mut count)), (kind, body)),
                    None => self.untold.events += 1,
                }
            }
            self.untold.rows += count;
        }
    }

    fn event(&mut self, rows: &Rows, (past, count): (&Past, usize), (kind, body): (&str, String)) {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", header(&past.request_id)),
            ("ce-type", kind.to_owned()),
            ("ce-source", source_of(&rows.model, rows.version)),
            ("ce-time", calendar::of_us(past.at_micros)),
            ("ce-inferenceservicename", header(rows.model.as_str())),
            ("ce-component", "predictor".to_owned()),
            ("ce-endpoint", past.route.clone()),
        ];
        self.bytes += body.len();
        let event = Event { headers, body: body.into() };
        self.waiting.push(Waiting::alone(event, count));
    }
}

impl<P: Post> Sink for CloudEvents<P> {
    fn name(&self) -> &'static str {
        self.events.name()
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        match self.events {
            Events::Rows => self.rows(rows)?,
            Events::Kserve => self.kserve(rows),
        }
        Ok(())
    }

    fn flush(&mut self, from: Position, _of: &str) -> io::Result<LeftOut> {
        self.waiting.extend(self.batch.close());
        let (waiting, done) = (take(&mut self.waiting), take(&mut self.done));
        let last = done.posts.checked_sub(1).and_then(|it| waiting.get(it));
        let is_same = done.from == from && last.is_some_and(|it| it.crc() == done.crc);
        let (skip, mut left_out) =
            if is_same { (done.posts, done.left_out) } else { Default::default() };
        for (place, it) in waiting.iter().enumerate().skip(skip) {
            match post(&mut self.to, self.events.name(), it) {
                Ok(more) => left_out += more,
                Err(error) => {
                    let last = place.checked_sub(1).and_then(|it| waiting.get(it));
                    let crc = last.map_or(0, Waiting::crc);
                    self.done = Done { from, posts: place, left_out, crc };
                    return Err(error);
                }
            }
        }
        left_out += self.untold;
        self.reset();
        Ok(left_out)
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.batch = Batch::default();
        (self.bytes, self.untold) = (0, LeftOut::default());
    }

    fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX || self.waiting.len() >= WAITING_MAX
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
pub fn source_of(model: &ModelName, version: Version) -> String {
    format!("{}/versions/{version}", source_of_model(model))
}

/// The same of a model, whichever the version.
pub fn source_of_model(model: &ModelName) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~".contains(&it);
    format!("/models/{}", escaped(model.as_str(), plain))
}

/// As the binding to HTTP says: what is no printable ASCII, quotes and percent signs.
fn header(text: &str) -> String {
    escaped(text, |it| it.is_ascii_graphic() && it != b'"' && it != b'%')
}

fn escaped(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let byte = |it: u8| if plain(it) { char::from(it).to_string() } else { format!("%{it:02X}") };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
#[path = "cloudevents_tests.rs"]
mod tests;
