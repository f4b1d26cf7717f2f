//! What a model takes and gives: the file's word, and what becomes of two rows.
//!
//! Few files say that their first axis varies: converters write the 1 of their example. So a trial
//! at load gives every input two rows and looks whether every output has two then. Whether the rows
//! stand alone is for the server's own probe to say.

use backend_api::{Axis, BackendError, GraphTensor, Quantization, Signature, TensorSpec};

use crate::NAME;
use crate::ffi::Compiled;
use crate::functions::dtype_of;

/// One side of a model.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// What it takes.
    Inputs,
    /// What it gives.
    Outputs,
}

/// An input or output as the file has it.
pub(crate) struct Port {
    pub(crate) name: String,
    /// `LiteRtElementType`
    pub(crate) element: i32,
    /// Below 0 where they vary.
    pub(crate) lengths: Vec<i32>,
    pub(crate) quantization: Option<Quantization>,
}

/// Both sides as the server sees them, and whether `trial` could be laid out for a run on the way. It is a compiled
/// model that serves for this alone.
pub(crate) fn read(
    (inputs, outputs): (&[Port], &[Port]),
    trial: &mut Compiled,
) -> Result<(Signature, bool), BackendError> {
    let resized = two_rows(inputs, outputs.len(), trial);
    let is_allocated = resized.is_some();
    let batched = resized.is_some_and(|shapes| shapes.iter().all(|it| it.first() == Some(&2)));
    let graph = |ports: &[Port]| -> Result<Vec<GraphTensor>, BackendError> {
        ports.iter().map(|it| tensor(it, batched)).collect()
    };
    let mut signature = Signature::of_graph(graph(inputs)?, graph(outputs)?);
    let mean = |specs: &mut Vec<TensorSpec>, ports: &[Port]| {
        for (spec, port) in specs.iter_mut().zip(ports) {
            spec.quantization = port.quantization;
        }
    };
    mean(&mut signature.inputs, inputs);
    mean(&mut signature.outputs, outputs);
    Ok((signature, is_allocated))
}

/// The outputs' shapes when every input has two rows; `None` if that cannot be, or not be known.
fn two_rows(inputs: &[Port], outputs: usize, trial: &mut Compiled) -> Option<Vec<Vec<usize>>> {
    for (n, port) in inputs.iter().enumerate() {
        let (first, others) = port.lengths.split_first()?;
        if *first > 1 || *first == 0 {
            return None;
        }
        // Any length will do for the others that vary.
        let others = others.iter().map(|&it| usize::try_from(it).unwrap_or(1));
        let lengths: Vec<usize> = std::iter::once(2).chain(others).collect();
        trial.resize(n, &lengths).ok()?;
    }
    trial.shapes(outputs, true).ok()
}

fn tensor(port: &Port, batched: bool) -> Result<GraphTensor, BackendError> {
    let name = port.name.clone();
    let dtype = dtype_of(port.element).ok_or_else(|| {
        let element = port.element;
        let reason = format!("tensor '{name}' has a type that is not carried (number {element})");
        BackendError::Unsupported { engine: NAME, reason }
    })?;
    let axis = |(n, &length): (usize, &i32)| match usize::try_from(length) {
        Ok(length) if !(batched && n == 0) => Axis::Fixed(length),
        Ok(_) | Err(_) => Axis::Unknown,
    };
    Ok(GraphTensor { name, dtype, axes: port.lengths.iter().enumerate().map(axis).collect() })
}
