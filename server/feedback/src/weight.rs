//! What a record weighs: in the queue, by what it keeps in memory, and on the way to the disk, by what
//! its rows take there. Pure.

use backend_api::DType;
use bytes::Bytes;
use server_base::{KeptTensor, Record, Unlogged};

use crate::copies::copied;
use crate::list::{LIST_MEMORY, LIST_RECORDS, LIST_TENSORS};
use crate::rows::{Form, Side};
use crate::schema::{Layout, Logged};

/// What a record takes beside tensors and rows: itself, its ids, its place in the queue.
const RECORD_BYTES: usize = 1_024;

/// What a row takes beside its tensors and its caller's texts, at the most: ids, a rollout's too, digest, words, times,
/// numbers, and where they begin.
const ROW_BYTES: usize = 448;

/// What a row takes for a tensor that is logged whole, beside the tensor: type, lengths, digest.
const WHOLE_BYTES: usize = 160;

/// What the mark of a text that was cut takes, beside the hash: the name of its column, and lengths. Names are a tensor's
/// and a number.
const MARK_BYTES: usize = 80;

/// What a hash takes.
const HASH_BYTES: usize = 68;

/// Tensors of a record whose places in a list are paid for with the record: as many as a list has places for each of
/// its records.
const SLOTS: usize = LIST_TENSORS / LIST_RECORDS;

/// What each one more takes: of a list its share, twice, as a list may be left half empty for want of places. One that
/// is made holds some hundred kilobytes, however few records of many tensors fit into it.
const SLOT_BYTES: usize = 2 * LIST_MEMORY.div_ceil(LIST_TENSORS);

/// Rows of one record may be no more: a column of texts has at most 2 GiB, and what is no text can
/// become three times as long by the characters that stand for it.
const ROWS_BYTES_MAX: usize = 512 << 20;

/// A tensor that is no longer than that is copied: it may be a slice of something much larger, a
/// batch or a connection's buffer. 16 KiB are copied in about a microsecond.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// Of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Bytes of its tensors that are logged.
    pub(crate) values: usize,
    /// What its tensors keep in memory.
    kept: usize,
    /// What its rows take.
    rows: usize,
    /// Its tensors that are logged.
    slots: usize,
    /// Is more in memory because of a side's tensors than is logged of them?
    are_parts: [bool; 2],
}

impl Weight {
    pub(crate) fn of(record: &Record, form: &Form) -> Weight {
        let config = &form.subject.config;
        let sides = form.sides(record);
        let slots = sides.iter().map(|(_, logged)| logged.len()).sum();
        let [(inputs, input_cells), (outputs, output_cells)] =
            sides.map(|it| bytes_and_cells(it, record.rows));
        let held = if record.held == 0 { usize::MAX } else { record.held };
        let batch_rows = record.timing.batch_rows;
        let are_parts = [held > 2 * inputs, batch_rows == 0 || batch_rows > record.rows];
        // What was not run alone is copied, so that an answer never keeps more than what is logged of it.
        let kept = if are_parts[0] { inputs } else { held.max(inputs) } + outputs;
        let error = record.failure.as_ref().map_or(0, |it| it.1.len().min(config.value_bytes_max));
        let row = ROW_BYTES + record.request_id.len() + error;
        let rows = record.rows.saturating_mul(row).saturating_add(input_cells + output_cells);
        Weight { values: inputs + outputs, kept, rows, slots, are_parts }
    }

    /// What it takes of the queue's budget.
    pub(crate) fn charge(self) -> Result<usize, Unlogged> {
        if self.rows > ROWS_BYTES_MAX {
            return Err(Unlogged::Record);
        }
        let places = self.slots.saturating_sub(SLOTS).saturating_mul(SLOT_BYTES);
        Ok(RECORD_BYTES.saturating_add(places).saturating_add(self.kept.max(self.rows)))
    }

    /// A tensor of that side in memory that may stay: its own, or a copy where that keeps more than is
    /// logged.
    pub(crate) fn kept(self, tensor: KeptTensor<'_>, side: usize) -> Bytes {
        let is_part = self.are_parts.get(side).copied().unwrap_or(true);
        match tensor.held.filter(|it| !is_part && it.data().len() > COPIED_BYTES_MAX) {
            Some(held) => held.data().clone(),
            None => copied(tensor.data),
        }
    }
}

/// Bytes of a side's tensors that are logged, and what their columns take.
fn bytes_and_cells((tensors, logged): Side<'_>, rows: usize) -> (usize, usize) {
    let (mut bytes, mut taken) = (0, 0);
    for it in logged {
        let tensor = tensors.get(it.place);
        bytes += tensor.map_or(0, |it| it.data.len());
        taken += cells(it, tensor, rows);
    }
    (bytes, taken)
}

/// What a tensor's columns take.
fn cells(logged: &Logged, tensor: Option<KeptTensor<'_>>, rows: usize) -> usize {
    let bytes = tensor.map_or(0, |it| it.data.len());
    let elements = || tensor.map_or(0, |it| it.elements);
    match logged.layout {
        Layout::Whole if logged.hashed => rows.saturating_mul(HASH_BYTES),
        Layout::Whole => rows.saturating_mul(WHOLE_BYTES).saturating_add(bytes),
        Layout::Columns(_) if logged.hashed => elements().saturating_mul(HASH_BYTES),
        // Any of them may be cut, and to look would take as long as to copy.
        Layout::Columns(_) if logged.is_text() => {
            elements().saturating_mul(HASH_BYTES + MARK_BYTES).saturating_add(bytes)
        }
        // They are widened.
        Layout::Columns(_) if matches!(logged.dtype, DType::Fp16 | DType::Bf16) => 2 * bytes,
        Layout::Columns(_) => bytes,
    }
}

#[cfg(test)]
#[path = "weight_tests.rs"]
mod tests;
