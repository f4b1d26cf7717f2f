//! Labels as CloudEvents 1.0, on their own: posted in batches to whoever takes them by HTTP, or a message of
//! Kafka each. One that comes twice has the same id, which is its `label_id`.

use std::collections::BTreeMap;
use std::io;

use server_base::{ModelName, calendar};

use crate::cloudevents::{Post, source_of_model};
use crate::event_batch::{Batch, Waiting, post};
use crate::json::quoted;
use crate::labels::{LabelRow, LabelValue};
use crate::messages::{Message, Produce, produce};
use crate::metrics;

/// What such an event is called.
pub const LABEL: &str = "dev.salver.inference.label.v1";

/// The topic of labels is called after that of predictions, and this.
pub const LABELS_TOPIC_SUFFIX: &str = ".labels";

const KIND: &str = "application/json";

/// Posts labels.
pub struct LabelEvents<P> {
    to: P,
    /// Of models of which a piece failed: one each, and none of those that are being taken.
    done: BTreeMap<ModelName, Done>,
}

/// How far a piece came that failed: what was taken is not posted again, or a receiver that fails now and
/// then would never have taken all of it.
struct Done {
    name: String,
    posts: usize,
    /// Labels among them that the receiver does not take.
    left_out: usize,
    /// Of the last post's body: what follows a piece may have become more, which the last post shows first.
    crc: u32,
}

impl<P: Post> LabelEvents<P> {
    /// The name of the sink, which is that of the predictions' own.
    pub const NAME: &str = "cloudevents";

    /// To that receiver.
    pub fn new(to: P) -> LabelEvents<P> {
        LabelEvents { to, done: BTreeMap::new() }
    }

    /// Posts labels of a model. `name`: where they begin, the same in every attempt. Says how many were taken:
    /// those that are too large for the receiver are left out.
    pub fn put(&mut self, model: &ModelName, name: &str, rows: &[LabelRow]) -> io::Result<usize> {
        let source = quoted(&source_of_model(model));
        let mut batch = Batch::default();
        let mut waiting: Vec<Waiting> = rows
            .iter()
            .filter_map(|it| batch.add(&[event(&source, model, it).as_bytes()]))
            .collect();
        waiting.extend(batch.close());
        let done = self.done.remove(model).filter(|it| it.is_of(name, &waiting));
        let (skip, mut left_out) = done.map_or((0, 0), |it| (it.posts, it.left_out));
        for (posts, it) in waiting.iter().enumerate().skip(skip) {
            match post(&mut self.to, Self::NAME, it) {
                Ok(more) => {
                    metrics::untold(Self::NAME, more.events);
                    left_out += more.rows;
                }
                Err(error) => {
                    let last = posts.checked_sub(1).and_then(|it| waiting.get(it));
                    let (name, crc) = (name.to_owned(), last.map_or(0, Waiting::crc));
                    self.done.insert(model.clone(), Done { name, posts, left_out, crc });
                    return Err(error);
                }
            }
        }
        Ok(rows.len() - left_out)
    }
}

impl Done {
    /// Were these what was posted?
    fn is_of(&self, name: &str, waiting: &[Waiting]) -> bool {
        let last = self.posts.checked_sub(1).and_then(|it| waiting.get(it));
        self.name == name && last.is_some_and(|it| it.crc() == self.crc)
    }
}

/// Produces labels.
pub struct LabelMessages<P> {
    to: P,
}

impl<P: Produce> LabelMessages<P> {
    /// The name of the sink, which is that of the predictions' own.
    pub const NAME: &str = "kafka";

    /// To that topic.
    pub fn new(to: P) -> LabelMessages<P> {
        LabelMessages { to }
    }

    /// Produces labels of a model.
    pub fn put(&mut self, model: &ModelName, rows: &[LabelRow]) -> io::Result<()> {
        let source = source_of_model(model);
        let messages: Vec<Message> = rows.iter().map(|it| message(&source, model, it)).collect();
        produce(&mut self.to, &messages)
    }
}

/// An event of a batch.
fn event(source: &str, model: &ModelName, row: &LabelRow) -> String {
    let (id, subject) = (quoted(&row.label_id), quoted(&row.inference_id));
    let (time, data) = (calendar::of_us(row.recorded_time), data(model, row));
    format!(
        "{{\"specversion\":\"1.0\",\"type\":\"{LABEL}\",\"source\":{source},\"id\":{id},\
         \"subject\":{subject},\"time\":\"{time}\",\"datacontenttype\":\"{KIND}\",\"data\":{data}}}"
    )
}

/// In the binary mode, like a row. Labels of a request are of one key, as its rows are in their topic.
fn message(source: &str, model: &ModelName, row: &LabelRow) -> Message {
    let headers = vec![
        ("content-type", KIND.to_owned()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", row.label_id.clone()),
        ("ce_type", LABEL.to_owned()),
        ("ce_source", source.to_owned()),
        ("ce_subject", row.inference_id.clone()),
        ("ce_time", calendar::of_us(row.recorded_time)),
    ];
    Message {
        key: row.inference_id.clone(),
        value: data(model, row).into_bytes(),
        headers,
        time_ms: row.recorded_time.div_euclid(1_000),
    }
}

/// With the columns of the table of labels; JSON itself tells of which type a label is.
fn data(model: &ModelName, row: &LabelRow) -> String {
    let label = match &row.value {
        LabelValue::Bool(it) => it.to_string(),
        LabelValue::Number(it) => it.to_string(),
        LabelValue::Text(it) => quoted(it),
    };
    let known = row.label_time.map_or("null".to_owned(), |it| quoted(&calendar::of_us(it)));
    let (model, id) = (quoted(model.as_str()), quoted(&row.label_id));
    let (of, place) = (quoted(&row.inference_id), row.row_index);
    let recorded = calendar::of_us(row.recorded_time);
    format!(
        "{{\"model\":{model},\"label_id\":{id},\"inference_id\":{of},\"row_index\":{place},\
         \"label\":{label},\"label_time\":{known},\"recorded_time\":\"{recorded}\"}}"
    )
}

#[cfg(test)]
#[path = "label_events_tests.rs"]
mod tests;
