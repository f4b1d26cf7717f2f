//! From records to rows of Arrow columns. Runs on the log's own thread.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, Float32Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::ArrowError;
use server_base::{Kind, Record, Subject};

use crate::redact::Key;
use crate::schema::{Columns, Layout, Logged};
use crate::values;

/// How values are turned into columns.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) subject: Subject,
    pub(crate) columns: Columns,
    /// There if something is hashed.
    pub(crate) key: Option<Key>,
}

/// A record's tensors, in the signature's order.
pub(crate) type Side = fn(&Record) -> &[backend_api::Tensor];

impl Form {
    /// One batch of all rows of these records.
    pub(crate) fn rows(
        &self,
        records: &[Record],
        now: SystemTime,
    ) -> Result<RecordBatch, ArrowError> {
        let mut columns = self.fixed(records, now);
        for logged in &self.columns.inputs {
            columns.extend(self.tensor(logged, records, |it| &it.inputs)?);
        }
        for logged in &self.columns.outputs {
            columns.extend(self.tensor(logged, records, |it| &it.outputs)?);
        }
        RecordBatch::try_new(Arc::clone(&self.columns.schema), columns)
    }

    /// In the order of `schema::fixed`.
    fn fixed(&self, records: &[Record], now: SystemTime) -> Vec<ArrayRef> {
        let rows: usize = records.iter().map(|it| it.rows).sum();
        let each = |of: &dyn Fn(&Record) -> u32| -> ArrayRef {
            let repeat = |it: &Record| std::iter::repeat_n(of(it), it.rows);
            Arc::new(UInt32Array::from_iter_values(records.iter().flat_map(repeat)))
        };
        let words = |of: fn(&Record) -> &'static str| -> ArrayRef {
            let mut column = StringBuilder::with_capacity(rows, rows * 8);
            for record in records {
                (0..record.rows).for_each(|_| column.append_value(of(record)));
            }
            Arc::new(column.finish())
        };
        let texts = |of: &dyn Fn(&Record) -> Option<String>| -> ArrayRef {
            let mut column = StringBuilder::with_capacity(rows, rows * 36);
            for record in records {
                let text = of(record);
                (0..record.rows).for_each(|_| column.append_option(text.as_deref()));
            }
            Arc::new(column.finish())
        };
        let times = |of: &dyn Fn(&Record) -> SystemTime| -> ArrayRef {
            let repeat = |it: &Record| std::iter::repeat_n(micros(of(it)), it.rows);
            let values = records.iter().flat_map(repeat);
            Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
        };
        // One of each for every row, so without a text of its own for each.
        let mut events = StringBuilder::with_capacity(rows, rows * 36);
        let mut requests = StringBuilder::with_capacity(rows, rows * 36);
        for record in records {
            let event = record.event.text();
            let event = std::str::from_utf8(&event).unwrap_or_default();
            let request = String::from_utf8_lossy(&record.request_id);
            // The caller's name for a request, or ours if it gave none.
            let request = if request.is_empty() { event } else { &request };
            for _ in 0..record.rows {
                events.append_value(event);
                requests.append_value(request);
            }
        }
        let (events, requests) = (events.finish(), requests.finish());
        let row_index = records.iter().flat_map(|it| (0..it.rows).map(number));
        let digest = self.subject.digest.as_deref();
        let rates = records.iter().flat_map(|it| std::iter::repeat_n(it.probability, it.rows));
        vec![
            Arc::new(events),
            Arc::new(requests),
            Arc::new(UInt32Array::from_iter_values(row_index)),
            texts(&|it| it.trace.map(|it| format!("{:032x}", it.trace))),
            texts(&|it| it.trace.map(|it| format!("{:016x}", it.span))),
            times(&|it| it.time),
            times(&|_| now),
            Arc::new(StringArray::from_iter(std::iter::repeat_n(digest, rows))),
            words(|it| it.route.label()),
            words(|it| it.protocol.label()),
            words(|it| it.failure.as_ref().map_or("OK", |(kind, _)| Kind::label(*kind))),
            texts(&|it| self.error(it)),
            each(&|it| duration(it.latency)),
            each(&|it| duration(it.timing.queue)),
            each(&|it| duration(it.timing.compute_infer)),
            each(&|it| number(it.timing.batch_rows)),
            Arc::new(Float32Array::from_iter_values(rates)),
            words(|it| it.reason.label()),
            texts(&|it| it.pair.map(|it| it.to_string())),
        ]
    }

    /// An error's text may quote a value, so it goes where values do not.
    fn error(&self, record: &Record) -> Option<String> {
        let (_, text) = record.failure.as_ref()?;
        if self.subject.config.redacts() {
            return None;
        }
        Some(clipped(text, self.subject.config.value_bytes_max).to_owned())
    }

    fn tensor(
        &self,
        logged: &Logged,
        records: &[Record],
        side: Side,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let bytes_max = self.subject.config.value_bytes_max;
        match (&logged.layout, &self.key) {
            (layout, Some(key)) if logged.hashed => {
                let width = if let Layout::Columns(width) = layout { *width } else { 1 };
                Ok(values::hashes((logged, width), (records, side), key))
            }
            // Its values must not be seen, and there is no key to hash them with.
            (_, None) if logged.hashed => {
                Err(ArrowError::InvalidArgumentError("a hashed column without a key".to_owned()))
            }
            (Layout::Columns(width), _) => {
                Ok(values::columns((logged, *width), (records, side), bytes_max))
            }
            (Layout::Whole, _) => Ok(vec![values::whole(logged, (records, side), bytes_max)?]),
        }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn duration(value: Duration) -> u32 {
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
