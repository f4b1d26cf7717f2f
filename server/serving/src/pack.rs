//! Joins the rows of several requests, and parts the rows of an answer.
//!
//! Called on the instance thread, outside every lock. Invariant: `unpack` after `pack` gives each
//! request the rows it brought, for any mix of rows and types.

use backend_api::{BackendError, Buffer, DType, Shape, Tensor};

/// One tensor with the rows of all `parts`, in order. The parts agree in type and in all axes but
/// the first (see `Pending::joins`). A single part is shared, not copied.
pub(crate) fn pack<'a>(
    parts: impl Iterator<Item = &'a Tensor> + Clone,
) -> Result<Tensor, BackendError> {
    let mut rest = parts.clone();
    let Some(first) = rest.next() else { return Err(broken("a batch without requests")) };
    if rest.next().is_none() {
        return Ok(first.clone());
    }
    let rows: usize = parts.clone().filter_map(|it| it.shape().rows()).sum();
    let len: usize = parts.clone().map(|it| it.data().len()).sum();
    let shape = first.shape().with_rows(rows).ok_or_else(|| broken("a batch too large"))?;
    let mut buffer = Buffer::zeroed(len);
    let mut place = buffer.as_mut_slice();
    for part in parts {
        let (here, rest) = place.split_at_mut(part.data().len());
        here.copy_from_slice(part.data());
        place = rest;
    }
    Tensor::new(first.dtype(), shape, buffer.freeze()).map_err(|it| broken(&it.to_string()))
}

/// The rows of `output` for requests of `counts` rows each, sharing its memory.
pub(crate) fn unpack(
    name: &str,
    output: Tensor,
    counts: &[usize],
) -> Result<Vec<Tensor>, BackendError> {
    if counts.len() == 1 {
        return Ok(vec![output]);
    }
    let (dtype, shape) = (output.dtype(), output.shape().clone());
    output.split_rows(counts).ok_or_else(|| rows_error(name, (dtype, &shape), counts.iter().sum()))
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
