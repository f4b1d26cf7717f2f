//! How large a request is: in rows, and in elements along the axes that vary.
//!
//! An element is a token where a sequence varies, a pixel where height and width do, a row where
//! nothing else does. What a run costs grows with them.

use backend_api::{Dim, Shape, Signature, Tensor};

use crate::error::InferError;
use crate::policy::Batching;

/// The size of one request.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Rows that it brings to a batch.
    pub(crate) rows: usize,
    /// Elements of all its rows.
    pub(crate) units: usize,
}

impl Extent {
    /// Of checked inputs that bring `rows` rows. An error if they are larger than a batch.
    pub(crate) fn new(
        model: &str,
        (signature, batching): (&Signature, &Batching),
        (inputs, rows): (&[Tensor], usize),
    ) -> Result<Extent, InferError> {
        let row = row_elements(signature, inputs.iter().map(Tensor::shape));
        let (units, most) = (row.saturating_mul(rows), batching.elements_max);
        if units > most {
            let text = format!(
                "inference request must have at most {most} elements for '{model}', got {units}: \
                 {rows} rows of {row}"
            );
            return Err(InferError::Invalid(text));
        }
        Ok(Extent { rows, units })
    }
}

/// Elements of a row whose inputs have these shapes: those of the input that has most, because
/// inputs of one length, tokens and their mask, are one piece of work.
fn row_elements<'a>(signature: &Signature, shapes: impl Iterator<Item = &'a Shape>) -> usize {
    let of = |(spec, shape): (&backend_api::TensorSpec, &Shape)| {
        let lengths = spec.dims.iter().zip(shape.dims());
        let free = lengths.filter(|(dim, _)| matches!(dim, Dim::Free(_)));
        free.map(|(_, length)| *length).fold(1_usize, usize::saturating_mul)
    };
    signature.inputs.iter().zip(shapes).map(of).max().unwrap_or(1).max(1)
}

#[cfg(test)]
#[path = "extent_tests.rs"]
mod tests;
