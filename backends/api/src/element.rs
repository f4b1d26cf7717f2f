//! Numbers as bytes and bytes as numbers.
//!
//! The wire is little-endian; so is every machine this is built for, which the assertion holds.

use bytemuck::Pod;

use crate::dtype::DType;

const _: () = assert!(cfg!(target_endian = "little"), "tensors are little-endian in memory");

/// A Rust type whose memory is one element of a tensor.
pub trait Element: Pod {
    /// The data type it is an element of.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),* $(,)?) => {
        $(impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
        })*
    };
}

elements! {
    u8 => Uint8,
    u16 => Uint16,
    u32 => Uint32,
    u64 => Uint64,
    i8 => Int8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    f32 => Fp32,
    f64 => Fp64,
}

/// The elements that `bytes` hold, in place. `None` if misaligned or ragged.
pub(crate) fn view<T: Element>(bytes: &[u8]) -> Option<&[T]> {
    // No bytes at all may stand anywhere: they are aligned for everything.
    if bytes.is_empty() { Some(&[]) } else { bytemuck::try_cast_slice(bytes).ok() }
}

/// The bytes of `elements`.
pub(crate) fn bytes_of<T: Element>(elements: &[T]) -> &[u8] {
    bytemuck::cast_slice(elements)
}
