//! The answer to an infer request: JSON, and the bytes of the outputs wanted as bytes behind it.

use backend_api::{DType, Element, Tensor};
use bytes::Bytes;
use half::{bf16, f16};
use http::{HeaderValue, Response, header};
use server_base::InferResponse;
use server_regions::Span;
use server_serving::InferError;
use smallvec::SmallVec;

use super::binary::LENGTH_HEADER;
use crate::body::ResponseBody;
use crate::headers::Notes;
use crate::memory::{self, Targets};

/// An answer in bytes.
pub(crate) struct Encoded {
    pub(crate) json: Vec<u8>,
    /// What goes behind it.
    pub(crate) tensors: SmallVec<[Bytes; 2]>,
    pub(crate) notes: Notes,
}

/// Writes the answer to that memory. `is_binary` says by its place which outputs go behind the JSON; those
/// with a target are there already.
pub(crate) fn encode(
    response: InferResponse<'_>,
    id: Option<&str>,
    (is_binary, targets): (impl Fn(usize) -> bool, &Targets),
    mut memory: Vec<u8>,
) -> Result<Encoded, InferError> {
    let mut tensors = SmallVec::new();
    memory.clear();
    let json = &mut memory;
    json.push(b'{');
    if let Some(id) = id {
        json.extend_from_slice(b"\"id\":");
        text(json, id);
        json.push(b',');
    }
    json.extend_from_slice(b"\"model_name\":");
    text(json, response.model);
    json.extend_from_slice(b",\"model_version\":\"");
    number(json, response.version.0);
    json.extend_from_slice(b"\",\"outputs\":[");
    for (n, output) in response.outputs.into_iter().enumerate() {
        if n > 0 {
            json.push(b',');
        }
        let tensor = output.tensor;
        begin_output(json, &output.name, &tensor);
        if let Some(span) = targets.at(n) {
            elsewhere(json, span, tensor.data().len());
        } else if is_binary(n) {
            json.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
            number(json, tensor.data().len());
            json.extend_from_slice(b"}}");
            tensors.push(tensor.into_data());
        } else {
            json.extend_from_slice(b",\"data\":");
            data(json, &output.name, &tensor)?;
            json.push(b'}');
        }
    }
    json.extend_from_slice(b"]}");
    Ok(Encoded { json: memory, tensors, notes: Notes::default() })
}

impl Encoded {
    /// Of the content.
    pub(crate) fn kind(&self) -> &'static str {
        if self.tensors.is_empty() { "application/json" } else { "application/octet-stream" }
    }

    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        let (kind, length, is_json) = (self.kind(), self.json.len(), self.tensors.is_empty());
        let parts = std::iter::once(Bytes::from(self.json)).chain(self.tensors);
        let mut response = Response::new(ResponseBody::parts(parts.collect()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if !is_json {
            headers.insert(LENGTH_HEADER, HeaderValue::from(length));
        }
        self.notes.write(headers);
        response
    }
}

/// So many bytes of an output have been put into its client's memory.
fn elsewhere(json: &mut Vec<u8>, span: &Span, bytes: usize) {
    json.extend_from_slice(b",\"parameters\":{");
    text(json, memory::REGION);
    json.push(b':');
    text(json, span.region());
    for (name, value) in [(memory::OFFSET, span.offset()), (memory::BYTES, bytes as u64)] {
        // The first is zero where nothing is said.
        if name != memory::OFFSET || value != 0 {
            json.push(b',');
            text(json, name);
            json.push(b':');
            number(json, value);
        }
    }
    json.extend_from_slice(b"}}");
}

fn begin_output(json: &mut Vec<u8>, name: &str, tensor: &Tensor) {
    json.extend_from_slice(b"{\"name\":");
    text(json, name);
    json.extend_from_slice(b",\"datatype\":\"");
    json.extend_from_slice(tensor.dtype().name().as_bytes());
    json.extend_from_slice(b"\",\"shape\":[");
    for (n, dim) in tensor.shape().dims().iter().enumerate() {
        if n > 0 {
            json.push(b',');
        }
        number(json, *dim);
    }
    json.push(b']');
}

/// The elements, flat. Numbers that JSON has no words for become the strings NaN, Infinity and
/// -Infinity, as in protobuf's JSON mapping, so that any parser can read the answer.
fn data(json: &mut Vec<u8>, name: &str, tensor: &Tensor) -> Result<(), InferError> {
    let tensor = tensor.aligned();
    let halves = || tensor.data().as_chunks::<2>().0.iter();
    match tensor.dtype() {
        DType::Bool => list(json, tensor.data().iter(), |json, &it| {
            json.extend_from_slice(if it == 0 { b"false" } else { b"true" });
        }),
        DType::Uint8 => whole::<u8>(json, &tensor),
        DType::Uint16 => whole::<u16>(json, &tensor),
        DType::Uint32 => whole::<u32>(json, &tensor),
        DType::Uint64 => whole::<u64>(json, &tensor),
        DType::Int8 => whole::<i8>(json, &tensor),
        DType::Int16 => whole::<i16>(json, &tensor),
        DType::Int32 => whole::<i32>(json, &tensor),
        DType::Int64 => whole::<i64>(json, &tensor),
        DType::Fp16 => {
            list(json, halves(), |json, &it| float(json, f16::from_le_bytes(it).to_f32()))
        }
        DType::Bf16 => {
            list(json, halves(), |json, &it| float(json, bf16::from_le_bytes(it).to_f32()))
        }
        DType::Fp32 => {
            list(json, tensor.view::<f32>().unwrap_or_default().iter(), |json, &it| {
                float(json, it)
            });
        }
        DType::Fp64 => {
            list(json, tensor.view::<f64>().unwrap_or_default().iter(), |json, &it| {
                float(json, it)
            });
        }
        DType::Bytes => {
            let mut strings = Vec::with_capacity(tensor.shape().elements());
            for string in tensor.strings() {
                strings.push(std::str::from_utf8(string).map_err(|_| {
                    InferError::Invalid(format!(
                        "output '{name}' holds bytes that are not UTF-8: ask for it as binary data"
                    ))
                })?);
            }
            list(json, strings.into_iter(), text);
        }
    }
    Ok(())
}

fn list<T>(json: &mut Vec<u8>, elements: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    json.push(b'[');
    for (n, element) in elements.enumerate() {
        if n > 0 {
            json.push(b',');
        }
        write(json, element);
    }
    json.push(b']');
}

fn whole<T: Element + itoa::Integer>(json: &mut Vec<u8>, tensor: &Tensor) {
    list(json, tensor.view::<T>().unwrap_or_default().iter(), |json, it| {
        number(json, *it);
    });
}

fn float<F: zmij::Float + Into<f64> + Copy>(json: &mut Vec<u8>, value: F) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        json.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if wide.is_nan() {
        json.extend_from_slice(b"\"NaN\"");
    } else {
        json.extend_from_slice(if wide > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
}

fn number(json: &mut Vec<u8>, value: impl itoa::Integer) {
    json.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn text(json: &mut Vec<u8>, value: &str) {
    if value.bytes().any(|it| it < b' ' || it == b'"' || it == b'\\') {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(json, value);
        return;
    }
    json.push(b'"');
    json.extend_from_slice(value.as_bytes());
    json.push(b'"');
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
