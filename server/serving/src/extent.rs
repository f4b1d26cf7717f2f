//! How large a request is: in rows, and in elements along the axes that vary.
//!
//! An element is a token where a sequence varies, a pixel where height and width do, a row where
//! nothing else does. What a run costs grows with them, padding included.

use backend_api::{Dim, Shape, Signature, Tensor};

use server_base::limits;

use crate::error::InferError;
use crate::padding::Padded;
use crate::plan::Plan;

/// The size of one request.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Rows that it brings to a batch.
    pub(crate) rows: usize,
    /// Elements of all its rows.
    pub(crate) own: usize,
    /// The same with its padding.
    pub(crate) units: usize,
    /// What it is padded to.
    pub(crate) padded: Option<Box<Padded>>,
    /// Bytes that its padding takes.
    pub(crate) padding_bytes: usize,
}

impl Extent {
    /// Of checked inputs that bring `rows` rows. An error if they are longer than anything they
    /// may be padded to, or larger than a batch.
    pub(crate) fn new(
        model: &str,
        (signature, plan): (&Signature, &Plan),
        (inputs, rows): (&[Tensor], usize),
    ) -> Result<Extent, InferError> {
        let own_row = row_elements(signature, inputs.iter().map(Tensor::shape));
        let padded = plan.padding.padded(model, inputs)?;
        let row = match &padded {
            None => own_row,
            Some(it) => row_elements(signature, it.shapes().iter()),
        };
        let (batch_rows, most) = (plan.batching.rows_run(rows), plan.batching.elements_max);
        let elements = row.saturating_mul(batch_rows);
        if elements > most {
            let text = format!(
                "inference request must have at most {most} elements for '{model}', got {elements}: \
                 {batch_rows} rows of {row}"
            );
            return Err(InferError::Invalid(text));
        }
        refuse_rows(model, plan, (inputs, rows), padded.as_deref())?;
        let padding_bytes = padded.as_ref().map_or(0, |it| padding_bytes(inputs, it.shapes()));
        let (own, units) = (own_row.saturating_mul(rows), row.saturating_mul(rows));
        Ok(Extent { rows, own, units, padded, padding_bytes })
    }
}

/// Elements of a row whose inputs have these shapes: those of the input that has most, because
/// inputs of one length, tokens and their mask, are one piece of work.
pub fn row_elements<'a>(signature: &Signature, shapes: impl Iterator<Item = &'a Shape>) -> usize {
    let of = |(spec, shape): (&backend_api::TensorSpec, &Shape)| {
        let lengths = spec.dims.iter().zip(shape.dims());
        let free = lengths.filter(|(dim, _)| matches!(dim, Dim::Free(_)));
        free.map(|(_, length)| *length).fold(1_usize, usize::saturating_mul)
    };
    signature.inputs.iter().zip(shapes).map(of).max().unwrap_or(1).max(1)
}

/// Rows that fill a batch up are counted for no request. So the largest batch of such rows must be
/// one that a request may bring.
fn refuse_rows(
    model: &str,
    plan: &Plan,
    (inputs, rows): (&[Tensor], usize),
    padded: Option<&Padded>,
) -> Result<(), InferError> {
    let Some(sizes) = &plan.batching.sizes else { return Ok(()) };
    let own = inputs.iter().map(|it| it.data().len()).fold(0, usize::saturating_add);
    let padding = padded.map_or(0, |it| padding_bytes(inputs, it.shapes()));
    let row = own.saturating_add(padding) / rows.max(1);
    let (bytes, most) = (row.saturating_mul(sizes.max()), limits::REQUEST_BYTES_MAX);
    if bytes > most {
        let rows = sizes.max();
        let text = format!(
            "the inputs of model '{model}' have {row} bytes a row: a batch of {rows} rows would \
             have {bytes}, at most {most} are possible"
        );
        return Err(InferError::Invalid(text));
    }
    Ok(())
}

fn padding_bytes(inputs: &[Tensor], shapes: &[Shape]) -> usize {
    let more = |(input, shape): (&Tensor, &Shape)| {
        let size = input.dtype().size().unwrap_or(size_of::<u32>()); // an empty string's length
        shape.elements().saturating_sub(input.shape().elements()).saturating_mul(size)
    };
    inputs.iter().zip(shapes).map(more).fold(0, usize::saturating_add)
}

#[cfg(test)]
#[path = "extent_tests.rs"]
mod tests;
