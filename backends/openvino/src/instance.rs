//! One caller of a shared model.

use std::sync::Arc;

use backend_api::{BackendError, Instance, Output, Tensor, check_run};

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
        // The library takes memory at its word, and answers lengths that differ with zeros.
        check_run(signature, inputs, outputs)?;
        // Engines load whole vectors; a tensor that starts at an odd address is moved first.
        let inputs: Vec<Tensor> = inputs.iter().map(Tensor::aligned).collect();
        for (n, (input, spec)) in inputs.iter().zip(&signature.inputs).enumerate() {
            ranges.check(n, &spec.name, input)?;
        }
        self.request.run(&inputs, outputs).map_err(|reason| BackendError::Run { reason })
    }
}
