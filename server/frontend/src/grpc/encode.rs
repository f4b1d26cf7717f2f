//! From an answer to the message: outputs travel raw, each a slice of the batch's memory.

use bytes::Bytes;
use proto::inference::model_metadata_response::TensorMetadata;
use proto::inference::repository_index_response::ModelIndex;
use proto::inference::{ModelMetadataResponse, RepositoryIndexResponse};
use server_base::InferResponse;
use server_lifecycle::{Entry, State};

use backend_api::TensorSpec;

use super::framing::PREFIX_BYTES;
use crate::metadata::ModelMetadata;

/// Numbers of the fields of `ModelInferResponse` and `InferOutputTensor`, with the wire type that
/// all of them have: a length, then bytes.
mod key {
    pub(super) const MODEL_NAME: u8 = 1 << 3 | 2;
    pub(super) const MODEL_VERSION: u8 = 2 << 3 | 2;
    pub(super) const ID: u8 = 3 << 3 | 2;
    pub(super) const OUTPUTS: u8 = 5 << 3 | 2;
    pub(super) const RAW_OUTPUT_CONTENTS: u8 = 6 << 3 | 2;
    pub(super) const NAME: u8 = 1 << 3 | 2;
    pub(super) const DATATYPE: u8 = 2 << 3 | 2;
    pub(super) const SHAPE: u8 = 3 << 3 | 2;
}

/// The answer under the caller's own id, as a message behind its prefix. Written at one go: the
/// structs in between would cost more than the bytes.
pub(crate) fn framed(response: &InferResponse, id: &str) -> Bytes {
    let tensors: usize = response.outputs.iter().map(|it| it.tensor.data().len()).sum();
    // Names, shapes and headers take less than that; if not, the buffer grows.
    let mut out = Vec::with_capacity(tensors + 128 + 96 * response.outputs.len());
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    field(&mut out, key::MODEL_NAME, response.model.as_bytes());
    field(&mut out, key::MODEL_VERSION, itoa::Buffer::new().format(response.version.0).as_bytes());
    if !id.is_empty() {
        field(&mut out, key::ID, id.as_bytes());
    }
    for output in &response.outputs {
        let (name, datatype) = (output.name.as_bytes(), output.tensor.dtype().name().as_bytes());
        let dims = output.tensor.shape().dims();
        let shape: usize = dims.iter().map(|it| varint_len(*it)).sum();
        out.push(key::OUTPUTS);
        varint(&mut out, field_len(name.len()) + field_len(datatype.len()) + field_len(shape));
        field(&mut out, key::NAME, name);
        field(&mut out, key::DATATYPE, datatype);
        out.push(key::SHAPE);
        varint(&mut out, shape);
        dims.iter().for_each(|it| varint(&mut out, *it));
    }
    for output in &response.outputs {
        field(&mut out, key::RAW_OUTPUT_CONTENTS, output.tensor.data());
    }
    // The tensors came out of memory, so their sum fits; a message ends at 4 GiB.
    let length = u32::try_from(out.len() - PREFIX_BYTES).unwrap_or(u32::MAX);
    if let Some(prefix) = out.get_mut(1..PREFIX_BYTES) {
        prefix.copy_from_slice(&length.to_be_bytes());
    }
    Bytes::from(out)
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

pub(crate) fn index(entries: &[Entry], only_ready: bool) -> RepositoryIndexResponse {
    let shown = entries.iter().filter(|it| !only_ready || it.state == State::Available);
    let models = shown.map(|it| ModelIndex {
        name: it.model.to_string(),
        version: it.version.map(|it| it.to_string()).unwrap_or_default(),
        state: crate::http::index_state(&it.state).to_owned(),
        reason: it.reason.clone(),
    });
    RepositoryIndexResponse { models: models.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    use backend_api::{DType, Shape, Tensor};
    use prost::Message as _;
    use proto::inference::ModelInferResponse;
    use proto::inference::model_infer_response::InferOutputTensor;
    use server_base::{NamedTensor, Timing, Version};

    #[track_caller]
    fn check(shapes: &[&[usize]], id: &str) {
        let tensor = |dims: &&[usize]| {
            let shape = Shape::new(dims).expect("a shape");
            let data = b"seven".iter().copied().cycle().take(shape.elements()).collect::<Vec<u8>>();
            Tensor::new(DType::Uint8, shape, data.into()).expect("a tensor")
        };
        let named = |it| NamedTensor { name: "n".repeat(200).into(), tensor: tensor(it) };
        let outputs: Vec<NamedTensor> = shapes.iter().map(named).collect();
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
            ..Default::default()
        };
        let version = Version(u64::MAX);
        let timing = Timing::default();
        let message =
            framed(&InferResponse { model: "model".into(), version, outputs, timing }, id);
        let (prefix, message) = message.split_at(PREFIX_BYTES);
        assert_eq!(
            prefix,
            [&[0][..], &u32::try_from(message.len()).expect("small").to_be_bytes()].concat()
        );
        assert_eq!(ModelInferResponse::decode(message).expect("a message"), expect);
    }

    #[test]
    fn the_bytes_are_those_of_the_message() {
        check(&[], "");
        check(&[&[]], "id");
        check(&[&[1, 200, 3], &[0], &[70_000]], "id");
    }
}
