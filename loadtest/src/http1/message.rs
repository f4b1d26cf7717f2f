//! Bodies of inference requests and answers over HTTP: JSON, or JSON followed by binary tensors.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::Value;

use crate::case::Case;
use crate::client::Reply;
use crate::json;
use crate::tensor::Tensor;

/// The body with all tensors as JSON.
pub(crate) fn encode_json(case: &Case) -> Result<Bytes> {
    let mut body = Vec::new();
    put_body(&mut body, case, false)?;
    Ok(Bytes::from(body))
}

/// The body with all tensors behind the JSON, and the length of the JSON.
pub(crate) fn encode_binary(case: &Case) -> Result<(Bytes, usize)> {
    let mut body = Vec::new();
    put_body(&mut body, case, true)?;
    let json_bytes = body.len();
    for input in &case.inputs {
        body.extend_from_slice(input.data());
    }
    Ok((Bytes::from(body), json_bytes))
}

/// The outputs of an answer, wherever each of them stands.
pub(crate) fn decode(reply: &Reply) -> Result<Vec<Tensor>> {
    let length = reply.body.len();
    let json_bytes = reply.json_bytes.unwrap_or(length);
    ensure!(json_bytes <= length, "{json_bytes} bytes of JSON in an answer of {length} bytes");
    let body: Value = serde_json::from_slice(&reply.body[..json_bytes])
        .context("the answer is not JSON (NaN and infinity are not)")?;
    let outputs = body.get("outputs").and_then(Value::as_array);
    let outputs = outputs.context("the answer has no \"outputs\"")?;

    let mut binary = reply.body.slice(json_bytes..);
    let mut tensors = Vec::with_capacity(outputs.len());
    for output in outputs {
        let size = output.get("parameters").and_then(|it| it.get("binary_data_size"));
        let Some(size) = size else {
            tensors.push(json::tensor(output)?);
            continue;
        };
        let (name, datatype, shape) = json::tensor_head(output)?;
        let size = size.as_u64().and_then(|it| usize::try_from(it).ok());
        let size = size.filter(|&it| it <= binary.len()).with_context(|| {
            format!("output {name:?}: binary_data_size beyond the {} bytes left", binary.len())
        })?;
        tensors.push(Tensor::new(name, datatype, shape, binary.split_to(size))?);
    }
    ensure!(binary.is_empty(), "{} bytes follow the last output", binary.len());
    Ok(tensors)
}

/// What an error body says: its `error`, or its beginning.
pub(super) fn error_text(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    match value.as_ref().and_then(|it| it.get("error")).and_then(Value::as_str) {
        Some(error) => error.to_owned(),
        None => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}

fn put_body(out: &mut Vec<u8>, case: &Case, binary: bool) -> Result<()> {
    let mut parameters = case.parameters.clone();
    if binary && case.outputs.is_empty() {
        // The default for outputs that are not listed.
        parameters.insert("binary_data_output".to_owned(), Value::Bool(true));
    }
    out.push(b'{');
    if !parameters.is_empty() {
        out.extend_from_slice(b"\"parameters\":");
        json::put(out, &parameters)?;
        out.push(b',');
    }
    out.extend_from_slice(b"\"inputs\":[");
    for (index, input) in case.inputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_input(out, input, binary)?;
    }
    out.push(b']');
    if !case.outputs.is_empty() {
        let output = |name: &String| match binary {
            true => serde_json::json!({"name": name, "parameters": {"binary_data": true}}),
            false => serde_json::json!({"name": name}),
        };
        out.extend_from_slice(b",\"outputs\":");
        json::put(out, &case.outputs.iter().map(output).collect::<Vec<_>>())?;
    }
    out.push(b'}');
    Ok(())
}

fn put_input(out: &mut Vec<u8>, input: &Tensor, binary: bool) -> Result<()> {
    out.extend_from_slice(b"{\"name\":");
    json::put(out, &input.name)?;
    out.extend_from_slice(b",\"shape\":");
    json::put(out, &input.shape)?;
    out.extend_from_slice(b",\"datatype\":");
    json::put(out, input.datatype.name())?;
    if binary {
        let size = input.data().len();
        out.extend_from_slice(
            format!(",\"parameters\":{{\"binary_data_size\":{size}}}}}").as_bytes(),
        );
        return Ok(());
    }
    out.extend_from_slice(b",\"data\":");
    json::put_data(out, input)?;
    out.push(b'}');
    Ok(())
}
