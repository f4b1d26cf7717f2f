//! One caller of a shared plan.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use backend_api::{BackendError, Buffer, DType, Instance, Output, Shape, Signature, Tensor};
use tract_onnx::prelude::{IntoTValue as _, Tensor as TractTensor, TractError};
use tract_onnx::prelude::{TValue, TVec, TypedRunnableModel, TypedSimpleState};

use crate::signature::datum;

/// Runs the plan with scratch of its own.
pub(crate) struct TractInstance {
    plan: Arc<TypedRunnableModel>,
    /// Empty after a run that failed: a panic may have left it torn, and an error leaves the
    /// lengths of that run's axes behind, which other lengths then clash with.
    state: Option<TypedSimpleState>,
    signature: Arc<Signature>,
}

impl TractInstance {
    pub(crate) fn new(
        plan: &Arc<TypedRunnableModel>,
        signature: &Arc<Signature>,
    ) -> Result<TractInstance, BackendError> {
        let state = Some(plan.spawn().map_err(failed)?);
        Ok(TractInstance { plan: Arc::clone(plan), state, signature: Arc::clone(signature) })
    }

    /// Whose fault was it that a run failed? The caller's, if a fresh state does not even take the
    /// inputs: wrong types, wrong shapes, unlike lengths of one axis. What fails further inside, an
    /// index out of range for one, cannot be told from a fault of the model.
    fn blame(&self, inputs: &[Tensor], error: TractError) -> BackendError {
        let given = inputs.iter().map(give).collect::<Result<TVec<TValue>, _>>();
        let (Ok(given), Ok(mut fresh)) = (given, self.plan.spawn()) else { return failed(error) };
        match fresh.set_inputs(given) {
            Err(refused) => BackendError::Input { reason: format!("{refused:#}") },
            Ok(()) => failed(error),
        }
    }
}

impl Instance for TractInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        let wanted = self.signature.inputs.len();
        if inputs.len() != wanted {
            let reason = format!("{} inputs were given, the model takes {wanted}", inputs.len());
            return Err(BackendError::Input { reason });
        }
        let given = inputs.iter().map(give).collect::<Result<TVec<TValue>, _>>()?;
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.plan.spawn().map_err(failed)?,
        };
        // Some operators panic on inputs they do not expect, an index out of range among them.
        let run = catch_unwind(AssertUnwindSafe(|| (state.run(given), state)));
        let (results, state) = run.map_err(|_| BackendError::Run {
            reason: "tract panicked; the message is in the log".to_owned(),
        })?;
        let results = results.map_err(|it| self.blame(inputs, it))?;
        self.state = Some(state);
        if results.len() != outputs.len() {
            let reason = format!("{} outputs came, {} were declared", results.len(), outputs.len());
            return Err(BackendError::Run { reason });
        }
        for ((result, output), spec) in results.iter().zip(outputs).zip(&self.signature.outputs) {
            take(result, spec.dtype, output)?;
        }
        Ok(())
    }
}

fn give(tensor: &Tensor) -> Result<TValue, BackendError> {
    let datum = datum(tensor.dtype()).ok_or_else(|| BackendError::Input {
        reason: format!("{} is not carried by this engine", tensor.dtype()),
    })?;
    let mut copy = TractTensor::zero_dt(datum, tensor.shape().dims()).map_err(failed)?;
    copy.as_bytes_mut().copy_from_slice(tensor.data());
    Ok(copy.into_tvalue())
}

/// Copies a result out, as the declared type: lengths of axes, for one, are symbols inside tract.
fn take(result: &TValue, dtype: DType, output: &mut Output) -> Result<(), BackendError> {
    let datum = datum(dtype).ok_or_else(|| BackendError::Run {
        reason: format!("an output is {dtype}, which this engine does not carry"),
    })?;
    let result = result.cast_to_dt(datum).map_err(failed)?;
    let invalid = |it: backend_api::TensorError| BackendError::Run { reason: it.to_string() };
    let shape = Shape::new(result.shape()).map_err(invalid)?;
    let data = result.as_bytes();
    match output {
        Output::Prepared { dtype: declared, shape: prepared, buffer }
            if *declared == dtype && *prepared == shape =>
        {
            buffer.as_mut_slice().copy_from_slice(data);
            Ok(())
        }
        Output::Prepared { .. } | Output::Open(_) => {
            let mut buffer = Buffer::zeroed(data.len());
            buffer.as_mut_slice().copy_from_slice(data);
            output.put(Tensor::new(dtype, shape, buffer.freeze()).map_err(invalid)?)
        }
    }
}

fn failed(error: TractError) -> BackendError {
    BackendError::Run { reason: format!("{error:#}") }
}
