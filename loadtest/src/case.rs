//! One distinct request, before it is put into the form of a protocol.
//!
//! Made by `payload` (random) or `recorded` (from a file); encoded by `grpc` and `http`.

use serde_json::{Map, Value};

use crate::tensor::Tensor;

#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) inputs: Vec<Tensor>,
    /// Names of the outputs asked for; empty: all of them.
    pub(crate) outputs: Vec<String>,
    /// Request parameters; scalars only.
    pub(crate) parameters: Map<String, Value>,
    /// The rows that this request counts for; 1 if the model has no row axis.
    pub(crate) rows: usize,
    /// The recorded answer, if there is one.
    pub(crate) expected: Option<Vec<Tensor>>,
}

impl Case {
    pub(crate) fn input_bytes(&self) -> usize {
        self.inputs.iter().map(|it| it.data().len()).sum()
    }
}
