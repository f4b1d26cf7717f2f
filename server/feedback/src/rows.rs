//! From records to rows of Arrow columns. Runs on the log's own thread.

use std::ptr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::builder::{Float32Builder, StringBuilder};
use arrow_array::{
    ArrayRef, Float32Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;
use server_base::{Kept, Kind, Record, Subject};

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
pub(crate) type Side<'a> = (&'a Kept, &'a [Logged]);

/// One tensor of each of these records: which of those that are logged, inputs first.
pub(crate) type Tensors<'a> = (&'a [Entry<'a>], usize);

impl Form {
    /// One batch of all rows of these records.
    pub(crate) fn batch(
        &self,
        entries: &[Entry<'_>],
        now: SystemTime,
    ) -> Result<RecordBatch, ArrowError> {
        let mut columns = self.fixed(entries, now)?;
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
    fn fixed(&self, entries: &[Entry<'_>], now: SystemTime) -> Result<Vec<ArrayRef>, ArrowError> {
        let rows: usize = entries.iter().map(|it| it.rows()).sum();
        let of = Of { entries, rows };
        let (events, requests) = of.names()?;
        let mut row_index = Vec::with_capacity(rows);
        entries.iter().for_each(|it| row_index.extend((0..it.rows()).map(number)));
        Ok(vec![
            events,
            requests,
            Arc::new(UInt32Array::from(row_index)),
            of.texts(|it| it.trace().map(|it| format!("{:032x}", it.trace))),
            of.texts(|it| it.trace().map(|it| format!("{:016x}", it.span))),
            times(of.each(|it| micros(it.time))),
            times(vec![micros(now); rows]),
            same(self.subject.digest.as_deref(), rows),
            of.words(|it| it.route.label()),
            of.words(|it| it.protocol.label()),
            of.words(|it| it.failure.map_or("OK", Kind::label)),
            of.texts(|it| it.error().map(str::to_owned)),
            of.numbers(|it| it.latency_us),
            of.numbers(|it| it.queue_us),
            of.numbers(|it| it.infer_us),
            of.numbers(|it| it.batch_rows),
            Arc::new(Float32Array::from(of.each(|it| it.probability))),
            of.words(|it| it.reason.label()),
            of.texts(|it| it.pair().map(|it| it.to_string())),
            of.rollouts(),
            of.weights(),
        ])
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

/// Of an event's id as text.
const EVENT_BYTES: usize = 36;

/// Records, and how many rows they have together.
#[derive(Clone, Copy)]
struct Of<'a> {
    entries: &'a [Entry<'a>],
    rows: usize,
}

impl Of<'_> {
    /// What each record has, for each of its rows.
    fn each<T: Copy>(self, of: impl Fn(&Head) -> T) -> Vec<T> {
        // An iterator over rows of records does not know how many these are, and the column would grow.
        let mut column = Vec::with_capacity(self.rows);
        for entry in self.entries {
            column.resize(column.len() + entry.rows(), of(entry.head));
        }
        column
    }

    fn numbers(self, of: fn(&Head) -> u32) -> ArrayRef {
        Arc::new(UInt32Array::from(self.each(of)))
    }

    /// One of few words, mostly the same for all.
    fn words(self, of: fn(&Head) -> &'static str) -> ArrayRef {
        let first = self.entries.first().map(|it| of(it.head));
        // By its address, which is enough: one that lies elsewhere is looked at like another.
        let is_first = |it: &Entry<'_>| first.is_some_and(|first| ptr::eq(of(it.head), first));
        if self.entries.iter().all(is_first) {
            return same(first, self.rows);
        }
        let mut column = StringBuilder::with_capacity(self.rows, self.rows * 8);
        for entry in self.entries {
            let word = of(entry.head);
            (0..entry.rows()).for_each(|_| column.append_value(word));
        }
        Arc::new(column.finish())
    }

    /// A text that few records have, and mostly none.
    fn texts(self, of: fn(&Entry<'_>) -> Option<String>) -> ArrayRef {
        if self.entries.iter().all(|it| of(it).is_none()) {
            return same(None, self.rows);
        }
        let mut column = StringBuilder::with_capacity(self.rows, 0);
        for entry in self.entries {
            let text = of(entry);
            (0..entry.rows()).for_each(|_| column.append_option(text.as_deref()));
        }
        Arc::new(column.finish())
    }

    /// Of one rollout or none, mostly.
    fn rollouts(self) -> ArrayRef {
        fn of<'a>(it: &Entry<'a>) -> Option<&'a Arc<str>> {
            it.drawn().and_then(|it| it.rollout.as_ref())
        }
        let first = self.entries.first().and_then(of);
        let is_first = |it: &Entry<'_>| match (of(it), first) {
            (Some(it), Some(first)) => Arc::ptr_eq(it, first),
            (it, first) => it.is_none() && first.is_none(),
        };
        if self.entries.iter().all(is_first) {
            return same(first.map(|it| &**it), self.rows);
        }
        let mut column = StringBuilder::with_capacity(self.rows, 0);
        for entry in self.entries {
            let rollout = of(entry).map(|it| &**it);
            (0..entry.rows()).for_each(|_| column.append_option(rollout));
        }
        Arc::new(column.finish())
    }

    /// Shares of the traffic, where that has chosen.
    fn weights(self) -> ArrayRef {
        if self.entries.iter().all(|it| it.drawn().is_none()) {
            return Arc::new(Float32Array::new_null(self.rows));
        }
        let mut column = Float32Builder::with_capacity(self.rows);
        for entry in self.entries {
            match entry.drawn() {
                Some(drawn) => column.append_value_n(drawn.weight, entry.rows()),
                None => column.append_nulls(entry.rows()),
            }
        }
        Arc::new(column.finish())
    }

    /// Our names for the records and their callers', which are ours where a caller gave none. One of each
    /// for every row, so without a text of its own for each.
    fn names(self) -> Result<(ArrayRef, ArrayRef), ArrowError> {
        let mut events = Vec::with_capacity(self.rows * EVENT_BYTES);
        for entry in self.entries {
            let event = entry.head.event.text();
            (0..entry.rows()).for_each(|_| events.extend_from_slice(&event));
        }
        let ends = OffsetBuffer::from_repeated_length(EVENT_BYTES, self.rows);
        let events = StringArray::try_new(ends, events.into(), None)?;
        let events: ArrayRef = Arc::new(events);
        if self.entries.iter().all(|it| it.request_id().is_empty()) {
            return Ok((Arc::clone(&events), events));
        }
        let mut requests = StringBuilder::with_capacity(self.rows, self.rows * EVENT_BYTES);
        for entry in self.entries {
            let event = entry.head.event.text();
            let request = match entry.request_id() {
                [] => String::from_utf8_lossy(&event),
                id => String::from_utf8_lossy(id),
            };
            (0..entry.rows()).for_each(|_| requests.append_value(&request));
        }
        Ok((events, Arc::new(requests.finish())))
    }
}

/// The same text in every row, or none: most columns that are not values say nothing else, and need no look
/// at each row.
fn same(text: Option<&str>, rows: usize) -> ArrayRef {
    Arc::new(match text {
        Some(text) => StringArray::new_repeated(text, rows),
        None => StringArray::new_null(rows),
    })
}

fn times(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("+00:00"))
}

pub(crate) fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(crate) fn duration(value: Duration) -> u32 {
    // In 64 bits, as requests wait for it.
    let micros = value.as_secs().saturating_mul(1_000_000);
    let micros = micros.saturating_add(u64::from(value.subsec_micros()));
    u32::try_from(micros).unwrap_or(u32::MAX)
}

/// Since 1970; a clock before that is taken to stand there.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = since.as_secs().saturating_mul(1_000_000);
    i64::try_from(micros.saturating_add(u64::from(since.subsec_micros()))).unwrap_or(i64::MAX)
}

/// At most so many bytes of a text, cut between characters.
pub(crate) fn clipped(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max.min(text.len()))).unwrap_or_default()
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
