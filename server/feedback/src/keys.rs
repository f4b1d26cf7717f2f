//! What names rows: of which event, which row of it, and by what id the caller knows its request.

use std::io;

use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use arrow_array::{RecordBatch, StringArray, UInt32Array};

/// See the module.
pub(crate) struct Keys<'a> {
    events: &'a StringArray,
    rows: &'a UInt32Array,
    requests: &'a StringArray,
}

impl<'a> Keys<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> io::Result<Keys<'a>> {
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| io::Error::other(format!("no column {name}")))
        };
        let text = |name: &str| {
            let text = column(name)?.as_string_opt::<i32>();
            text.ok_or_else(|| io::Error::other(format!("{name} is no text")))
        };
        let rows = column("row_index")?.as_primitive_opt::<UInt32Type>();
        let rows = rows.ok_or_else(|| io::Error::other("row_index is no number"))?;
        Ok(Keys { events: text("event_id")?, rows, requests: text("request_id")? })
    }

    /// The same for a row that comes twice, and for no other.
    pub(crate) fn id(&self, row: usize) -> String {
        format!("{}.{}", self.events.value(row), self.rows.value(row))
    }

    pub(crate) fn request(&self, row: usize) -> &'a str {
        self.requests.value(row)
    }
}
