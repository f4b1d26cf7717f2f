//! One caller of a shared session.

use std::sync::{Arc, PoisonError};

use backend_api::{BackendError, Device, Instance, Output, Tensor};

use crate::model::Shared;
use crate::provider;
use crate::value::{self, Memory, Value};

/// Calls the session's `Run` on the caller's own memory.
pub(crate) struct OnnxInstance {
    shared: Arc<Shared>,
    memory: Memory,
}

impl OnnxInstance {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<OnnxInstance, BackendError> {
        Ok(OnnxInstance { shared, memory: Memory::host()? })
    }
}

impl Instance for OnnxInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        let shared = &*self.shared;
        check_counts(shared, inputs.len(), outputs.len())?;
        // Engines load whole vectors; a tensor that starts at an odd address is moved first.
        let inputs: Vec<Tensor> = inputs.iter().map(Tensor::aligned).collect();
        let given = inputs
            .iter()
            .map(|it| Value::input(&self.memory, it))
            .collect::<Result<Vec<_>, _>>()?;
        let _turn = match shared.device {
            Device::Cpu => None,
            // A run that panicked has left nothing behind in it.
            Device::Cuda(_) => Some(shared.turn.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        let results = value::run(
            &shared.session,
            (&shared.input_names, &given),
            (&shared.output_names, outputs, &self.memory),
        )
        .map_err(|it| provider::of_device(&shared.device, it))?;
        for (result, output) in results.into_iter().zip(outputs) {
            if let (Some(result), Output::Open(place)) = (result, output) {
                *place = Some(result.to_tensor()?);
            }
        }
        Ok(())
    }
}

fn check_counts(shared: &Shared, inputs: usize, outputs: usize) -> Result<(), BackendError> {
    let (wanted_inputs, wanted_outputs) = (shared.input_names.len(), shared.output_names.len());
    if inputs != wanted_inputs {
        let reason = format!("{inputs} inputs were given, the model takes {wanted_inputs}");
        return Err(BackendError::Input { reason });
    }
    if outputs != wanted_outputs {
        let reason = format!("{outputs} outputs were prepared, the model gives {wanted_outputs}");
        return Err(BackendError::Run { reason });
    }
    Ok(())
}
