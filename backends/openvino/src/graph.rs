//! What an ONNX file says of itself: OpenVINO drops the names of axes and the order of its checks.
//!
//! The few fields of `onnx.proto` that are needed, by their numbers there; the others, weights
//! among them, are skipped. Calls nothing of OpenVINO.

use std::fs;
use std::path::Path;

use backend_api::{Axis, BackendError, DType, GraphTensor};
use prost::Message;

use crate::NAME;

/// A graph: nodes in an order in which they can run, as the format demands.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) initializer: Vec<Weight>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<ValueInfo>,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(crate) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attribute: Vec<Attribute>,
}

/// A setting of an operation.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Attribute {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int64, tag = "3")]
    pub(crate) i: i64,
}

/// A tensor that comes with the model; its elements are left where they are.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Weight {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(crate) dims: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ModelFile {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
}

/// An input or output of the graph.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Message)]
struct Kind {
    /// Absent for sequences, maps and the like.
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorKind {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<ShapeKind>,
}

#[derive(Clone, PartialEq, Message)]
struct ShapeKind {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<DimKind>,
}

#[derive(Clone, PartialEq, Message)]
struct DimKind {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}

impl Graph {
    /// Reads a file. What is no ONNX is found here, before OpenVINO sees it.
    pub(crate) fn read(artifact: &Path) -> Result<Graph, BackendError> {
        let unreadable = |reason: String| BackendError::Artifact { reason };
        let shown = artifact.display();
        let bytes = fs::read(artifact).map_err(|it| unreadable(format!("{shown}: {it}")))?;
        if bytes.is_empty() {
            return Err(unreadable(format!("{shown}: the file is empty")));
        }
        let file = ModelFile::decode(bytes.as_slice())
            .map_err(|it| unreadable(format!("{shown}: no ONNX model: {it}")))?;
        file.graph.ok_or_else(|| unreadable(format!("{shown}: the file holds no graph")))
    }

    /// The inputs that a caller must give: old files list their weights among them.
    pub(crate) fn inputs(&self) -> Result<Vec<GraphTensor>, BackendError> {
        let weight = |it: &&ValueInfo| self.initializer.iter().any(|weight| weight.name == it.name);
        self.input.iter().filter(|it| !weight(it)).map(graph_tensor).collect()
    }

    /// The outputs; no axes where the file leaves the shape out.
    pub(crate) fn outputs(&self) -> Result<Vec<GraphTensor>, BackendError> {
        self.output.iter().map(graph_tensor).collect()
    }
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
