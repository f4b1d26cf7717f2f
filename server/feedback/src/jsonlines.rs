//! Rows as lines of JSON, one object each, for people and for what collects a container's output.

use std::io::{self, Write};

use crate::catalogue::Position;
use crate::json::quoted;
use crate::objects::objects;
use crate::sink::{LeftOut, Rows, Sink};

/// Bytes of lines that wait for a flush.
const BYTES_MAX: usize = 4 << 20;

/// Writes lines to something that does not take them back: a pipe, a terminal.
pub struct JsonLines<W> {
    to: W,
    lines: Vec<u8>,
}

impl<W: Write> JsonLines<W> {
    /// To that.
    pub fn new(to: W) -> JsonLines<W> {
        JsonLines { to, lines: Vec::new() }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.lines.extend_from_slice(&lines(rows)?);
        Ok(())
    }

    fn flush(&mut self, _from: Position, _of: &str) -> io::Result<LeftOut> {
        self.to.write_all(&self.lines)?;
        self.lines.clear();
        self.to.flush().map(|()| LeftOut::default())
    }

    fn reset(&mut self) {
        self.lines.clear();
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BYTES_MAX
    }
}

/// A line for each row, with an object of its model, its version and its columns.
pub(crate) fn lines(rows: &Rows) -> io::Result<Vec<u8>> {
    let objects = objects(&rows.batch)?;
    // What is the same for all of them stands in front of each.
    let head = quoted(rows.model.as_str());
    let head = format!("{{\"model\":{head},\"version\":{},", rows.version);
    let mut lines = Vec::with_capacity(objects.len() + rows.batch.num_rows() * head.len());
    for object in objects.split(|it| *it == b'\n').filter_map(|it| it.strip_prefix(b"{")) {
        lines.extend_from_slice(head.as_bytes());
        lines.extend_from_slice(object);
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
#[path = "jsonlines_tests.rs"]
mod tests;
