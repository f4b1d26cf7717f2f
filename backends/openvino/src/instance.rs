//! One caller of a shared model.

use std::sync::Arc;

use backend_api::{BackendError, Dim, Instance, Output, Signature, Tensor, UNBATCHED_ROWS};

use crate::ffi::Request;
use crate::model::Shared;

/// Runs on the caller's own memory.
pub(crate) struct OpenVinoInstance {
    shared: Arc<Shared>,
    request: Request,
}

impl OpenVinoInstance {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<OpenVinoInstance, BackendError> {
        let request = shared.compiled.request(shared.signature.outputs.len());
        let request = request.map_err(|reason| BackendError::Run { reason })?;
        Ok(OpenVinoInstance { shared, request })
    }
}

impl Instance for OpenVinoInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        let Shared { signature, ranges, .. } = &*self.shared;
        check(signature, inputs, outputs)?;
        // Engines load whole vectors; a tensor that starts at an odd address is moved first.
        let inputs: Vec<Tensor> = inputs.iter().map(Tensor::aligned).collect();
        for (n, (input, spec)) in inputs.iter().zip(&signature.inputs).enumerate() {
            ranges.check(n, &spec.name, input)?;
        }
        self.request.run(&inputs, outputs).map_err(|reason| BackendError::Run { reason })
    }
}

/// The library takes memory at its word, so types and shapes are held against the signature.
/// Axes that inputs share are of one length: the library would answer with zeros.
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

fn check(signature: &Signature, inputs: &[Tensor], outputs: &[Output]) -> Result<(), BackendError> {
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
