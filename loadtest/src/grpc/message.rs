//! gRPC frames and the inference messages in them.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use proto::inference::infer_parameter::ParameterChoice;
use proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use proto::inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
};
use serde_json::Value;

use crate::case::Case;
use crate::client::Target;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::tensor::{Datatype, Tensor, put_string};

/// A byte that says "not compressed", then the length in four bytes, big-endian.
const FRAME_HEAD_BYTES: usize = 5;

/// The framed request of `case`.
pub(crate) fn encode(target: &Target, case: &Case) -> Result<Bytes> {
    let input = |tensor: &Tensor| -> Result<InferInputTensor> {
        let axis = |&axis: &usize| i64::try_from(axis).context("an axis longer than 2^63");
        Ok(InferInputTensor {
            name: tensor.name.clone(),
            datatype: tensor.datatype.name().to_owned(),
            shape: tensor.shape.iter().map(axis).collect::<Result<_>>()?,
            ..InferInputTensor::default()
        })
    };
    let output = |name: &String| InferRequestedOutputTensor {
        name: name.clone(),
        ..InferRequestedOutputTensor::default()
    };
    let parameter = |(name, value): (&String, &Value)| Ok((name.clone(), parameter(value)?));
    frame(&ModelInferRequest {
        model_name: target.model.clone(),
        model_version: target.version.clone(),
        parameters: case.parameters.iter().map(parameter).collect::<Result<_>>()?,
        inputs: case.inputs.iter().map(input).collect::<Result<_>>()?,
        outputs: case.outputs.iter().map(output).collect(),
        raw_input_contents: case.inputs.iter().map(|it| it.data().clone()).collect(),
        ..ModelInferRequest::default()
    })
}

/// The outputs of an answer, frame already removed.
pub(crate) fn decode(body: &Bytes) -> Result<Vec<Tensor>> {
    let mut response =
        ModelInferResponse::decode(body.clone()).context("not a ModelInferResponse")?;
    let outputs = std::mem::take(&mut response.outputs);
    let raw = std::mem::take(&mut response.raw_output_contents);
    ensure!(
        raw.is_empty() || raw.len() == outputs.len(),
        "{} outputs, but {} raw_output_contents",
        outputs.len(),
        raw.len(),
    );
    let mut raw = raw.into_iter();
    let tensor = |output: proto::inference::model_infer_response::InferOutputTensor| {
        let datatype = Datatype::parse(&output.datatype)?;
        let axis = |axis: i64| {
            usize::try_from(axis).with_context(|| format!("axis {axis} of {:?}", output.name))
        };
        let shape = output.shape.iter().copied().map(axis).collect::<Result<_>>()?;
        let data = match (raw.next(), &output.contents) {
            (Some(data), _) => data,
            (None, Some(contents)) => typed(datatype, contents)?,
            (None, None) => Bytes::new(),
        };
        Tensor::new(output.name, datatype, shape, data)
    };
    outputs.into_iter().map(tensor).collect()
}

/// Puts `message` behind its frame head.
pub(super) fn frame<M: Message>(message: &M) -> Result<Bytes> {
    let length = message.encoded_len();
    ensure!(
        length <= MESSAGE_BYTES_MAX,
        "a message of {length} bytes, at most {MESSAGE_BYTES_MAX}"
    );
    let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).context("bounded above")?);
    message.encode(&mut frame).context("the buffer has the encoded length")?;
    Ok(frame.freeze())
}

/// The one message of an answer.
pub(super) fn unframe(mut body: Bytes) -> Result<Bytes> {
    ensure!(body.len() >= FRAME_HEAD_BYTES, "an answer of {} bytes, without a message", body.len());
    ensure!(body.get_u8() == 0, "a compressed message, which was not asked for");
    let length = body.get_u32() as usize;
    ensure!(length == body.len(), "a message of {length} bytes, but {} followed", body.len());
    Ok(body)
}

fn parameter(value: &Value) -> Result<InferParameter> {
    let choice = match value {
        Value::Bool(value) => ParameterChoice::BoolParam(*value),
        Value::String(value) => ParameterChoice::StringParam(value.clone()),
        Value::Number(value) => match (value.as_i64(), value.as_u64(), value.as_f64()) {
            (Some(value), _, _) => ParameterChoice::Int64Param(value),
            (None, Some(value), _) => ParameterChoice::Uint64Param(value),
            (None, None, Some(value)) => ParameterChoice::DoubleParam(value),
            (None, None, None) => bail!("parameter {value} fits no number"),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => bail!("parameter {value} is no scalar"),
    };
    Ok(InferParameter { parameter_choice: Some(choice) })
}

/// Elements that came one by one instead of raw, as some servers answer.
#[expect(clippy::cast_possible_truncation, reason = "narrow types travel in wider fields")]
fn typed(datatype: Datatype, contents: &InferTensorContents) -> Result<Bytes> {
    let (ints, uints) = (&contents.int_contents, &contents.uint_contents);
    let mut data = Vec::new();
    match datatype {
        Datatype::Bool => data.extend(contents.bool_contents.iter().map(|&it| u8::from(it))),
        Datatype::Int8 => data.extend(ints.iter().flat_map(|&it| (it as i8).to_le_bytes())),
        Datatype::Int16 => data.extend(ints.iter().flat_map(|&it| (it as i16).to_le_bytes())),
        Datatype::Int32 => data.extend(ints.iter().flat_map(|it| it.to_le_bytes())),
        Datatype::Int64 => {
            data.extend(contents.int64_contents.iter().flat_map(|it| it.to_le_bytes()));
        }
        Datatype::Uint8 => data.extend(uints.iter().flat_map(|&it| (it as u8).to_le_bytes())),
        Datatype::Uint16 => data.extend(uints.iter().flat_map(|&it| (it as u16).to_le_bytes())),
        Datatype::Uint32 => data.extend(uints.iter().flat_map(|it| it.to_le_bytes())),
        Datatype::Uint64 => {
            data.extend(contents.uint64_contents.iter().flat_map(|it| it.to_le_bytes()));
        }
        Datatype::Fp32 => {
            data.extend(contents.fp32_contents.iter().flat_map(|it| it.to_le_bytes()))
        }
        Datatype::Fp64 => {
            data.extend(contents.fp64_contents.iter().flat_map(|it| it.to_le_bytes()))
        }
        Datatype::Bytes => {
            contents.bytes_contents.iter().try_for_each(|it| put_string(&mut data, it))?;
        }
        Datatype::Fp16 | Datatype::Bf16 => bail!("FP16 and BF16 travel raw only"),
    }
    Ok(Bytes::from(data))
}
