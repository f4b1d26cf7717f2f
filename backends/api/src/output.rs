//! Where a run puts an output.

use crate::buffer::Buffer;
use crate::dtype::DType;
use crate::error::BackendError;
use crate::shape::Shape;
use crate::signature::TensorSpec;
use crate::tensor::Tensor;

/// One output of one run.
///
/// Where the shape is known beforehand the caller prepares the memory, so that a batch is written
/// once and each reply is a slice of it. Otherwise the engine brings a tensor of its own.
pub enum Output {
    /// To be written in place, completely.
    Prepared {
        /// Type of the elements.
        dtype: DType,
        /// The shape that the run must give.
        shape: Shape,
        /// Memory of exactly that size.
        buffer: Buffer,
    },
    /// Empty before the run, the tensor after it.
    Open(Option<Tensor>),
}

impl Output {
    /// Memory for `spec` at so many rows, as far as the shape is known.
    pub fn prepare(spec: &TensorSpec, rows: usize) -> Output {
        match (spec.dtype.size(), spec.shape_at(rows)) {
            (Some(size), Some(shape)) => {
                let buffer = Buffer::zeroed(shape.elements() * size);
                Output::Prepared { dtype: spec.dtype, shape, buffer }
            }
            (None, _) | (_, None) => Output::Open(None),
        }
    }

    /// Puts a tensor that lies elsewhere here: copied where memory was prepared, shared where not.
    pub fn put(&mut self, tensor: Tensor) -> Result<(), BackendError> {
        match self {
            Output::Prepared { dtype, shape, buffer } => {
                if *dtype != tensor.dtype() || shape != tensor.shape() {
                    let (got, got_shape) = (tensor.dtype(), tensor.shape());
                    let reason = format!(
                        "an output of {dtype} {shape} was declared, the run gave {got} {got_shape}"
                    );
                    return Err(BackendError::Run { reason });
                }
                buffer.as_mut_slice().copy_from_slice(tensor.data());
            }
            Output::Open(place) => *place = Some(tensor),
        }
        Ok(())
    }

    /// The output after a successful run. An engine that left an open one empty broke its contract.
    pub fn into_tensor(self) -> Result<Tensor, BackendError> {
        match self {
            Output::Prepared { dtype, shape, buffer } => Tensor::new(dtype, shape, buffer.freeze())
                .map_err(|it| BackendError::Run { reason: it.to_string() }),
            Output::Open(Some(tensor)) => Ok(tensor),
            Output::Open(None) => {
                Err(BackendError::Run { reason: "the run left an output empty".to_owned() })
            }
        }
    }
}
