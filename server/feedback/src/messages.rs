//! Rows as messages of Kafka, or of whatever speaks like it: one for each row.
//!
//! One, and not one for each batch, because that is what consumers of a topic join, filter and compact by;
//! the client puts many into one request anyway. The key is the request's id, so that all rows of a
//! request, and whatever else comes of it, are in one partition in their order. The headers are those of
//! a CloudEvent in the binary mode of its binding to Kafka; a row that comes twice has the same `ce_id`. One header more
//! says what its columns are.

use std::io;

use server_base::calendar;

use crate::catalogue::Position;
use crate::cloudevents::{ROW, source_of};
use crate::jsonlines::lines;
use crate::keys::Keys;
use crate::manifest::manifest;
use crate::past::times;
use crate::sink::{LeftOut, Rows, Sink};

/// Bytes and messages that wait for a flush. The producer has a queue of its own for that many.
pub const WAITING_BYTES_MAX: usize = 8 << 20;
/// See [`WAITING_BYTES_MAX`].
pub const WAITING_MAX: usize = 10_000;

/// A message that is longer is one that brokers refuse as they come (`message.max.bytes` is 1,048,588
/// there, and 1,000,000 in clients), and would come again for ever. Some room is for its frame.
pub const MESSAGE_BYTES_MAX: usize = 990_000;

/// The header that says of which types and tensors a row's columns are: JSON does not.
pub const COLUMNS: &str = "salver_columns";

/// What a message takes beside its key, value and headers' values.
const HEADER_BYTES: usize = 160;

const SINK: &str = "kafka";

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Messages of one key stay in their order.
    pub key: String,
    /// JSON.
    pub value: Vec<u8>,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// When the request came in, in milliseconds since 1970.
    pub time_ms: i64,
}

/// Produces messages.
pub trait Produce: Send {
    /// All of them have been taken when it returns. After an error any of them may have been; those that
    /// are still under way are called back as far as that goes.
    fn produce(&mut self, messages: &[Message]) -> io::Result<()>;
}

/// Sends what is logged.
pub struct Messages<P> {
    to: P,
    waiting: Vec<Message>,
    bytes: usize,
    /// Rows that are too long, and are not among those that wait.
    left_out: usize,
}

impl<P: Produce> Messages<P> {
    /// To that topic.
    pub fn new(to: P) -> Messages<P> {
        Messages { to, waiting: Vec::new(), bytes: 0, left_out: 0 }
    }
}

impl<P: Produce> Sink for Messages<P> {
    fn name(&self) -> &'static str {
        SINK
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        let keys = Keys::of(&rows.batch)?;
        let (lines, times) = (lines(rows)?, times(&rows.batch));
        let (source, columns) =
            (source_of(&rows.model, rows.version), manifest(&rows.batch.schema()));
        for (row, (line, micros)) in lines.split(|it| *it == b'\n').zip(times).enumerate() {
            let message = message(&keys, row, line, (micros, &source, &columns));
            let bytes = message.bytes();
            if bytes > MESSAGE_BYTES_MAX {
                tracing::error!(model = %rows.model, version = %rows.version, bytes, "a row is too long for a message: it is left out");
                self.left_out += 1;
                continue;
            }
            self.bytes += bytes;
            self.waiting.push(message);
        }
        Ok(())
    }

    fn flush(&mut self, _from: Position, _of: &str) -> io::Result<LeftOut> {
        // Rows of one write may be more than the producer takes at a time.
        produce(&mut self.to, &self.waiting)?;
        let left_out = LeftOut { events: self.left_out, rows: self.left_out };
        self.reset();
        Ok(left_out)
    }

    fn reset(&mut self) {
        self.waiting.clear();
        (self.bytes, self.left_out) = (0, 0);
    }

    fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX || self.waiting.len() >= WAITING_MAX
    }
}

impl Message {
    fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|it| it.1.len()).sum();
        self.key.len() + self.value.len() + headers + HEADER_BYTES
    }
}

/// Produces all of them, as many at a time as there is room for.
pub(crate) fn produce<P: Produce>(to: &mut P, messages: &[Message]) -> io::Result<()> {
    let mut rest = messages;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |it: &&Message| {
            bytes += it.bytes();
            bytes <= WAITING_BYTES_MAX
        };
        let most = rest.iter().take(WAITING_MAX).take_while(fits).count().max(1);
        let (now, later) = rest.split_at_checked(most).unwrap_or((rest, &[]));
        to.produce(now)?;
        rest = later;
    }
    Ok(())
}

fn message(
    keys: &Keys<'_>,
    row: usize,
    line: &[u8],
    (micros, source, columns): (i64, &str, &str),
) -> Message {
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", keys.id(row)),
        ("ce_type", ROW.to_owned()),
        ("ce_source", source.to_owned()),
        ("ce_time", calendar::of_us(micros)),
        (COLUMNS, columns.to_owned()),
    ];
    let key = keys.request(row).to_owned();
    Message { key, value: line.to_vec(), headers, time_ms: micros.div_euclid(1_000) }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
