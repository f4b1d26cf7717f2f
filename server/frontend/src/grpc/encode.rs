//! From an answer to the message: outputs travel raw, each a slice of the batch's memory.

use bytes::Bytes;
use proto::inference::model_metadata_response::TensorMetadata;
use proto::inference::repository_index_response::ModelIndex;
use proto::inference::{ModelMetadataResponse, RepositoryIndexResponse};
use server_base::{InferResponse, NamedTensor};
use server_regions::Span;
use smallvec::SmallVec;

use backend_api::TensorSpec;

use super::framing::PREFIX_BYTES;
use crate::index::Line;
use crate::memory::{self, Targets};
use crate::metadata::ModelMetadata;

/// Numbers of the fields of `ModelInferResponse` and `InferOutputTensor`, with the wire type that
/// all of them have: a length, then bytes.
mod key {
    pub(super) const MODEL_NAME: u8 = 1 << 3 | 2;
    pub(super) const MODEL_VERSION: u8 = 2 << 3 | 2;
    pub(super) const ID: u8 = 3 << 3 | 2;
    pub(super) const PARAMETERS: u8 = 4 << 3 | 2;
    pub(super) const OUTPUTS: u8 = 5 << 3 | 2;
    pub(super) const RAW_OUTPUT_CONTENTS: u8 = 6 << 3 | 2;
    /// Of an entry of the parameters, and of the text in its value.
    pub(super) const ENTRY_KEY: u8 = 1 << 3 | 2;
    pub(super) const ENTRY_VALUE: u8 = 2 << 3 | 2;
    pub(super) const STRING_PARAM: u8 = 3 << 3 | 2;
    pub(super) const NAME: u8 = 1 << 3 | 2;
    pub(super) const DATATYPE: u8 = 2 << 3 | 2;
    pub(super) const SHAPE: u8 = 3 << 3 | 2;
    /// Of an output.
    pub(super) const OUTPUT_PARAMETERS: u8 = 4 << 3 | 2;
    /// Of a number in a parameter's value: no length, but the number itself.
    pub(super) const INT64_PARAM: u8 = 2 << 3;
}

/// Name of the parameter that says what came of the prediction in the log.
const LOGGED: &str = "logged";

/// The answer under the caller's own id, as a message behind its prefix. Measured first, then
/// written at one go into memory of exactly that size: the structs in between would cost more
/// than the bytes.
pub(crate) fn framed(
    response: &InferResponse<'_>,
    id: &[u8],
    logged: Option<&'static str>,
    targets: &Targets,
) -> Bytes {
    let mut digits = itoa::Buffer::new();
    let version = digits.format(response.version.0).as_bytes();
    let heads = response.outputs.iter().enumerate();
    let heads: SmallVec<[OutputHead<'_>; 2]> =
        heads.map(|(place, it)| OutputHead::of(it, targets.at(place))).collect();
    let head = |it: &OutputHead<'_>| field_len(it.len) + field_len(it.data().len());
    let texts = [response.model.as_bytes(), version, id];
    let texts = texts.iter().filter(|it| !it.is_empty()).map(|it| field_len(it.len()));
    let parameter = logged.map_or(0, |it| field_len(entry_len(it)));
    let length = texts.sum::<usize>() + parameter + heads.iter().map(head).sum::<usize>();
    let mut out = Vec::with_capacity(PREFIX_BYTES + length);
    out.push(0);
    // The tensors came out of memory, so their sum fits; a message ends at 4 GiB.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    field(&mut out, key::MODEL_NAME, response.model.as_bytes());
    field(&mut out, key::MODEL_VERSION, version);
    if !id.is_empty() {
        field(&mut out, key::ID, id);
    }
    if let Some(logged) = logged {
        out.push(key::PARAMETERS);
        varint(&mut out, entry_len(logged));
        field(&mut out, key::ENTRY_KEY, LOGGED.as_bytes());
        out.push(key::ENTRY_VALUE);
        varint(&mut out, field_len(logged.len()));
        field(&mut out, key::STRING_PARAM, logged.as_bytes());
    }
    heads.iter().for_each(|it| it.write(&mut out));
    for head in &heads {
        field(&mut out, key::RAW_OUTPUT_CONTENTS, head.data());
    }
    Bytes::from(out)
}

/// Of the parameter that says what came of the prediction in the log.
fn entry_len(logged: &str) -> usize {
    field_len(LOGGED.len()) + field_len(field_len(logged.len()))
}

/// What is said of an output before its elements.
struct OutputHead<'a> {
    output: &'a NamedTensor<'a>,
    /// Bytes of the shape, and of the whole.
    shape: usize,
    len: usize,
    /// What says that the elements are in their client's memory, whole fields of it; empty if they are here.
    elsewhere: Vec<u8>,
}

impl<'a> OutputHead<'a> {
    fn of(output: &'a NamedTensor<'a>, target: Option<&Span>) -> OutputHead<'a> {
        let elsewhere = target.map_or(Vec::new(), |it| elsewhere(it, output.tensor.data().len()));
        let shape = output.tensor.shape().dims().iter().map(|it| varint_len(*it)).sum();
        let texts = [output.name.len(), output.tensor.dtype().name().len()];
        let len = texts.into_iter().chain([shape]).map(field_len).sum::<usize>() + elsewhere.len();
        OutputHead { output, shape, len, elsewhere }
    }

    /// The elements, if they are here.
    fn data(&self) -> &[u8] {
        if self.elsewhere.is_empty() { self.output.tensor.data() } else { &[] }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(key::OUTPUTS);
        varint(out, self.len);
        field(out, key::NAME, self.output.name.as_bytes());
        field(out, key::DATATYPE, self.output.tensor.dtype().name().as_bytes());
        out.push(key::SHAPE);
        varint(out, self.shape);
        self.output.tensor.shape().dims().iter().for_each(|it| varint(out, *it));
        out.extend_from_slice(&self.elsewhere);
    }
}

/// The parameters of an output of which so many bytes have been put there.
fn elsewhere(span: &Span, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut entry = |name: &str, value: &[u8]| {
        let mut entry = Vec::new();
        field(&mut entry, key::ENTRY_KEY, name.as_bytes());
        field(&mut entry, key::ENTRY_VALUE, value);
        field(&mut out, key::OUTPUT_PARAMETERS, &entry);
    };
    let number = |value: usize| {
        let mut number = vec![key::INT64_PARAM];
        varint(&mut number, value);
        number
    };
    let mut region = Vec::new();
    field(&mut region, key::STRING_PARAM, span.region().as_bytes());
    entry(memory::REGION, &region);
    // Zero where nothing is said. Within a region of this machine, so that it fits.
    if let Some(offset) = usize::try_from(span.offset()).ok().filter(|it| *it > 0) {
        entry(memory::OFFSET, &number(offset));
    }
    entry(memory::BYTES, &number(bytes));
    out
}

fn field(out: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    out.push(key);
    varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Of a whole field with so many bytes in it.
fn field_len(bytes: usize) -> usize {
    1 + varint_len(bytes) + bytes
}

#[expect(clippy::cast_possible_truncation, reason = "the low seven bits are what is meant")]
fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

pub(crate) fn metadata(metadata: &ModelMetadata) -> ModelMetadataResponse {
    let tensor = |spec: &TensorSpec| TensorMetadata {
        name: spec.name.to_string(),
        datatype: spec.dtype.name().to_owned(),
        shape: spec.to_wire(),
    };
    let servable = &metadata.servable;
    ModelMetadataResponse {
        name: servable.model().to_string(),
        versions: metadata.versions.clone(),
        platform: servable.plan().platform.to_owned(),
        inputs: servable.signature().inputs.iter().map(tensor).collect(),
        outputs: servable.signature().outputs.iter().map(tensor).collect(),
    }
}

pub(crate) fn index(lines: Vec<Line>) -> RepositoryIndexResponse {
    let models = lines.into_iter().map(|it| ModelIndex {
        name: it.model.to_string(),
        version: it.version.map(|it| it.to_string()).unwrap_or_default(),
        state: crate::http::index_state(&it.state).to_owned(),
        reason: it.reason,
    });
    RepositoryIndexResponse { models: models.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    use backend_api::{DType, Shape, Tensor};
    use prost::Message as _;
    use proto::inference::infer_parameter::ParameterChoice;
    use proto::inference::model_infer_response::InferOutputTensor;
    use proto::inference::{InferParameter, ModelInferResponse};
    use server_base::{NamedTensors, Timing, Version};

    #[track_caller]
    fn check(shapes: &[&[usize]], id: &str, logged: Option<&'static str>) {
        let text = |it: &str| InferParameter {
            parameter_choice: Some(ParameterChoice::StringParam(it.to_owned())),
        };
        let tensor = |dims: &&[usize]| {
            let shape = Shape::new(dims).expect("a shape");
            let data = b"seven".iter().copied().cycle().take(shape.elements()).collect::<Vec<u8>>();
            Tensor::new(DType::Uint8, shape, data.into()).expect("a tensor")
        };
        let named = |it| NamedTensor { name: "n".repeat(200).into(), tensor: tensor(it) };
        let outputs: NamedTensors<'_> = shapes.iter().map(named).collect();
        let expect = ModelInferResponse {
            model_name: "model".to_owned(),
            model_version: "18446744073709551615".to_owned(),
            id: id.to_owned(),
            outputs: outputs
                .iter()
                .map(|it| InferOutputTensor {
                    name: it.name.to_string(),
                    datatype: "UINT8".to_owned(),
                    shape: it.tensor.shape().to_wire(),
                    ..Default::default()
                })
                .collect(),
            raw_output_contents: outputs
                .iter()
                .map(|it| it.tensor.data().to_vec().into())
                .collect(),
            parameters: logged.into_iter().map(|it| ("logged".to_owned(), text(it))).collect(),
        };
        let version = Version(u64::MAX);
        let timing = Timing::default();
        let message = framed(
            &InferResponse { model: "model", version, outputs, timing },
            id.as_bytes(),
            logged,
            &Targets::default(),
        );
        let (prefix, message) = message.split_at(PREFIX_BYTES);
        assert_eq!(
            prefix,
            [&[0][..], &u32::try_from(message.len()).expect("small").to_be_bytes()].concat()
        );
        assert_eq!(ModelInferResponse::decode(message).expect("a message"), expect);
    }

    #[test]
    fn the_bytes_are_those_of_the_message() {
        check(&[], "", None);
        check(&[&[]], "id", Some("durable"));
        check(&[&[1, 200, 3], &[0], &[70_000]], "id", None);
    }
}
