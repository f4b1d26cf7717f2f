//! A checked block of elements.

use bytes::Bytes;

use crate::buffer::Buffer;
use crate::dtype::DType;
use crate::element::{self, Element};
use crate::error::TensorError;
use crate::shape::Shape;
use crate::strings;

/// Elements of one type, row-major, little-endian, in memory that clones share.
///
/// Invariant: the data has exactly the bytes that type and shape say (for [`DType::Bytes`]:
/// exactly as many strings), and truth values are 0 or 1. The memory may start at any address: it
/// is often a slice of what came from a socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    data: Bytes,
}

impl Tensor {
    /// Checks `data` against type and shape. Copies nothing.
    pub fn new(dtype: DType, shape: Shape, data: Bytes) -> Result<Tensor, TensorError> {
        let Some(size) = dtype.size() else {
            strings::check(&data, shape.elements())?;
            return Ok(Tensor { dtype, shape, data });
        };
        let needed = shape.elements() * size; // cannot overflow: see Shape
        if data.len() != needed {
            return Err(TensorError::Length { dtype, shape, needed, got: data.len() });
        }
        if dtype == DType::Bool
            && let Some(index) = data.iter().position(|&it| it > 1)
        {
            let value = data.get(index).copied().unwrap_or_default();
            return Err(TensorError::Bool { index, value });
        }
        Ok(Tensor { dtype, shape, data })
    }

    /// A tensor of numbers, copied from `elements`.
    pub fn from_elements<T: Element>(
        dims: &[usize],
        elements: &[T],
    ) -> Result<Tensor, TensorError> {
        let shape = Shape::new(dims)?;
        let (needed, got) = (shape.elements(), elements.len());
        if needed != got {
            return Err(TensorError::Count { shape, needed, got });
        }
        let bytes = element::bytes_of(elements);
        let mut buffer = Buffer::zeroed(bytes.len());
        buffer.as_mut_slice().copy_from_slice(bytes);
        Tensor::new(T::DTYPE, shape, buffer.freeze())
    }

    /// A BYTES tensor, copied from `elements`.
    pub fn from_strings<S: AsRef<[u8]>>(
        dims: &[usize],
        elements: &[S],
    ) -> Result<Tensor, TensorError> {
        let shape = Shape::new(dims)?;
        let (needed, got) = (shape.elements(), elements.len());
        if needed != got {
            return Err(TensorError::Count { shape, needed, got });
        }
        let mut data = Vec::new();
        for element in elements {
            strings::push(&mut data, element.as_ref())?;
        }
        Ok(Tensor { dtype: DType::Bytes, shape, data: data.into() })
    }

    /// Zeros, or empty strings.
    pub fn zeroed(dtype: DType, shape: Shape) -> Tensor {
        // An empty string is four zero bytes: the length prefix.
        let size = dtype.size().unwrap_or(size_of::<u32>());
        let data = Buffer::zeroed(shape.elements().saturating_mul(size)).freeze();
        Tensor { dtype, shape, data }
    }

    /// Type of the elements.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Lengths of the axes.
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements as they lie in memory and on the wire.
    #[inline]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Gives up the elements without copying.
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// The elements in place; `None` if the type is another or the memory is misaligned.
    pub fn view<T: Element>(&self) -> Option<&[T]> {
        (T::DTYPE == self.dtype).then(|| element::view(&self.data)).flatten()
    }

    /// The strings of a BYTES tensor; nothing for any other type.
    pub fn strings(&self) -> strings::Iter<'_> {
        strings::iter(if self.dtype == DType::Bytes { &self.data } else { &[] })
    }

    /// Can an engine use the memory where it is?
    pub fn is_aligned(&self) -> bool {
        let size = self.dtype.size().unwrap_or(1);
        self.data.as_ptr().align_offset(size) == 0
    }

    /// This tensor, moved to aligned memory if it is not there already.
    pub fn aligned(&self) -> Tensor {
        if self.is_aligned() {
            return self.clone();
        }
        let mut buffer = Buffer::zeroed(self.data.len());
        buffer.as_mut_slice().copy_from_slice(&self.data);
        Tensor { dtype: self.dtype, shape: self.shape.clone(), data: buffer.freeze() }
    }

    /// Splits by rows: parts of `counts` rows each, in order, sharing this tensor's memory.
    /// `None` unless the counts add up to the length of the first axis.
    pub fn split_rows(&self, counts: &[usize]) -> Option<Vec<Tensor>> {
        let rows = self.shape.rows()?;
        if counts.iter().try_fold(0_usize, |sum, &it| sum.checked_add(it))? != rows {
            return None;
        }
        let row_elements = self.shape.elements().checked_div(rows).unwrap_or(0);
        let mut rest = self.data.clone();
        let mut parts = Vec::with_capacity(counts.len());
        for &count in counts {
            let elements = count * row_elements; // at most all of them
            let end = match self.dtype.size() {
                Some(size) => elements * size,
                None => strings::end_of(&rest, elements).ok()?,
            };
            let shape = self.shape.with_rows(count)?;
            parts.push(Tensor { dtype: self.dtype, shape, data: rest.split_to(end) });
        }
        Some(parts)
    }
}

#[cfg(test)]
#[path = "tensor_tests.rs"]
mod tests;
