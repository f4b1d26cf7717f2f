//! From records to rows of Arrow columns. Runs on the log's own thread.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, Float32Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::ArrowError;
use backend_api::Tensor;
use server_base::{Kind, Record, Subject};

use crate::list::{Entry, Head};
use crate::redact::Key;
use crate::schema::{Columns, Layout, Logged};
use crate::{marks, values};

/// How values are turned into columns.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) subject: Subject,
    pub(crate) columns: Columns,
    /// There if something is hashed.
    pub(crate) key: Option<Key>,
}

/// Tensors of a record in the signature's order, and which of them are logged.
pub(crate) type Side<'a> = (&'a [Tensor], &'a [Logged]);

/// One tensor of each of these records: which of those that are logged, inputs first.
pub(crate) type Tensors<'a> = (&'a [Entry<'a>], usize);

impl Form {
    /// One batch of all rows of these records.
    pub(crate) fn batch(
        &self,
        entries: &[Entry<'_>],
        now: SystemTime,
    ) -> Result<RecordBatch, ArrowError> {
        let mut columns = self.fixed(entries, now);
        let logged = self.columns.inputs.iter().chain(&self.columns.outputs);
        for (number, logged) in logged.enumerate() {
            columns.extend(self.tensor(logged, (entries, number))?);
        }
        if self.columns.has_marks {
            columns.push(marks::of(&self.columns, entries, self.subject.config.value_bytes_max)?);
        }
        RecordBatch::try_new(Arc::clone(&self.columns.schema), columns)
    }

    /// In the order of `schema::fixed`.
    fn fixed(&self, entries: &[Entry<'_>], now: SystemTime) -> Vec<ArrayRef> {
        let rows: usize = entries.iter().map(|it| it.rows()).sum();
        let each = |of: fn(&Head) -> u32| -> ArrayRef {
            let repeat = |it: &Entry<'_>| std::iter::repeat_n(of(it.head), it.rows());
            Arc::new(UInt32Array::from_iter_values(entries.iter().flat_map(repeat)))
        };
        let words = |of: fn(&Head) -> &'static str| -> ArrayRef {
            let mut column = StringBuilder::with_capacity(rows, rows * 8);
            for entry in entries {
                let word = of(entry.head);
                (0..entry.rows()).for_each(|_| column.append_value(word));
            }
            Arc::new(column.finish())
        };
        let texts = |of: fn(&Entry<'_>) -> Option<String>| -> ArrayRef {
            let mut column = StringBuilder::with_capacity(rows, 0);
            for entry in entries {
                let text = of(entry);
                (0..entry.rows()).for_each(|_| column.append_option(text.as_deref()));
            }
            Arc::new(column.finish())
        };
        let times = |of: &dyn Fn(&Head) -> i64| -> ArrayRef {
            let repeat = |it: &Entry<'_>| std::iter::repeat_n(of(it.head), it.rows());
            let values = entries.iter().flat_map(repeat);
            Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
        };
        let now = micros(now);
        let (events, requests) = names(entries, rows);
        let row_index = entries.iter().flat_map(|it| (0..it.rows()).map(number));
        let digest = self.subject.digest.as_deref();
        let rate = |it: &Entry<'_>| std::iter::repeat_n(it.head.probability, it.rows());
        vec![
            events,
            requests,
            Arc::new(UInt32Array::from_iter_values(row_index)),
            texts(|it| it.trace().map(|it| format!("{:032x}", it.trace))),
            texts(|it| it.trace().map(|it| format!("{:016x}", it.span))),
            times(&|it| micros(it.time)),
            times(&|_| now),
            Arc::new(StringArray::from_iter(std::iter::repeat_n(digest, rows))),
            words(|it| it.route.label()),
            words(|it| it.protocol.label()),
            words(|it| it.failure.map_or("OK", Kind::label)),
            texts(|it| it.error().map(str::to_owned)),
            each(|it| it.latency_us),
            each(|it| it.queue_us),
            each(|it| it.infer_us),
            each(|it| it.batch_rows),
            Arc::new(Float32Array::from_iter_values(entries.iter().flat_map(rate))),
            words(|it| it.reason.label()),
            texts(|it| it.pair().map(|it| it.to_string())),
        ]
    }

    /// An error's text may quote a value, so it goes where values do not.
    pub(crate) fn error<'a>(&self, record: &'a Record) -> Option<&'a str> {
        let (_, text) = record.failure.as_ref()?;
        let config = &self.subject.config;
        (!config.redacts()).then(|| clipped(text, config.value_bytes_max))
    }

    /// Its inputs and its outputs, in the order of the columns.
    pub(crate) fn sides<'a>(&'a self, record: &'a Record) -> [Side<'a>; 2] {
        let Columns { inputs, outputs, .. } = &self.columns;
        [(&record.inputs, inputs), (&record.outputs, outputs)]
    }

    fn tensor(&self, logged: &Logged, from: Tensors<'_>) -> Result<Vec<ArrayRef>, ArrowError> {
        let bytes_max = self.subject.config.value_bytes_max;
        match (&logged.layout, &self.key) {
            (_, Some(key)) if logged.hashed => {
                Ok(values::hashes((logged, logged.width()), from, key))
            }
            // Its values must not be seen, and there is no key to hash them with.
            (_, None) if logged.hashed => {
                Err(ArrowError::InvalidArgumentError("a hashed column without a key".to_owned()))
            }
            (Layout::Columns(width), _) => Ok(values::columns((logged, *width), from, bytes_max)),
            (Layout::Whole, _) => Ok(vec![values::whole(logged, from, bytes_max)?]),
        }
    }
}

/// Our names for the records and their callers', which are ours where a caller gave none. One of each
/// for every row, so without a text of its own for each.
fn names(entries: &[Entry<'_>], rows: usize) -> (ArrayRef, ArrayRef) {
    let mut events = StringBuilder::with_capacity(rows, rows * 36);
    let mut requests = StringBuilder::with_capacity(rows, rows * 36);
    for entry in entries {
        let event = entry.head.event.text();
        let event = std::str::from_utf8(&event).unwrap_or_default();
        let request = String::from_utf8_lossy(entry.request_id());
        let request = if request.is_empty() { event } else { &request };
        for _ in 0..entry.rows() {
            events.append_value(event);
            requests.append_value(request);
        }
    }
    (Arc::new(events.finish()), Arc::new(requests.finish()))
}

pub(crate) fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(crate) fn duration(value: Duration) -> u32 {
    u32::try_from(value.as_micros()).unwrap_or(u32::MAX)
}

/// Since 1970; a clock before that is taken to stand there.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// At most so many bytes of a text, cut between characters.
pub(crate) fn clipped(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max.min(text.len()))).unwrap_or_default()
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
