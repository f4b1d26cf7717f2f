//! The data types that may travel over the wire.

use std::fmt;

/// Data type of a tensor's elements, as the Open Inference Protocol names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// IEEE 754 binary16.
    Fp16,
    /// The upper half of a binary32.
    Bf16,
    /// IEEE 754 binary32.
    Fp32,
    /// IEEE 754 binary64.
    Fp64,
    /// Byte strings of any length; see [`crate::strings`].
    Bytes,
}

impl DType {
    /// All of them, in the order in which tables show them.
    pub const ALL: [DType; 14] = [
        DType::Bool,
        DType::Uint8,
        DType::Uint16,
        DType::Uint32,
        DType::Uint64,
        DType::Int8,
        DType::Int16,
        DType::Int32,
        DType::Int64,
        DType::Fp16,
        DType::Bf16,
        DType::Fp32,
        DType::Fp64,
        DType::Bytes,
    ];

    /// The protocol's name: `BOOL`, `UINT8`, ..., `BYTES`.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "BOOL",
            DType::Uint8 => "UINT8",
            DType::Uint16 => "UINT16",
            DType::Uint32 => "UINT32",
            DType::Uint64 => "UINT64",
            DType::Int8 => "INT8",
            DType::Int16 => "INT16",
            DType::Int32 => "INT32",
            DType::Int64 => "INT64",
            DType::Fp16 => "FP16",
            DType::Bf16 => "BF16",
            DType::Fp32 => "FP32",
            DType::Fp64 => "FP64",
            DType::Bytes => "BYTES",
        }
    }

    /// The type of that name. Names are upper case, as the protocol writes them.
    pub fn parse(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes of one element; `None` for [`DType::Bytes`], whose elements vary.
    pub fn size(self) -> Option<usize> {
        match self {
            DType::Bool | DType::Uint8 | DType::Int8 => Some(1),
            DType::Uint16 | DType::Int16 | DType::Fp16 | DType::Bf16 => Some(2),
            DType::Uint32 | DType::Int32 | DType::Fp32 => Some(4),
            DType::Uint64 | DType::Int64 | DType::Fp64 => Some(8),
            DType::Bytes => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}
