//! A prediction's message in the form that clients send, read in one pass: names, tensors and id
//! stay where they are, as slices of the message.
//!
//! Whatever is unusual (parameters, typed contents, groups) or wrong is the generated decoder's,
//! which understands all of it and has a sentence for each fault. Invariant: what is read here is
//! what that decoder reads, for any bytes.
//!
//! # Source
//! Protocol Buffers, "Encoding": last value of a field counts, repeated ones add up, numbers of a
//! repeated field may be packed or not, unknown fields are skipped.

use std::time::Duration;

use backend_api::{DType, Shape, Tensor};
use bytes::Bytes;
use server_base::{InferRequest, NamedTensor, VersionChoice, limits};
use smallvec::SmallVec;

use super::wire::{Field, Fields, Value};

/// Axes beyond these are too many for any tensor.
const AXES_MAX: usize = 16;

/// A message that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Plain<'a> {
    pub(crate) request: InferRequest<'a>,
    /// The caller's own name for it: text.
    pub(crate) id: Bytes,
}

/// An input before it is known where its elements are.
struct Input<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: SmallVec<[i64; 4]>,
}

impl<'a> Input<'a> {
    fn tensor(self, data: Bytes) -> Option<NamedTensor<'a>> {
        let shape = Shape::from_wire(&self.shape).ok()?;
        let tensor = Tensor::new(DType::parse(self.datatype)?, shape, data).ok()?;
        Some(NamedTensor { name: self.name.into(), tensor })
    }
}

/// Reads a message. `timeout` is what the call's headers give.
pub(crate) fn read(message: &Bytes, timeout: Option<Duration>) -> Option<Plain<'_>> {
    let (mut model, mut version, mut id) = ("", "", "");
    let mut inputs: SmallVec<[Input<'_>; 2]> = SmallVec::new();
    let mut outputs = SmallVec::new();
    let mut raw: SmallVec<[&[u8]; 2]> = SmallVec::new();
    for field in Fields::of(message) {
        match field? {
            Field { number: 1, value: Value::Bytes(it) } => model = text(it)?,
            Field { number: 2, value: Value::Bytes(it) } => version = text(it)?,
            Field { number: 3, value: Value::Bytes(it) } => id = text(it)?,
            Field { number: 5, value: Value::Bytes(it) } => inputs.push(input(it)?),
            Field { number: 6, value: Value::Bytes(it) } => outputs.push(output(it)?.into()),
            Field { number: 7, value: Value::Bytes(it) } => raw.push(it),
            Field { number: 1..=7, .. } => return None,
            Field { .. } => {}
        }
    }
    let most = inputs.len().max(outputs.len());
    if inputs.len() != raw.len() || raw.is_empty() || most > limits::TENSORS_MAX {
        return None;
    }
    let tensors = inputs.into_iter().zip(raw);
    let inputs =
        tensors.map(|(it, raw)| it.tensor(message.slice_ref(raw))).collect::<Option<_>>()?;
    let version = VersionChoice::parse(version).ok()?;
    let id = if id.is_empty() { Bytes::new() } else { message.slice_ref(id.as_bytes()) };
    let model = model.into();
    Some(Plain { request: InferRequest { model, version, inputs, outputs, timeout }, id })
}

fn input(bytes: &[u8]) -> Option<Input<'_>> {
    let mut input = Input { name: "", datatype: "", shape: SmallVec::new() };
    for field in Fields::of(bytes) {
        match field? {
            Field { number: 1, value: Value::Bytes(it) } => input.name = text(it)?,
            Field { number: 2, value: Value::Bytes(it) } => input.datatype = text(it)?,
            Field { number: 3, value: Value::Varint(it) } => input.shape.push(it.cast_signed()),
            Field { number: 3, value: Value::Bytes(mut packed) } => {
                while !packed.is_empty() && input.shape.len() <= AXES_MAX {
                    input.shape.push(super::wire::varint(&mut packed)?.cast_signed());
                }
            }
            Field { number: 1..=5, .. } => return None,
            Field { .. } => {}
        }
        if input.shape.len() > AXES_MAX {
            return None;
        }
    }
    Some(input)
}

/// The name of an output that is asked for.
fn output(bytes: &[u8]) -> Option<&str> {
    let mut name = "";
    for field in Fields::of(bytes) {
        match field? {
            Field { number: 1, value: Value::Bytes(it) } => name = text(it)?,
            Field { number: 1..=2, .. } => return None,
            Field { .. } => {}
        }
    }
    Some(name)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
