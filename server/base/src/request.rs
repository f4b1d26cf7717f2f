//! A request for a prediction and its answer, free of any protocol.
//!
//! Names are borrowed, from the message that came or the version that answers: nothing of a
//! request outlives its place in a batch but its tensors, which share their memory.

use std::borrow::Cow;
use std::time::Duration;

use backend_api::Tensor;
use smallvec::SmallVec;

use crate::ids::{Version, VersionChoice};

/// A tensor under the name by which the caller knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor<'a> {
    /// Name of the input or output.
    pub name: Cow<'a, str>,
    /// Its value.
    pub tensor: Tensor,
}

/// Most models take one or two, and give as many.
pub type NamedTensors<'a> = SmallVec<[NamedTensor<'a>; 2]>;

/// What a caller wants.
#[derive(Clone, Debug, PartialEq)]
pub struct InferRequest<'a> {
    /// Name of the model, unchecked: it is only looked up.
    pub model: Cow<'a, str>,
    /// Which version of it.
    pub version: VersionChoice,
    /// In any order.
    pub inputs: NamedTensors<'a>,
    /// Names of the wanted outputs, in the wanted order; empty means all, in the model's order.
    pub outputs: SmallVec<[Cow<'a, str>; 2]>,
    /// How long the caller waits; none means as long as the model allows.
    pub timeout: Option<Duration>,
}

/// What the model answered.
#[derive(Clone, Debug)]
pub struct InferResponse<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// The version that answered.
    pub version: Version,
    /// As many as were asked for, in that order.
    pub outputs: NamedTensors<'a>,
    /// Where the time went.
    pub timing: Timing,
}

/// Where the time of one request went, as the instance thread saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the push into the lane until a batch took it.
    pub queue: Duration,
    /// Packing the batch.
    pub compute_input: Duration,
    /// The model's run.
    pub compute_infer: Duration,
    /// Splitting the outputs.
    pub compute_output: Duration,
    /// Rows of the whole batch.
    pub batch_rows: usize,
}
