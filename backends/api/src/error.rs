//! What can be wrong with a tensor, and what can go wrong in an engine.

use crate::dtype::DType;
use crate::shape::Shape;

/// Why bytes are not the tensor they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// More axes than any operator takes.
    #[error("shape has {rank} axes, at most {rank_max} are allowed")]
    Rank {
        /// How many were given.
        rank: usize,
        /// How many may be given.
        rank_max: usize,
    },
    /// A length below zero.
    #[error("shape {dims:?} has a negative length")]
    NegativeDim {
        /// The lengths as given.
        dims: Vec<i64>,
    },
    /// The product of the lengths overflows.
    #[error("shape {dims:?} is too large")]
    TooLarge {
        /// The lengths as given.
        dims: Vec<usize>,
    },
    /// Not as many bytes as shape and data type say.
    #[error("a {dtype} tensor of shape {shape} has {needed} bytes, got {got}")]
    Length {
        /// Type of the elements.
        dtype: DType,
        /// The declared shape.
        shape: Shape,
        /// Bytes that this shape takes.
        needed: usize,
        /// Bytes that were given.
        got: usize,
    },
    /// Not as many elements as the shape says.
    #[error("shape {shape} has {needed} elements, got {got}")]
    Count {
        /// The declared shape.
        shape: Shape,
        /// Elements of that shape.
        needed: usize,
        /// Elements that were given.
        got: usize,
    },
    /// A byte string that reaches past the end of the data.
    #[error("byte string {index} claims {claimed} bytes, {left} are left")]
    Truncated {
        /// Which element.
        index: usize,
        /// Its length prefix.
        claimed: usize,
        /// What follows the prefix.
        left: usize,
    },
    /// Bytes behind the last element.
    #[error("{extra} bytes are left behind the last of {elements} byte strings")]
    Trailing {
        /// How many.
        extra: usize,
        /// Elements that were read.
        elements: usize,
    },
    /// A truth value that is neither 0 nor 1.
    #[error("BOOL element {index} is {value}, expected 0 or 1")]
    Bool {
        /// Which element.
        index: usize,
        /// Its byte.
        value: u8,
    },
}

/// Why an engine did not do what it was asked.
///
/// The variants are what a caller can do about it; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The engine cannot work on this machine: its library is missing or too old.
    #[error("{engine} is not available: {reason}")]
    Unavailable {
        /// Name of the engine.
        engine: &'static str,
        /// What is missing, and where it was looked for.
        reason: String,
    },
    /// The artifact cannot be read: missing, truncated, corrupt.
    #[error("cannot read the model: {reason}")]
    Artifact {
        /// What the engine said.
        reason: String,
    },
    /// The artifact is sound, but this engine cannot serve it.
    #[error("{engine} cannot serve the model: {reason}")]
    Unsupported {
        /// Name of the engine.
        engine: &'static str,
        /// Which operator, type or device.
        reason: String,
    },
    /// The inputs are at fault: the same request would fail again anywhere.
    #[error("the model refused the input: {reason}")]
    Input {
        /// What the engine said.
        reason: String,
    },
    /// The run failed for a reason that is not the caller's.
    #[error("the model failed: {reason}")]
    Run {
        /// What the engine said.
        reason: String,
    },
    /// What the model runs on has failed: no run of it will succeed until it is loaded again, here or
    /// elsewhere. Not: that one request was more than the device takes.
    #[error("the device failed: {reason}")]
    DeviceLost {
        /// What the engine said.
        reason: String,
    },
}
