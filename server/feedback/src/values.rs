//! Tensors of many records as columns.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Int64Builder, ListBuilder, StringBuilder,
};
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, PrimitiveArray, StructArray};
use arrow_buffer::NullBufferBuilder;
use arrow_schema::{ArrowError, DataType, Field};
use backend_api::DType;
use half::{bf16, f16};

use crate::list::{Entry, View};
use crate::redact::{Key, digest};
use crate::rows::{Tensors, clipped};
use crate::schema::{Layout, Logged, whole as whole_fields};

/// One column for each element of a row.
pub(crate) fn columns(
    (logged, width): (&Logged, usize),
    from: Tensors<'_>,
    bytes_max: usize,
) -> Vec<ArrayRef> {
    macro_rules! numbers {
        ($type:ty, $read:expr) => {
            numbers::<$type, _>((logged, width), from, $read)
        };
    }
    match logged.dtype {
        DType::Bool => (0..width).map(|at| booleans((logged, width, at), from)).collect(),
        DType::Uint8 => numbers!(UInt8Type, u8::from_le_bytes),
        DType::Uint16 => numbers!(UInt16Type, u16::from_le_bytes),
        DType::Uint32 => numbers!(UInt32Type, u32::from_le_bytes),
        DType::Uint64 => numbers!(UInt64Type, u64::from_le_bytes),
        DType::Int8 => numbers!(Int8Type, i8::from_le_bytes),
        DType::Int16 => numbers!(Int16Type, i16::from_le_bytes),
        DType::Int32 => numbers!(Int32Type, i32::from_le_bytes),
        DType::Int64 => numbers!(Int64Type, i64::from_le_bytes),
        DType::Fp16 => numbers!(Float32Type, |it| f16::from_le_bytes(it).to_f32()),
        DType::Bf16 => numbers!(Float32Type, |it| bf16::from_le_bytes(it).to_f32()),
        DType::Fp32 => numbers!(Float32Type, f32::from_le_bytes),
        DType::Fp64 => numbers!(Float64Type, f64::from_le_bytes),
        DType::Bytes => texts(width, (logged, from), |it| {
            clipped(&String::from_utf8_lossy(it), bytes_max).to_owned()
        }),
    }
}

/// A keyed hash of each value in its place.
pub(crate) fn hashes(
    (logged, width): (&Logged, usize),
    from: Tensors<'_>,
    key: &Key,
) -> Vec<ArrayRef> {
    if logged.layout == Layout::Whole {
        let mut column = StringBuilder::new();
        each_row(logged, from, |it| column.append_option(it.map(|it| key.hash(&it.bytes()))));
        return vec![Arc::new(column.finish())];
    }
    texts(width, (logged, from), |it| key.hash(it))
}

/// The record's tensor, if it has one of that type that its rows divide.
pub(crate) fn tensor<'a>(logged: &Logged, entry: &Entry<'a>, number: usize) -> Option<View<'a>> {
    let (view, rows) = (entry.tensor(number)?, entry.rows());
    let split = logged.has_rows || rows == 1;
    let fits = split && rows > 0 && view.elements % rows == 0;
    (view.dtype == logged.dtype && fits).then_some(view)
}

/// Rows that are turned into columns at a time: what they are read from stays in the nearest cache, and each column is
/// written in stretches.
const BLOCK_ROWS: usize = 32;

/// Some rows, then all columns of them: each record's memory is gone to once.
fn numbers<T, const N: usize>(
    (logged, width): (&Logged, usize),
    (entries, number): Tensors<'_>,
    read: impl Fn([u8; N]) -> T::Native,
) -> Vec<ArrayRef>
where
    T: ArrowPrimitiveType,
{
    let rows: usize = entries.iter().map(|it| it.rows()).sum();
    let mut columns: Vec<Vec<T::Native>> = (0..width).map(|_| Vec::with_capacity(rows)).collect();
    // Rows that have values in one column have them in all.
    let mut valid = NullBufferBuilder::new(rows);
    let mut left = entries.iter().flat_map(|entry| {
        let data = tensor(logged, entry, number).map(|it| it.data.as_chunks::<N>().0);
        let data = data.filter(|it| it.len() == entry.rows() * width);
        (0..entry.rows()).map(move |at| data.and_then(|it| it.get(at * width..(at + 1) * width)))
    });
    let mut block: Vec<[u8; N]> = Vec::with_capacity(BLOCK_ROWS * width);
    let mut more = width > 0;
    while more {
        block.clear();
        let mut count = 0;
        for row in left.by_ref().take(BLOCK_ROWS) {
            // A type's zeros are its default.
            match row {
                Some(row) => block.extend_from_slice(row),
                None => block.resize(block.len() + width, [0; N]),
            }
            valid.append(row.is_some());
            count += 1;
        }
        more = count == BLOCK_ROWS;
        // Rows of one length beside one another: what lies `width` further on is the next row's.
        for (at, column) in columns.iter_mut().enumerate() {
            let rows = block.chunks_exact(width);
            column.extend(
                rows.map(|row| row.get(at).copied().map_or_else(T::Native::default, &read)),
            );
        }
    }
    let valid = valid.finish();
    let column = |values: Vec<T::Native>| -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::new(values.into(), valid.clone()))
    };
    columns.into_iter().map(column).collect()
}

fn booleans(
    (logged, width, at): (&Logged, usize, usize),
    (entries, number): Tensors<'_>,
) -> ArrayRef {
    let mut column = BooleanBuilder::new();
    for entry in entries {
        let data = tensor(logged, entry, number).map(|it| it.data);
        for row in 0..entry.rows() {
            column.append_option(data.and_then(|it| it.get(row * width + at)).map(|it| *it != 0));
        }
    }
    Arc::new(column.finish())
}

/// Columns of texts, made from each element's bytes.
fn texts(
    width: usize,
    (logged, (entries, number)): (&Logged, Tensors<'_>),
    text: impl Fn(&[u8]) -> String,
) -> Vec<ArrayRef> {
    let mut columns: Vec<StringBuilder> = (0..width).map(|_| StringBuilder::new()).collect();
    for entry in entries {
        let tensor = tensor(logged, entry, number);
        let mut elements = tensor.map(Elements::of).into_iter().flatten();
        for _ in 0..entry.rows() {
            for column in &mut columns {
                column.append_option(elements.next().map(&text));
            }
        }
    }
    columns.into_iter().map(|mut it| Arc::new(it.finish()) as ArrayRef).collect()
}

/// The bytes of one element after the other.
enum Elements<'a> {
    Strings(backend_api::strings::Iter<'a>),
    Numbers(std::slice::ChunksExact<'a, u8>),
}

impl<'a> Elements<'a> {
    fn of(tensor: View<'a>) -> Elements<'a> {
        match tensor.dtype.size() {
            Some(size) => Elements::Numbers(tensor.data.chunks_exact(size.max(1))),
            None => Elements::Strings(backend_api::strings::iter(tensor.data)),
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Elements::Strings(it) => it.next(),
            Elements::Numbers(it) => it.next(),
        }
    }
}

/// One row of a tensor that is logged whole.
struct Row<'a> {
    tensor: View<'a>,
    /// Elements of a row, and which row it is.
    elements: usize,
    at: usize,
}

impl Row<'_> {
    /// As on the wire: strings behind their lengths.
    fn bytes(&self) -> Vec<u8> {
        let Some(size) = self.tensor.dtype.size() else {
            let mut bytes = Vec::new();
            let strings = backend_api::strings::iter(self.tensor.data);
            for it in strings.skip(self.at * self.elements).take(self.elements) {
                // It was a string of a tensor before, so it is not too long for one.
                let _ = backend_api::strings::push(&mut bytes, it);
            }
            return bytes;
        };
        let begin = self.at * self.elements * size;
        let all = self.tensor.data;
        all.get(begin..begin + self.elements * size).unwrap_or_default().to_vec()
    }
}

fn each_row(logged: &Logged, (entries, number): Tensors<'_>, mut see: impl FnMut(Option<Row<'_>>)) {
    for entry in entries {
        let tensor = tensor(logged, entry, number);
        for at in 0..entry.rows() {
            see(tensor.map(|tensor| {
                let elements = tensor.elements / entry.rows();
                Row { tensor, elements, at }
            }));
        }
    }
}

/// One column of structs: see `schema::whole`.
pub(crate) fn whole(
    logged: &Logged,
    from: Tensors<'_>,
    bytes_max: usize,
) -> Result<ArrayRef, ArrowError> {
    let (mut dtype, mut data) = (StringBuilder::new(), BinaryBuilder::new());
    let item = Field::new("item", DataType::Int64, false);
    let mut shape = ListBuilder::new(Int64Builder::new()).with_field(item);
    let (mut truncated, mut sha256) = (BooleanBuilder::new(), StringBuilder::new());
    let mut valid = NullBufferBuilder::new(0);
    each_row(logged, from, |row| {
        valid.append(row.is_some());
        let bytes = row.as_ref().map(Row::bytes).unwrap_or_default();
        let cut = bytes.len() > bytes_max;
        dtype.append_value(logged.dtype.name());
        data.append_value(bytes.get(..bytes_max).unwrap_or(&bytes));
        truncated.append_value(cut);
        sha256.append_option(cut.then(|| digest(&bytes)));
        let dims = row.as_ref().map(|it| it.tensor.dims).unwrap_or_default();
        let dims = dims.get(usize::from(logged.has_rows)..).unwrap_or_default();
        for dim in dims {
            shape.values().append_value(i64::try_from(*dim).unwrap_or(i64::MAX));
        }
        shape.append(true);
    });
    let parts: Vec<ArrayRef> = vec![
        Arc::new(dtype.finish()),
        Arc::new(shape.finish()),
        Arc::new(data.finish()),
        Arc::new(truncated.finish()),
        Arc::new(sha256.finish()),
    ];
    Ok(Arc::new(StructArray::try_new(whole_fields(), parts, valid.finish())?))
}
