//! A named tensor as the wire sees it: type, shape and little-endian bytes.
//!
//! Made by `payload`, `recorded` and the decoders; read by the encoders and `check`.
//! Invariant: the bytes are exactly those of the shape (see [`Tensor::new`]).

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use half::{bf16, f16};

/// The element types of the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    pub(crate) const ALL: [Datatype; 14] = [
        Datatype::Bool,
        Datatype::Uint8,
        Datatype::Uint16,
        Datatype::Uint32,
        Datatype::Uint64,
        Datatype::Int8,
        Datatype::Int16,
        Datatype::Int32,
        Datatype::Int64,
        Datatype::Fp16,
        Datatype::Bf16,
        Datatype::Fp32,
        Datatype::Fp64,
        Datatype::Bytes,
    ];

    pub(crate) fn parse(name: &str) -> Result<Datatype> {
        let found = Datatype::ALL.into_iter().find(|it| it.name() == name);
        found.with_context(|| format!("unknown datatype {name:?}, expected FP32, INT64, BYTES, …"))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Datatype::Bool => "BOOL",
            Datatype::Uint8 => "UINT8",
            Datatype::Uint16 => "UINT16",
            Datatype::Uint32 => "UINT32",
            Datatype::Uint64 => "UINT64",
            Datatype::Int8 => "INT8",
            Datatype::Int16 => "INT16",
            Datatype::Int32 => "INT32",
            Datatype::Int64 => "INT64",
            Datatype::Fp16 => "FP16",
            Datatype::Bf16 => "BF16",
            Datatype::Fp32 => "FP32",
            Datatype::Fp64 => "FP64",
            Datatype::Bytes => "BYTES",
        }
    }

    /// Bytes of one element; `None` for strings, whose elements carry their own length.
    pub(crate) fn element_bytes(self) -> Option<usize> {
        match self {
            Datatype::Bool | Datatype::Uint8 | Datatype::Int8 => Some(1),
            Datatype::Uint16 | Datatype::Int16 | Datatype::Fp16 | Datatype::Bf16 => Some(2),
            Datatype::Uint32 | Datatype::Int32 | Datatype::Fp32 => Some(4),
            Datatype::Uint64 | Datatype::Int64 | Datatype::Fp64 => Some(8),
            Datatype::Bytes => None,
        }
    }
}

/// One element, in a form that can be compared and shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Half(f32),
    Single(f32),
    Double(f64),
    Text(&'a [u8]),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<usize>,
    data: Bytes,
}

impl Tensor {
    /// Fails unless `data` holds exactly the elements of `shape`.
    pub(crate) fn new(
        name: String,
        datatype: Datatype,
        shape: Vec<usize>,
        data: Bytes,
    ) -> Result<Tensor> {
        let elements = element_count(&shape)
            .with_context(|| format!("tensor {name:?}: shape {shape:?} has too many elements"))?;
        match datatype.element_bytes() {
            Some(size) => ensure!(
                elements.checked_mul(size) == Some(data.len()),
                "tensor {name:?}: {} of shape {shape:?} takes {elements} x {size} bytes, got {}",
                datatype.name(),
                data.len(),
            ),
            None => {
                let strings =
                    count_strings(&data).with_context(|| format!("tensor {name:?} of BYTES"))?;
                ensure!(
                    strings == elements,
                    "tensor {name:?}: BYTES of shape {shape:?} takes {elements} strings, got {strings}"
                );
            }
        }
        Ok(Tensor { name, datatype, shape, data })
    }

    pub(crate) fn data(&self) -> &Bytes {
        &self.data
    }

    /// The length of the first axis; 1 for a scalar.
    pub(crate) fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// All elements in row-major order.
    pub(crate) fn scalars(&self) -> Scalars<'_> {
        Scalars { datatype: self.datatype, rest: &self.data }
    }
}

/// The elements of a tensor, one after the other.
pub(crate) struct Scalars<'a> {
    datatype: Datatype,
    rest: &'a [u8],
}

impl<'a> Iterator for Scalars<'a> {
    type Item = Scalar<'a>;

    fn next(&mut self) -> Option<Scalar<'a>> {
        let rest = &mut self.rest;
        Some(match self.datatype {
            Datatype::Bool => Scalar::Bool(u8::from_le_bytes(take(rest)?) != 0),
            Datatype::Uint8 => Scalar::Unsigned(u8::from_le_bytes(take(rest)?).into()),
            Datatype::Uint16 => Scalar::Unsigned(u16::from_le_bytes(take(rest)?).into()),
            Datatype::Uint32 => Scalar::Unsigned(u32::from_le_bytes(take(rest)?).into()),
            Datatype::Uint64 => Scalar::Unsigned(u64::from_le_bytes(take(rest)?)),
            Datatype::Int8 => Scalar::Signed(i8::from_le_bytes(take(rest)?).into()),
            Datatype::Int16 => Scalar::Signed(i16::from_le_bytes(take(rest)?).into()),
            Datatype::Int32 => Scalar::Signed(i32::from_le_bytes(take(rest)?).into()),
            Datatype::Int64 => Scalar::Signed(i64::from_le_bytes(take(rest)?)),
            Datatype::Fp16 => Scalar::Half(f16::from_le_bytes(take(rest)?).to_f32()),
            Datatype::Bf16 => Scalar::Half(bf16::from_le_bytes(take(rest)?).to_f32()),
            Datatype::Fp32 => Scalar::Single(f32::from_le_bytes(take(rest)?)),
            Datatype::Fp64 => Scalar::Double(f64::from_le_bytes(take(rest)?)),
            Datatype::Bytes => Scalar::Text(take_string(rest)?),
        })
    }
}

/// The product of the axes; `None` if it does not fit.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(axis))
}

/// Appends one element of BYTES: its length in four bytes, then itself.
pub(crate) fn put_string(data: &mut Vec<u8>, text: &[u8]) -> Result<()> {
    let length = u32::try_from(text.len())
        .with_context(|| format!("a string of {} bytes, at most 4 GiB", text.len()))?;
    data.extend_from_slice(&length.to_le_bytes());
    data.extend_from_slice(text);
    Ok(())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut tail = *rest;
    let length = usize::try_from(u32::from_le_bytes(take(&mut tail)?)).ok()?;
    let (text, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(text)
}

fn count_strings(data: &[u8]) -> Result<usize> {
    let mut rest = data;
    let mut count = 0;
    while !rest.is_empty() {
        if take_string(&mut rest).is_none() {
            bail!(
                "string {count} is cut off at byte {} of {}",
                data.len() - rest.len(),
                data.len()
            );
        }
        count += 1;
    }
    Ok(count)
}
