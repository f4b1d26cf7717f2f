//! What a model takes and gives, as its ONNX file says it: OpenVINO drops the names of axes.
//!
//! Calls nothing of OpenVINO.

use backend_api::onnx::{DimKind, Graph, ValueInfo};
use backend_api::{Axis, BackendError, DType, GraphTensor};

use crate::NAME;

/// The inputs that a caller must give: old files list their weights among them.
pub(crate) fn inputs(graph: &Graph) -> Result<Vec<GraphTensor>, BackendError> {
    let weight = |it: &&ValueInfo| graph.initializer.iter().any(|weight| weight.name == it.name);
    graph.input.iter().filter(|it| !weight(it)).map(graph_tensor).collect()
}

/// The outputs; no axes where the file leaves the shape out.
pub(crate) fn outputs(graph: &Graph) -> Result<Vec<GraphTensor>, BackendError> {
    graph.output.iter().map(graph_tensor).collect()
}

fn graph_tensor(declared: &ValueInfo) -> Result<GraphTensor, BackendError> {
    let name = declared.name.clone();
    let refused =
        |what: &str| BackendError::Unsupported { engine: NAME, reason: format!("{name} {what}") };
    let Some(tensor) = declared.kind.as_ref().and_then(|it| it.tensor.as_ref()) else {
        let hint = "only tensors can be served (scikit-learn converters: set zipmap to false)";
        return Err(refused(&format!("is no tensor; {hint}")));
    };
    let dtype = dtype(tensor.element)
        .ok_or_else(|| refused("has an element type that no protocol carries"))?;
    let wide = [DType::Uint32, DType::Uint64, DType::Fp64];
    if wide.contains(&dtype) {
        return Err(refused(&format!("is {dtype}, which OpenVINO would compute in fewer bits")));
    }
    if dtype == DType::Bytes {
        return Err(refused("is BYTES, which this engine does not carry"));
    }
    let axis = |dim: &DimKind| match (dim.value, &dim.name) {
        (Some(length), _) => usize::try_from(length).map_or(Axis::Unknown, Axis::Fixed),
        (None, Some(name)) if !name.is_empty() => Axis::Named(name.clone()),
        (None, _) => Axis::Unknown,
    };
    let dims = tensor.shape.as_ref().map(|it| it.dim.as_slice()).unwrap_or_default();
    Ok(GraphTensor { name: name.clone(), dtype, axes: dims.iter().map(axis).collect() })
}

/// `TensorProto.DataType` of `onnx.proto`.
fn dtype(element: i32) -> Option<DType> {
    Some(match element {
        1 => DType::Fp32,
        2 => DType::Uint8,
        3 => DType::Int8,
        4 => DType::Uint16,
        5 => DType::Int16,
        6 => DType::Int32,
        7 => DType::Int64,
        8 => DType::Bytes,
        9 => DType::Bool,
        10 => DType::Fp16,
        11 => DType::Fp64,
        12 => DType::Uint32,
        13 => DType::Uint64,
        16 => DType::Bf16,
        _ => return None,
    })
}
