//! Do the tensors of one run fit the signature?
//!
//! For engines whose library takes memory at its word. Called at the head of their runs.

use crate::error::BackendError;
use crate::output::Output;
use crate::signature::{Dim, Signature, UNBATCHED_ROWS};
use crate::tensor::Tensor;

/// Holds numbers, types and axes against the signature. An axis that inputs share is of one length.
pub fn check_run(
    signature: &Signature,
    inputs: &[Tensor],
    outputs: &[Output],
) -> Result<(), BackendError> {
    let (wanted, wanted_outputs) = (signature.inputs.len(), signature.outputs.len());
    if inputs.len() != wanted {
        let reason = format!("{} inputs were given, the model takes {wanted}", inputs.len());
        return Err(BackendError::Input { reason });
    }
    if outputs.len() != wanted_outputs {
        let prepared = outputs.len();
        let reason = format!("{prepared} outputs were prepared, the model gives {wanted_outputs}");
        return Err(BackendError::Run { reason });
    }
    for (input, spec) in inputs.iter().zip(&signature.inputs) {
        if input.dtype() != spec.dtype || !spec.accepts(input.shape()) {
            let (dtype, shape) = (input.dtype(), input.shape());
            let reason = format!("the model takes {spec}, given was {dtype} {shape}");
            return Err(BackendError::Input { reason });
        }
    }
    check_axes(signature, inputs)?;
    for (output, spec) in outputs.iter().zip(&signature.outputs) {
        if let Output::Prepared { dtype, shape, .. } = output
            && *dtype != spec.dtype
        {
            let reason = format!("the model gives {spec}, prepared was {dtype} {shape}");
            return Err(BackendError::Run { reason });
        }
    }
    Ok(())
}

fn check_axes(signature: &Signature, inputs: &[Tensor]) -> Result<(), BackendError> {
    let mut known: Vec<(&Dim, usize)> = Vec::new();
    for (input, spec) in inputs.iter().zip(&signature.inputs) {
        for (dim, &length) in spec.dims.iter().zip(input.shape().dims()) {
            let named = match dim {
                Dim::Fixed(_) => false,
                Dim::Rows => true,
                Dim::Free(name) => !name.is_empty() && **name != *UNBATCHED_ROWS,
            };
            match known.iter().find(|(it, _)| *it == dim) {
                Some((_, first)) if named && *first != length => {
                    let reason = format!("inputs share an axis of {first} and of {length}");
                    return Err(BackendError::Input { reason });
                }
                None if named => known.push((dim, length)),
                Some(_) | None => {}
            }
        }
    }
    Ok(())
}
