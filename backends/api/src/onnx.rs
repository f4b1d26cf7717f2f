//! What an ONNX file says of itself, for engines whose library drops some of it or takes it too lightly.
//!
//! The few fields of `onnx.proto` that are needed, by their numbers there; the others, weights
//! among them, are skipped. Calls no engine.

mod ranges;

use std::fs;
use std::path::Path;

use prost::Message;

use crate::error::BackendError;

pub use self::ranges::Ranges;

/// A graph: nodes in an order in which they can run, as the format demands.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// The operations.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// Tensors that come with it.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Weight>,
    /// What it takes; in old files also its weights.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// What it gives.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// Names of the tensors that it takes.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of those that it gives.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// `Gather`, for one.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its settings.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

/// A setting of an operation.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value, if it is a whole number.
    #[prost(int64, tag = "3")]
    pub i: i64,
}

/// A tensor that comes with the model; its elements are left where they are.
#[derive(Clone, PartialEq, Message)]
pub struct Weight {
    /// Its lengths.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ModelFile {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
}

/// An input or output of the graph.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Kind>,
}

/// What a value is.
#[derive(Clone, PartialEq, Message)]
pub struct Kind {
    /// Absent for sequences, maps and the like.
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorKind>,
}

/// A tensor's type and shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorKind {
    /// `TensorProto.DataType`
    #[prost(int32, tag = "1")]
    pub element: i32,
    /// Absent where nothing is said.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<ShapeKind>,
}

/// A tensor's axes.
#[derive(Clone, PartialEq, Message)]
pub struct ShapeKind {
    /// The first axis first.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimKind>,
}

/// One axis: a length, a name, or neither.
#[derive(Clone, PartialEq, Message)]
pub struct DimKind {
    /// Its length.
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
    /// Its name.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}

impl Graph {
    /// Reads a file. What is no ONNX is found here, before a library sees it.
    pub fn read(artifact: &Path) -> Result<Graph, BackendError> {
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
}
