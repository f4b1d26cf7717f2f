//! From the message to a request, for messages that are not plain (see `plain`): raw contents are
//! slices of what the socket gave.

use std::collections::HashMap;
use std::time::Duration;

use backend_api::{DType, Shape, Tensor, TensorError, strings};
use bytes::Bytes;
use proto::inference::infer_parameter::ParameterChoice;
use proto::inference::model_infer_request::InferInputTensor;
use proto::inference::{InferParameter, InferTensorContents, ModelInferRequest};
use server_base::{InferRequest, NamedTensor, NamedTensors, VersionChoice};
use server_serving::InferError;

use crate::memory::{At, BYTES, Memory, OFFSET, REGION, Targets};

type Parameters = HashMap<String, InferParameter>;

/// Checks and converts a request, and says which outputs go into its client's memory. `call_timeout` is what
/// the call's metadata gives.
pub(crate) fn request<'a>(
    message: ModelInferRequest,
    version: VersionChoice,
    call_timeout: Option<Duration>,
    memory: &mut Memory<'_>,
) -> Result<(InferRequest<'a>, Targets), InferError> {
    let ModelInferRequest { model_name, parameters, inputs, outputs, raw_input_contents, .. } =
        message;
    let tensors = inputs.iter().map(|it| (&it.name, &it.parameters));
    for (tensor, parameters) in tensors.chain(outputs.iter().map(|it| (&it.name, &it.parameters))) {
        refuse_unserved(tensor, parameters, memory)?;
    }
    let mut targets = Targets::default();
    for (place, output) in outputs.iter().enumerate() {
        if let Some(at) = elsewhere(&output.name, &output.parameters)? {
            targets.push(place, memory.output(&output.name, at)?);
        }
    }
    let timeout = timeout(&parameters, call_timeout)?;
    let inputs = if raw_input_contents.is_empty() {
        inputs.into_iter().map(|it| typed_input(it, memory)).collect::<Result<_, _>>()?
    } else {
        raw_inputs(inputs, raw_input_contents, memory)?
    };
    let outputs = outputs.into_iter().map(|it| it.name.into()).collect();
    let model = model_name.into();
    Ok((InferRequest { model, version, inputs, outputs, timeout }, targets))
}

/// Where the inputs of a message are that lie in their client's memory.
pub(crate) fn elsewhere_of(
    message: &ModelInferRequest,
) -> impl Iterator<Item = Result<At<'_>, InferError>> {
    message.inputs.iter().filter_map(|it| elsewhere(&it.name, &it.parameters).transpose())
}

/// How long the caller waits, by the message's parameters and the call.
pub(crate) fn timeout(
    parameters: &Parameters,
    call: Option<Duration>,
) -> Result<Option<Duration>, InferError> {
    let Some(choice) = parameters.get("timeout").and_then(|it| it.parameter_choice.as_ref()) else {
        return Ok(call);
    };
    let asked = timeout_parameter(choice)?;
    Ok(Some(call.map_or(asked, |it| it.min(asked))))
}

/// The request parameter `timeout`, in microseconds.
fn timeout_parameter(choice: &ParameterChoice) -> Result<Duration, InferError> {
    whole(choice).map(Duration::from_micros).ok_or_else(|| {
        InferError::Invalid("parameter 'timeout' is not a whole number of microseconds".to_owned())
    })
}

/// A number of either kind that is not negative.
fn whole(choice: &ParameterChoice) -> Option<u64> {
    match choice {
        ParameterChoice::Int64Param(it) => u64::try_from(*it).ok(),
        ParameterChoice::Uint64Param(it) => Some(*it),
        ParameterChoice::BoolParam(_)
        | ParameterChoice::StringParam(_)
        | ParameterChoice::DoubleParam(_) => None,
    }
}

/// Extensions that ask for something else than the answer itself. Ignoring them would be worse
/// than refusing.
fn refuse_unserved(
    tensor: &str,
    parameters: &Parameters,
    memory: &Memory<'_>,
) -> Result<(), InferError> {
    for name in parameters.keys() {
        if name == "classification" {
            return Err(InferError::Unimplemented(format!(
                "parameter '{name}' of '{tensor}' asks for an extension that is not served"
            )));
        }
        if name.starts_with("shared_memory_") {
            memory.serves(name, tensor)?;
        }
    }
    Ok(())
}

/// Where in its client's memory a tensor is, or is to be put.
fn elsewhere<'a>(tensor: &str, parameters: &'a Parameters) -> Result<Option<At<'a>>, InferError> {
    if parameters.is_empty() {
        return Ok(None);
    }
    let choice = |name: &str| parameters.get(name).map(|it| it.parameter_choice.as_ref());
    let wrong = |name: &str, what: &str| {
        InferError::Invalid(format!("parameter '{name}' of '{tensor}' is not {what}"))
    };
    let region = match choice(REGION) {
        None => None,
        Some(Some(ParameterChoice::StringParam(it))) => Some(&**it),
        Some(_) => return Err(wrong(REGION, "a text")),
    };
    let number = |name: &str| match choice(name) {
        None => Ok(None),
        Some(it) => {
            it.and_then(whole).map(Some).ok_or_else(|| wrong(name, "a whole number of bytes"))
        }
    };
    At::new(tensor, (region, number(OFFSET)?, number(BYTES)?))
}

fn raw_inputs<'a>(
    inputs: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
    memory: &mut Memory<'_>,
) -> Result<NamedTensors<'a>, InferError> {
    let is_here = |it: &&InferInputTensor| !it.parameters.contains_key(REGION);
    let here = inputs.iter().filter(is_here).count();
    if here != raw.len() {
        return Err(InferError::Invalid(format!(
            "expected one entry of raw_input_contents for each of {here} inputs, got {}",
            raw.len()
        )));
    }
    let mut raw = raw.into_iter();
    let named = |input: InferInputTensor| {
        if let Some(at) = elsewhere(&input.name, &input.parameters)? {
            return shared_input(&input, at, memory).and_then(|it| tensor(input.name, it));
        }
        // As many are left as inputs.
        let data = raw.next().unwrap_or_default();
        if input.contents.is_some() {
            return Err(InferError::Invalid(format!(
                "contents field must not be specified when using raw_input_contents for '{}'",
                input.name
            )));
        }
        let (dtype, shape) = dtype_and_shape(&input)?;
        tensor(input.name, Tensor::new(dtype, shape, data))
    };
    inputs.into_iter().map(named).collect()
}

/// An input in its client's memory.
fn shared_input(
    input: &InferInputTensor,
    at: At<'_>,
    memory: &mut Memory<'_>,
) -> Result<Result<Tensor, TensorError>, InferError> {
    memory.only(&input.name, input.contents.is_some())?;
    let (dtype, shape) = dtype_and_shape(input)?;
    Ok(Tensor::new(dtype, shape, memory.input(&input.name, at)?))
}

fn typed_input<'a>(
    input: InferInputTensor,
    memory: &mut Memory<'_>,
) -> Result<NamedTensor<'a>, InferError> {
    if let Some(at) = elsewhere(&input.name, &input.parameters)? {
        return shared_input(&input, at, memory).and_then(|it| tensor(input.name, it));
    }
    let (dtype, shape) = dtype_and_shape(&input)?;
    let contents = input.contents.unwrap_or_default();
    let data = typed(dtype, contents)
        .map_err(|it| InferError::Invalid(format!("input '{}': {it}", input.name)))?;
    let (needed, got) = (shape.elements(), data.elements);
    if needed != got {
        let source = TensorError::Count { shape, needed, got };
        return Err(InferError::Tensor { input: input.name, source });
    }
    tensor(input.name, Tensor::new(dtype, shape, data.bytes.into()))
}

fn dtype_and_shape(input: &InferInputTensor) -> Result<(DType, Shape), InferError> {
    let dtype = DType::parse(&input.datatype).ok_or_else(|| {
        let (name, got) = (&input.name, &input.datatype);
        InferError::Invalid(format!("input '{name}' has data-type '{got}', which does not exist"))
    })?;
    let shape = Shape::from_wire(&input.shape)
        .map_err(|source| InferError::Tensor { input: input.name.clone(), source })?;
    Ok((dtype, shape))
}

fn tensor<'a>(
    name: String,
    tensor: Result<Tensor, TensorError>,
) -> Result<NamedTensor<'a>, InferError> {
    match tensor {
        Ok(tensor) => Ok(NamedTensor { name: name.into(), tensor }),
        Err(source) => Err(InferError::Tensor { input: name, source }),
    }
}

/// Elements in memory order, and how many.
struct Typed {
    bytes: Vec<u8>,
    elements: usize,
}

impl Typed {
    fn from_elements<const N: usize>(elements: impl Iterator<Item = [u8; N]>) -> Typed {
        let bytes: Vec<u8> = elements.flatten().collect();
        Typed { elements: bytes.len() / N.max(1), bytes }
    }

    /// Elements that travel in a wider type than theirs. One that does not fit is refused: cut to
    /// size, it would be another number.
    fn narrowed<W, T, const N: usize>(
        elements: Vec<W>,
        (dtype, to_bytes): (DType, impl Fn(T) -> [u8; N]),
    ) -> Result<Typed, String>
    where
        W: Copy + std::fmt::Display,
        T: TryFrom<W>,
    {
        let mut bytes = Vec::with_capacity(elements.len() * N);
        for &wide in &elements {
            let narrow = T::try_from(wide).map_err(|_| format!("{wide} does not fit {dtype}"))?;
            bytes.extend(to_bytes(narrow));
        }
        Ok(Typed { bytes, elements: elements.len() })
    }
}

fn typed(dtype: DType, contents: InferTensorContents) -> Result<Typed, String> {
    let it = contents;
    Ok(match dtype {
        DType::Bool => Typed::from_elements(it.bool_contents.into_iter().map(|it| [u8::from(it)])),
        DType::Int8 => Typed::narrowed(it.int_contents, (dtype, i8::to_le_bytes))?,
        DType::Int16 => Typed::narrowed(it.int_contents, (dtype, i16::to_le_bytes))?,
        DType::Int32 => Typed::from_elements(it.int_contents.into_iter().map(i32::to_le_bytes)),
        DType::Int64 => Typed::from_elements(it.int64_contents.into_iter().map(i64::to_le_bytes)),
        DType::Uint8 => Typed::narrowed(it.uint_contents, (dtype, u8::to_le_bytes))?,
        DType::Uint16 => Typed::narrowed(it.uint_contents, (dtype, u16::to_le_bytes))?,
        DType::Uint32 => Typed::from_elements(it.uint_contents.into_iter().map(u32::to_le_bytes)),
        DType::Uint64 => Typed::from_elements(it.uint64_contents.into_iter().map(u64::to_le_bytes)),
        DType::Fp32 => Typed::from_elements(it.fp32_contents.into_iter().map(f32::to_le_bytes)),
        DType::Fp64 => Typed::from_elements(it.fp64_contents.into_iter().map(f64::to_le_bytes)),
        DType::Bytes => {
            let mut bytes = Vec::new();
            for element in &it.bytes_contents {
                strings::push(&mut bytes, element).map_err(|it| it.to_string())?;
            }
            Typed { bytes, elements: it.bytes_contents.len() }
        }
        DType::Fp16 | DType::Bf16 => {
            return Err(format!("{dtype} travels in raw_input_contents only"));
        }
    })
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
