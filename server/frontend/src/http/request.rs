//! The JSON of an infer request, whatever its form (see `plain`).
//!
//! Read in one pass, the tensors' elements straight into their memory; only where `data` stands
//! before the type or the shape it needs is it kept as text and read afterwards.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use backend_api::{DType, Shape, Tensor};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed as _, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use server_base::{NamedTensor, NamedTensors, limits};
use server_serving::InferError;
use smallvec::SmallVec;

use super::elements::Elements;
use super::{object, plain};
use crate::memory::{At, Memory, Targets};

/// What the JSON says.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct InferBody<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) parameters: Parameters,
    #[serde(borrow, deserialize_with = "few")]
    pub(crate) inputs: SmallVec<[Input<'a>; 2]>,
    #[serde(borrow, default, deserialize_with = "few")]
    pub(crate) outputs: SmallVec<[WantedOutput<'a>; 2]>,
}

/// An output that is asked for.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct WantedOutput<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(default)]
    pub(crate) parameters: Parameters,
}

/// The parameters that mean something here, of the request, an input or an output. Others are
/// the caller's own and are left alone.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) timeout: Option<u64>,
    pub(crate) binary_data_output: Option<bool>,
    pub(crate) binary_data: Option<bool>,
    pub(crate) binary_data_size: Option<usize>,
    pub(crate) shared_memory_region: Option<Box<str>>,
    pub(crate) shared_memory_offset: Option<u64>,
    pub(crate) shared_memory_byte_size: Option<u64>,
    classification: Option<IgnoredAny>,
}

impl Parameters {
    /// Extensions that ask for something else than the answer itself. Ignoring them would be worse
    /// than refusing.
    fn refuse_unserved(&self, tensor: &str) -> Result<(), InferError> {
        match self.classification {
            None => Ok(()),
            Some(IgnoredAny) => Err(InferError::Unimplemented(format!(
                "parameter 'classification' of '{tensor}' asks for an extension that is not served"
            ))),
        }
    }

    /// Is the tensor in its client's memory?
    fn is_elsewhere(&self) -> bool {
        self.shared_memory_region.is_some()
            || self.shared_memory_offset.is_some()
            || self.shared_memory_byte_size.is_some()
    }

    /// Where in its client's memory the tensor is, or is to be put.
    fn at(&self, tensor: &str) -> Result<Option<At<'_>>, InferError> {
        let (offset, bytes) = (self.shared_memory_offset, self.shared_memory_byte_size);
        At::new(tensor, (self.shared_memory_region.as_deref(), offset, bytes))
    }
}

/// An input, its elements read if they were in the JSON.
#[derive(Debug, PartialEq)]
pub(crate) struct Input<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) dtype: DType,
    pub(super) shape: Shape,
    pub(super) parameters: Parameters,
    pub(super) data: Option<Vec<u8>>,
}

impl<'a> InferBody<'a> {
    /// Reads the text. The error says where.
    pub(crate) fn parse(json: &'a [u8]) -> Result<InferBody<'a>, InferError> {
        let body = match plain::read(json) {
            Some(body) => body,
            None => object::read(json)?,
        };
        let named = body.inputs.len().max(body.outputs.len());
        if named > limits::TENSORS_MAX {
            let most = limits::TENSORS_MAX;
            return Err(InferError::Invalid(format!(
                "{named} tensors are named, at most {most} may be"
            )));
        }
        for output in &body.outputs {
            output.parameters.refuse_unserved(&output.name)?;
        }
        Ok(body)
    }

    /// How long the caller waits.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.parameters.timeout.map(Duration::from_micros)
    }

    /// Which outputs are wanted as bytes behind the JSON: by their place if they are named, which
    /// say so themselves, and else all or none.
    pub(crate) fn wants_binary(&self) -> WantsBinary {
        let named = self.outputs.iter().map(|it| it.parameters.binary_data.unwrap_or(false));
        let others = self.parameters.binary_data_output.unwrap_or(false);
        WantsBinary { named: named.collect(), others }
    }

    /// Where the inputs are that lie in their client's memory.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = Result<At<'_>, InferError>> {
        self.inputs.iter().filter_map(|it| it.parameters.at(&it.name).transpose())
    }

    /// Which outputs go into their client's memory.
    pub(crate) fn targets(&self, memory: &Memory<'_>) -> Result<Targets, InferError> {
        let mut targets = Targets::default();
        for (place, output) in self.outputs.iter().enumerate() {
            if let Some(at) = output.parameters.at(&output.name)? {
                targets.push(place, memory.output(&output.name, at)?);
            }
        }
        Ok(targets)
    }
}

/// See [`InferBody::wants_binary`].
#[derive(Debug)]
pub(crate) struct WantsBinary {
    named: SmallVec<[bool; 8]>,
    others: bool,
}

impl WantsBinary {
    /// Every output.
    pub(crate) fn all() -> WantsBinary {
        WantsBinary { named: SmallVec::new(), others: true }
    }

    /// The output at that place of the answer?
    pub(crate) fn at(&self, place: usize) -> bool {
        self.named.get(place).copied().unwrap_or(self.others)
    }
}

/// Puts the inputs together with the bytes behind the JSON, and those in their client's memory.
pub(crate) fn tensors<'a>(
    inputs: SmallVec<[Input<'a>; 2]>,
    mut binary: Bytes,
    memory: &mut Memory<'_>,
) -> Result<NamedTensors<'a>, InferError> {
    let mut tensors = NamedTensors::with_capacity(inputs.len());
    for input in inputs {
        let Input { name, dtype, shape, parameters, data } = input;
        parameters.refuse_unserved(&name)?;
        let data = match (data, parameters.binary_data_size) {
            (data, size) if parameters.is_elsewhere() => {
                memory.only(&name, data.is_some() || size.is_some())?;
                // There are such parameters, so there is a place, or an error.
                let at = parameters.at(&name)?;
                at.map_or(Ok(Bytes::new()), |at| memory.input(&name, at))?
            }
            (Some(data), None) => Bytes::from(data),
            (None, Some(size)) if size <= binary.len() => binary.split_to(size),
            (None, Some(size)) => {
                return Err(InferError::Invalid(format!(
                    "unexpected size for input '{name}': binary_data_size is {size}, {} bytes are left",
                    binary.len()
                )));
            }
            (None, None) => {
                return Err(InferError::Invalid(format!(
                    "input '{name}' has neither 'data' nor parameter 'binary_data_size'"
                )));
            }
            (Some(_), Some(_)) => {
                return Err(InferError::Invalid(format!(
                    "input '{name}' has both 'data' and parameter 'binary_data_size'"
                )));
            }
        };
        match Tensor::new(dtype, shape, data) {
            Ok(tensor) => tensors.push(NamedTensor { name, tensor }),
            Err(source) => return Err(InferError::Tensor { input: name.into_owned(), source }),
        }
    }
    if !binary.is_empty() {
        let extra = binary.len();
        return Err(InferError::Invalid(format!(
            "unexpected additional input data: {extra} bytes follow the last tensor"
        )));
    }
    Ok(tensors)
}

impl<'de: 'a, 'a> Deserialize<'de> for Input<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Input<'a>, D::Error> {
        deserializer.deserialize_map(InputVisitor)
    }
}

struct InputVisitor;

/// Keys of an input in any order.
#[derive(Default)]
struct Draft<'a> {
    name: Option<Cow<'a, str>>,
    dtype: Option<DType>,
    shape: Option<Shape>,
    parameters: Option<Parameters>,
    data: Option<Vec<u8>>,
    /// `data` that came too early to be understood.
    text: Option<&'a RawValue>,
}

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an input: an object with name, datatype, shape and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Input<'de>, A::Error> {
        let mut draft = Draft::default();
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "name" => once("name", &mut draft.name, || map.next_value().map(|Key(it)| it))?,
                "datatype" => once("datatype", &mut draft.dtype, || {
                    let Key(name) = map.next_value()?;
                    DType::parse(&name).ok_or_else(|| {
                        let shown: String = name.chars().take(32).collect();
                        A::Error::custom(format!("data-type {shown:?} does not exist"))
                    })
                })?,
                "shape" => once("shape", &mut draft.shape, || {
                    let dims: Vec<i64> = map.next_value()?;
                    Shape::from_wire(&dims).map_err(A::Error::custom)
                })?,
                "parameters" => once("parameters", &mut draft.parameters, || map.next_value())?,
                "data" => match (draft.dtype, &draft.shape) {
                    (Some(dtype), Some(shape)) if draft.text.is_none() => {
                        let count = shape.elements();
                        once("data", &mut draft.data, || {
                            let mut into = Vec::new();
                            map.next_value_seed(Elements { dtype, count, into: &mut into })?;
                            Ok(into)
                        })?;
                    }
                    (_, _) => once("data", &mut draft.text, || map.next_value())?,
                },
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        draft.finish()
    }
}

impl<'a> Draft<'a> {
    fn finish<E: Error>(self) -> Result<Input<'a>, E> {
        let name = self.name.ok_or_else(|| E::missing_field("name"))?;
        let dtype = self.dtype.ok_or_else(|| E::missing_field("datatype"))?;
        let shape = self.shape.ok_or_else(|| E::missing_field("shape"))?;
        let mut data = self.data;
        if let Some(text) = self.text {
            if data.is_some() {
                return Err(E::duplicate_field("data"));
            }
            let mut into = Vec::new();
            let elements = Elements { dtype, count: shape.elements(), into: &mut into };
            let read = elements.deserialize(&mut serde_json::Deserializer::from_str(text.get()));
            read.map_err(E::custom)?;
            data = Some(into);
        }
        let parameters = self.parameters.unwrap_or_default();
        Ok(Input { name, dtype, shape, parameters, data })
    }
}

fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<SmallVec<[T; 2]>, D::Error> {
    Vec::deserialize(deserializer).map(SmallVec::from_vec)
}

/// Reads a value into an empty place; a key that stands twice is a mistake, not a choice.
fn once<T, E: Error>(
    key: &'static str,
    place: &mut Option<T>,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<(), E> {
    if place.is_some() {
        return Err(E::duplicate_field(key));
    }
    *place = Some(read()?);
    Ok(())
}

/// A text, borrowed from the JSON where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
