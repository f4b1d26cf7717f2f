//! The JSON of an infer request in the form in which clients write it, read in one pass.
//!
//! Whatever is unusual (keys of others, escapes, `data` in front of its type and shape, elements
//! that are no numbers) or wrong is left to serde, which understands all of it and says what is
//! wrong and where. Invariant: what is read here is what serde reads, for any text.

use backend_api::{DType, Shape};
use half::{bf16, f16};
use smallvec::SmallVec;

use super::elements::{DEPTH_MAX, nearest};
use super::reader::{Number, Reader};
use super::request::{InferBody, Input, Parameters, WantedOutput};

/// Reads a whole body.
pub(super) fn read(json: &[u8]) -> Option<InferBody<'_>> {
    let (mut id, mut parameters) = (None, None);
    let (mut inputs, mut outputs) = (None, None);
    let mut reader = Reader::new(json);
    reader.object(|reader, key| match key {
        "id" => once(&mut id, || reader.text()),
        "parameters" => once(&mut parameters, || self::parameters(reader)),
        "inputs" => once(&mut inputs, || list(reader, input)),
        "outputs" => once(&mut outputs, || list(reader, output)),
        _ => None,
    })?;
    reader.end()?;
    Some(InferBody {
        id: id.map(Into::into),
        parameters: parameters.unwrap_or_default(),
        inputs: inputs?,
        outputs: outputs.unwrap_or_default(),
    })
}

fn input<'a>(reader: &mut Reader<'a>) -> Option<Input<'a>> {
    let (mut name, mut dtype, mut shape) = (None, None, None);
    let (mut parameters, mut data) = (None, None);
    reader.object(|reader, key| match key {
        "name" => once(&mut name, || reader.text()),
        "datatype" => once(&mut dtype, || DType::parse(reader.text()?)),
        "shape" => once(&mut shape, || self::shape(reader)),
        "parameters" => once(&mut parameters, || self::parameters(reader)),
        "data" => {
            let (dtype, shape): (DType, &Shape) = (dtype?, shape.as_ref()?);
            once(&mut data, || elements(reader, dtype, shape.elements()))
        }
        _ => None,
    })?;
    let parameters = parameters.unwrap_or_default();
    Some(Input { name: name?.into(), dtype: dtype?, shape: shape?, parameters, data })
}

fn output<'a>(reader: &mut Reader<'a>) -> Option<WantedOutput<'a>> {
    let (mut name, mut parameters) = (None, None);
    reader.object(|reader, key| match key {
        "name" => once(&mut name, || reader.text()),
        "parameters" => once(&mut parameters, || self::parameters(reader)),
        _ => None,
    })?;
    Some(WantedOutput { name: name?.into(), parameters: parameters.unwrap_or_default() })
}

fn parameters(reader: &mut Reader<'_>) -> Option<Parameters> {
    let mut it = Parameters::default();
    reader.object(|reader, key| match key {
        "timeout" => once(&mut it.timeout, || reader.count()),
        "binary_data_output" => once(&mut it.binary_data_output, || reader.flag()),
        "binary_data" => once(&mut it.binary_data, || reader.flag()),
        "binary_data_size" => {
            once(&mut it.binary_data_size, || usize::try_from(reader.count()?).ok())
        }
        "shared_memory_region" => {
            once(&mut it.shared_memory_region, || Some(reader.text()?.into()))
        }
        "shared_memory_offset" => once(&mut it.shared_memory_offset, || reader.count()),
        "shared_memory_byte_size" => once(&mut it.shared_memory_byte_size, || reader.count()),
        _ => None,
    })?;
    Some(it)
}

fn shape(reader: &mut Reader<'_>) -> Option<Shape> {
    let lengths: SmallVec<[i64; 2]> = list(reader, |reader| i64::try_from(reader.count()?).ok())?;
    Shape::from_wire(&lengths).ok()
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    element: impl Fn(&mut Reader<'a>) -> Option<T>,
) -> Option<SmallVec<[T; 2]>> {
    let mut list = SmallVec::new();
    reader.array(|reader| {
        list.push(element(reader)?);
        Some(())
    })?;
    Some(list)
}

/// Reads a value into an empty place.
fn once<T>(place: &mut Option<T>, read: impl FnOnce() -> Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(read()?);
    Some(())
}

/// So many numbers of a type, in memory order.
fn elements(reader: &mut Reader<'_>, dtype: DType, count: usize) -> Option<Vec<u8>> {
    macro_rules! whole {
        ($type:ty) => {
            numbers(reader, count, |it| Some(<$type>::try_from(it.whole()?).ok()?.to_le_bytes()))
        };
    }
    /// Infinite is what was too large for the type.
    macro_rules! broken {
        ($convert:expr) => {
            numbers(reader, count, |it| {
                let value = $convert(it.to_f64());
                value.is_finite().then(|| value.to_le_bytes())
            })
        };
    }
    match dtype {
        DType::Uint8 => whole!(u8),
        DType::Uint16 => whole!(u16),
        DType::Uint32 => whole!(u32),
        DType::Uint64 => whole!(u64),
        DType::Int8 => whole!(i8),
        DType::Int16 => whole!(i16),
        DType::Int32 => whole!(i32),
        DType::Int64 => whole!(i64),
        DType::Fp16 => broken!(f16::from_f64),
        DType::Bf16 => broken!(bf16::from_f64),
        DType::Fp32 => broken!(nearest),
        DType::Fp64 => broken!(|it: f64| it),
        DType::Bool | DType::Bytes => None,
    }
}

/// An array of numbers, flat or nested.
fn numbers<const N: usize>(
    reader: &mut Reader<'_>,
    count: usize,
    bytes: impl Fn(Number) -> Option<[u8; N]>,
) -> Option<Vec<u8>> {
    // A number takes two bytes at least, so memory is bounded by what has come.
    if count > reader.left() / 2 {
        return None;
    }
    let mut into = Vec::with_capacity(count * N);
    let mut depth = 0;
    reader.take(b'[')?;
    loop {
        // In front of an element.
        while reader.take(b'[').is_some() {
            depth += 1;
            if depth >= DEPTH_MAX {
                return None;
            }
        }
        if into.len() >= count * N {
            return None;
        }
        into.extend_from_slice(&bytes(reader.number()?)?);
        // Behind one.
        loop {
            match reader.next()? {
                b',' => break,
                b']' if depth == 0 => return (into.len() == count * N).then_some(into),
                b']' => depth -= 1,
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
