//! One caller of a shared session.

use std::sync::Arc;

use backend_api::{BackendError, Instance, Output, Tensor};

use crate::bound::Bound;
use crate::graphs;
use crate::model::Shared;
use crate::provider;
use crate::ranges;
use crate::value::{self, Memory, Value};

/// Runs the session on memory that was bound to it, or else on the caller's own.
pub(crate) struct OnnxInstance {
    bound: Option<Bound>,
    memory: Memory,
    shared: Arc<Shared>,
}

impl OnnxInstance {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<OnnxInstance, BackendError> {
        let bound = if shared.is_bound { Some(Bound::new(&shared)) } else { None };
        let bound = match bound.transpose() {
            Err(error) if shared.graphs.is_none() => {
                tracing::warn!(%error, "io_binding: runs bring memory of their own");
                None
            }
            other => other?,
        };
        Ok(OnnxInstance { bound, memory: Memory::host()?, shared })
    }

    /// On the caller's own memory. On a GPU the library copies, to and from memory that it asks for anew.
    fn run_unbound(&self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        let shared = &*self.shared;
        // Engines load whole vectors; a tensor that starts at an odd address is moved first.
        let inputs: Vec<Tensor> = inputs.iter().map(Tensor::aligned).collect();
        let given = inputs
            .iter()
            .map(|it| Value::input(&self.memory, it))
            .collect::<Result<Vec<_>, _>>()?;
        let _unrecorded = graphs::during_run(&shared.device);
        let _turn = shared.turn();
        let results = value::run(
            (&shared.session, shared.without_graph()),
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

impl Instance for OnnxInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        check_counts(&self.shared, inputs.len(), outputs.len())?;
        if let Some(ranges) = &self.shared.ranges {
            ranges::check(ranges, &self.shared.signature, inputs)?;
        }
        if let Some(bound) = &mut self.bound
            && bound.run(inputs, outputs)?
        {
            return Ok(());
        }
        self.run_unbound(inputs, outputs)
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
