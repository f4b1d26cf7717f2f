//! What a message will take in memory, told from its bytes before any of it is decoded.
//!
//! A few bytes on the wire can stand for many in memory: an empty input is two bytes there and
//! some hundreds here. So tensors are counted, and the elements of typed contents weighed, by a
//! walk over the fields' headers. What is malformed is left to the decoder to refuse.

use server_base::limits;
use server_serving::InferError;

const INPUTS: u64 = 5;
const OUTPUTS: u64 = 6;
const RAW: u64 = 7;
const PARAMETERS: u64 = 4;
const SHAPE: u64 = 3;
const CONTENTS: u64 = 5;

/// A parameter is an entry of a map: its key takes at least four bytes, its entry some hundred.
const PARAMETER_FACTOR: usize = 32;

/// A length of a shape takes one byte or more, and eight in memory.
const SHAPE_FACTOR: usize = 8;

/// By the number of the field of `InferTensorContents`: most bytes in memory for one on the wire,
/// the copy into the tensor included. Bytes elements are at least two bytes and a header of 32.
const CONTENTS_FACTORS: [usize; 9] = [0, 2, 8, 16, 8, 16, 2, 2, 17];

/// Bytes beyond those of the message itself. Refuses more tensors than a request may have.
pub(crate) fn of(message: &[u8]) -> Result<usize, InferError> {
    let (mut weight, mut inputs, mut outputs, mut raw) = (0_usize, 0, 0, 0);
    for (field, bytes) in Fields(message) {
        match field {
            INPUTS => {
                inputs += 1;
                weight = weight.saturating_add(of_input(bytes));
            }
            OUTPUTS => {
                outputs += 1;
                weight = weight.saturating_add(bytes.len().saturating_mul(PARAMETER_FACTOR));
            }
            RAW => raw += 1,
            PARAMETERS => {
                weight = weight.saturating_add(bytes.len().saturating_mul(PARAMETER_FACTOR));
            }
            _ => {}
        }
    }
    let (named, most) = (inputs.max(outputs).max(raw), limits::TENSORS_MAX);
    if named > most {
        let text = format!("{named} tensors are named, at most {most} may be");
        return Err(InferError::Invalid(text));
    }
    Ok(weight)
}

fn of_input(input: &[u8]) -> usize {
    let of = |(field, bytes): (u64, &[u8])| match field {
        SHAPE => bytes.len().saturating_mul(SHAPE_FACTOR),
        PARAMETERS => bytes.len().saturating_mul(PARAMETER_FACTOR),
        CONTENTS => Fields(bytes).map(of_contents).fold(0, usize::saturating_add),
        _ => 0,
    };
    Fields(input).map(of).fold(0, usize::saturating_add)
}

fn of_contents((field, bytes): (u64, &[u8])) -> usize {
    let place = usize::try_from(field).unwrap_or(usize::MAX);
    let factor = CONTENTS_FACTORS.get(place).copied().unwrap_or(0);
    // An element that stands alone has a header of its own, which counts as a byte of it.
    (bytes.len() + 1).saturating_mul(factor)
}

/// The fields of a message: number, and the bytes of its value.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let key = varint(&mut self.0)?;
        let length = match key & 7 {
            0 => {
                let before = self.0;
                varint(&mut self.0)?;
                return Some((key >> 3, &before[..before.len() - self.0.len()]));
            }
            1 => 8,
            2 => usize::try_from(varint(&mut self.0)?).ok()?,
            5 => 4,
            // A group's fields count as if they stood outside of it: decoders skip it.
            3 | 4 => 0,
            _ => return None,
        };
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((key >> 3, value))
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    use prost::Message as _;
    use proto::inference::model_infer_request::InferInputTensor;
    use proto::inference::{InferTensorContents, ModelInferRequest};

    #[track_caller]
    fn check(contents: InferTensorContents, at_least: usize, at_most: usize) {
        let input = InferInputTensor { contents: Some(contents), ..Default::default() };
        let message = ModelInferRequest { inputs: vec![input], ..Default::default() };
        let weight = of(&message.encode_to_vec()).expect("few tensors");
        assert!((at_least..=at_most).contains(&weight), "{weight}");
    }

    #[test]
    fn contents_weigh_what_they_take() {
        let bytes_contents = vec![bytes::Bytes::new(); 1_000];
        check(InferTensorContents { bytes_contents, ..Default::default() }, 16_000, 40_000);
        let int64_contents = vec![1; 1_000];
        check(InferTensorContents { int64_contents, ..Default::default() }, 16_000, 17_000);
        let fp32_contents = vec![1.0; 1_000];
        check(InferTensorContents { fp32_contents, ..Default::default() }, 8_000, 9_000);
    }

    #[test]
    fn raw_tensors_weigh_nothing_more() {
        let message =
            ModelInferRequest { raw_input_contents: vec![vec![0; 9].into()], ..Default::default() };
        assert_eq!(of(&message.encode_to_vec()), Ok(0));
    }

    #[test]
    fn tensors_are_counted_before_they_are_made() {
        let error = of(&[0x2a, 0].repeat(100_000)).expect_err("too many");
        assert_eq!(error.to_string(), "100000 tensors are named, at most 1024 may be");
    }

    #[test]
    fn what_is_malformed_ends_the_walk() {
        for bytes in [&[0xff][..], &[0x2a, 5, 1], &[0x2e, 1], &[0xff; 12]] {
            assert_eq!(of(bytes), Ok(0), "{bytes:?}");
        }
    }

    #[test]
    fn a_group_in_front_hides_nothing() {
        let message = [&[0x7b, 0x7c][..], &[0x2a, 0].repeat(2_000)].concat();
        of(&message).expect_err("too many");
    }
}
