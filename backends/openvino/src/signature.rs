//! What a model takes and gives: the file's word for names and types, the library's for lengths.

use backend_api::{Axis, BackendError, GraphTensor, Signature};

use crate::NAME;
use crate::ffi::Compiled;
use crate::functions::dtype_of;

/// One side of a compiled model.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// What it takes.
    Inputs,
    /// What it gives.
    Outputs,
}

/// An input or output as the library sees it.
pub(crate) struct Port {
    /// `ov_element_type_e`
    pub(crate) element: i32,
    /// No axes where the library knows not even how many.
    pub(crate) axes: Option<Vec<Axis>>,
}

/// Brings both together (the file's inputs and outputs come first). Fails where they contradict each other: memory of another type than the
/// library expects must not reach it.
pub(crate) fn read(
    (inputs, outputs): (Vec<GraphTensor>, Vec<GraphTensor>),
    compiled: &Compiled,
) -> Result<Signature, BackendError> {
    let side = |side: Side, declared: Vec<GraphTensor>| {
        let ports = compiled.ports(side).map_err(unsupported)?;
        if ports.len() != declared.len() {
            let (ports, declared) = (ports.len(), declared.len());
            return Err(unsupported(format!(
                "the file declares {declared} tensors where OpenVINO has {ports}"
            )));
        }
        declared.into_iter().zip(ports).map(|(it, port)| merge(it, port)).collect()
    };
    Ok(Signature::of_graph(side(Side::Inputs, inputs)?, side(Side::Outputs, outputs)?))
}

fn merge(mut declared: GraphTensor, port: Port) -> Result<GraphTensor, BackendError> {
    let name = &declared.name;
    if dtype_of(port.element) != Some(declared.dtype) {
        let dtype = declared.dtype;
        return Err(unsupported(format!("{name} is {dtype}, but not to OpenVINO")));
    }
    let Some(axes) = port.axes else { return Ok(declared) };
    if axes.len() == declared.axes.len() {
        for (declared, found) in declared.axes.iter_mut().zip(axes) {
            if matches!(found, Axis::Fixed(_)) {
                *declared = found;
            }
        }
    } else {
        // The file leaves the shape out, or is careless about it.
        declared.axes = axes;
    }
    Ok(declared)
}

fn unsupported(reason: String) -> BackendError {
    BackendError::Unsupported { engine: NAME, reason }
}
