//! The seam between the server and its engines.
//!
//! Three nouns: a [`Backend`] reads an artifact into a [`Model`], a model makes [`Instance`]s, an
//! instance runs [`Tensor`]s. Every engine crate implements them and passes the same
//! [`conformance`] suite; nothing of an engine's own types crosses this line.
//! No async, no serde, and no unsafe: bytes become numbers in `element.rs` alone.

mod backend;
mod buffer;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
pub mod raw;
mod dtype;
mod element;
mod error;
mod fit;
mod gpu;
mod library;
#[cfg(feature = "onnx")]
pub mod onnx;
mod options;
mod output;
mod shape;
mod signature;
pub mod strings;
mod tensor;

pub use backend::{Backend, Device, Instance, Model, elsewhere};
pub use buffer::Buffer;
pub use dtype::DType;
pub use element::Element;
pub use error::{BackendError, TensorError};
pub use fit::check_run;
pub use gpu::{ArenaGrowth, ConvSearch, DeviceWish, GpuOptions, TensorRt, first};
pub use library::Library;
pub use options::{DelegateOptions, Optimization, Options, Precision, SessionOptions};
pub use output::Output;
pub use shape::Shape;
pub use signature::{Axis, Dim, GraphTensor, Quantization, Signature, TensorSpec, UNBATCHED_ROWS};
pub use tensor::Tensor;
