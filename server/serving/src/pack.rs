//! Joins the rows of several requests, and parts the rows of an answer.
//!
//! Called on the instance thread, outside every lock. Invariant: `unpack` after `pack` gives each
//! request the rows it brought, for any mix of rows and types.

use backend_api::{BackendError, Buffer, DType, Shape, Tensor, TensorError};

use crate::block::copy_common;

/// What one request brings to a batch's input.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) tensor: &'a Tensor,
    /// The shape that it takes there: its own, or a longer one.
    pub(crate) shape: &'a Shape,
}

impl Part<'_> {
    fn is_padded(&self) -> bool {
        self.tensor.shape() != self.shape
    }
}

/// One tensor with the rows of all `parts`, in order, and the last of them again `surplus` times.
/// The parts agree in type and in all axes but the first (see `Pending::joins`); what they lack is
/// filled with the element `fill`, or zeros. A single part that lacks nothing is shared, not copied.
pub(crate) fn pack<'a>(
    parts: impl Iterator<Item = Part<'a>> + Clone,
    surplus: usize,
    fill: &[u8],
) -> Result<Tensor, BackendError> {
    let mut rest = parts.clone();
    let Some(first) = rest.next() else { return Err(broken("a batch without requests")) };
    let is_joined = surplus == 0 && !parts.clone().any(|it| it.is_padded());
    if is_joined && rest.next().is_none() {
        return Ok(first.tensor.clone());
    }
    let rows: usize = parts.clone().filter_map(|it| it.shape.rows()).sum();
    let shape = first.shape.with_rows(rows + surplus).ok_or_else(|| broken("a batch too large"))?;
    let dtype = first.tensor.dtype();
    let packed = match dtype.size() {
        _ if is_joined => join(parts, (dtype, shape)),
        Some(size) => lay_numbers(parts, (dtype, shape), (size, fill)),
        None => lay_strings(parts, &shape),
    };
    packed.map_err(|it| broken(&it.to_string()))
}

/// Puts the bytes of all parts one behind the other.
fn join<'a>(
    parts: impl Iterator<Item = Part<'a>> + Clone,
    (dtype, shape): (DType, Shape),
) -> Result<Tensor, TensorError> {
    let len: usize = parts.clone().map(|it| it.tensor.data().len()).sum();
    let mut buffer = Buffer::zeroed(len);
    let mut place = buffer.as_mut_slice();
    for part in parts {
        let (here, rest) = place.split_at_mut(part.tensor.data().len());
        here.copy_from_slice(part.tensor.data());
        place = rest;
    }
    Tensor::new(dtype, shape, buffer.freeze())
}

fn lay_numbers<'a>(
    parts: impl Iterator<Item = Part<'a>>,
    (dtype, shape): (DType, Shape),
    (size, fill): (usize, &[u8]),
) -> Result<Tensor, TensorError> {
    let mut buffer = Buffer::zeroed(shape.elements() * size);
    let bytes = buffer.as_mut_slice();
    // Zeros are there already. Others are laid below everything: padding stands in many pieces.
    if fill.len() == size && fill.iter().any(|it| *it != 0) {
        bytes.chunks_exact_mut(size).for_each(|it| it.copy_from_slice(fill));
    }
    lay(parts.map(|it| (&**it.tensor.data(), it)), bytes, size);
    Tensor::new(dtype, shape, buffer.freeze())
}

fn lay_strings<'a>(
    parts: impl Iterator<Item = Part<'a>> + Clone,
    shape: &Shape,
) -> Result<Tensor, TensorError> {
    let strings: Vec<Vec<&[u8]>> = parts.clone().map(|it| it.tensor.strings().collect()).collect();
    let mut all: Vec<&[u8]> = vec![&[]; shape.elements()];
    lay(strings.iter().map(Vec::as_slice).zip(parts), &mut all, 1);
    Tensor::from_strings(shape.dims(), &all)
}

/// Lays every part in its place, then the last row as often as there is room left.
fn lay<'e, 'a, E: Copy + 'e>(
    parts: impl Iterator<Item = (&'e [E], Part<'a>)>,
    all: &mut [E],
    items: usize,
) {
    let (mut end, mut row) = (0, 0);
    for (elements, part) in parts {
        let start = end;
        let len = part.shape.elements() * items;
        end += len;
        row = len.checked_div(part.shape.rows().unwrap_or(1)).unwrap_or(0);
        if let Some(place) = all.get_mut(start..end) {
            let dims = (part.tensor.shape().dims(), part.shape.dims());
            copy_common((elements, dims.0), (place, dims.1), items);
        }
    }
    let (laid, room) = all.split_at_mut(end);
    if let Some(last) = laid.get(end - row..)
        && row > 0
    {
        room.chunks_exact_mut(row).for_each(|it| it.copy_from_slice(last));
    }
}

/// The rows of `output` for requests of `counts` rows each, sharing its memory. `surplus` rows
/// follow that nobody asked for.
pub(crate) fn unpack(
    name: &str,
    output: Tensor,
    (counts, surplus): (&[usize], usize),
) -> Result<Vec<Tensor>, BackendError> {
    if counts.len() == 1 && surplus == 0 {
        return Ok(vec![output]);
    }
    let (dtype, shape) = (output.dtype(), output.shape().clone());
    let parts = if surplus == 0 {
        output.split_rows(counts)
    } else {
        let with_surplus = [counts, &[surplus]].concat();
        output.split_rows(&with_surplus).map(|mut parts| {
            parts.truncate(counts.len());
            parts
        })
    };
    let rows = counts.iter().sum::<usize>() + surplus;
    parts.ok_or_else(|| rows_error(name, (dtype, &shape), rows))
}

/// A model that looked batched gave another number of rows than it got.
pub(crate) fn rows_error(name: &str, (dtype, shape): (DType, &Shape), rows: usize) -> BackendError {
    BackendError::Run {
        reason: format!(
            "{rows} rows went in, output '{name}' came out as {dtype} {shape}; \
             if the model's first axis is no batch axis, set max_batch_size = 0 in its model.toml"
        ),
    }
}

fn broken(what: &str) -> BackendError {
    BackendError::Run { reason: what.to_owned() }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
