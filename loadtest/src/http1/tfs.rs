//! TensorFlow Serving's REST API: its metadata, and bodies by row or by column.
//!
//! # Source
//! tensorflow.org/tfx/serving/api_rest: `GET …/metadata` and `POST …:predict`.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::json;
use crate::signature::{Port, Signature};
use crate::tensor::{Datatype, Tensor};

/// The signature that is used when a request names none.
const USUAL: &str = "serving_default";

/// What TensorFlow calls the data types.
const NAMES: [(Datatype, &str); 14] = [
    (Datatype::Bool, "DT_BOOL"),
    (Datatype::Uint8, "DT_UINT8"),
    (Datatype::Uint16, "DT_UINT16"),
    (Datatype::Uint32, "DT_UINT32"),
    (Datatype::Uint64, "DT_UINT64"),
    (Datatype::Int8, "DT_INT8"),
    (Datatype::Int16, "DT_INT16"),
    (Datatype::Int32, "DT_INT32"),
    (Datatype::Int64, "DT_INT64"),
    (Datatype::Fp16, "DT_HALF"),
    (Datatype::Bf16, "DT_BFLOAT16"),
    (Datatype::Fp32, "DT_FLOAT"),
    (Datatype::Fp64, "DT_DOUBLE"),
    (Datatype::Bytes, "DT_STRING"),
];

/// `{"instances": [{"input": …}, …]}`: every input has a row of each instance.
pub(crate) fn encode_rows(case: &Case) -> Result<Bytes> {
    refuse_extras(case)?;
    let rows = case.inputs.first().map_or(0, Tensor::rows);
    for input in &case.inputs {
        ensure!(
            !input.shape.is_empty() && input.rows() == rows,
            "input {:?} of shape {:?} has not the {rows} rows of the first: use tfs+columnar://",
            input.name,
            input.shape,
        );
    }
    let mut elements: Vec<_> = case.inputs.iter().map(Tensor::scalars).collect();
    let mut body = b"{\"instances\":[".to_vec();
    for row in 0..rows {
        body.extend_from_slice(if row == 0 { b"{" } else { b",{" });
        for (index, (input, elements)) in case.inputs.iter().zip(&mut elements).enumerate() {
            put_name(&mut body, index, &input.name)?;
            json::put_nested(&mut body, &input.shape[1..], elements)?;
        }
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    Ok(Bytes::from(body))
}

/// `{"inputs": {"input": …}}`: each input whole.
pub(crate) fn encode_columns(case: &Case) -> Result<Bytes> {
    refuse_extras(case)?;
    let mut body = b"{\"inputs\":{".to_vec();
    for (index, input) in case.inputs.iter().enumerate() {
        put_name(&mut body, index, &input.name)?;
        json::put_nested(&mut body, &input.shape, &mut input.scalars())?;
    }
    body.extend_from_slice(b"}}");
    Ok(Bytes::from(body))
}

/// The outputs of an answer in either form. What they are called and made of, only the metadata
/// says: a model with one output answers with its values alone.
pub(crate) fn decode(signature: &Signature, body: &[u8]) -> Result<Vec<Tensor>> {
    let body: Value = serde_json::from_slice(body).context("the answer is not JSON")?;
    let of_port = |port: &Port| -> Result<Tensor> {
        let alone = signature.outputs.len() == 1;
        let values = match (body.get("predictions"), body.get("outputs")) {
            (Some(Value::Array(rows)), _) => Value::Array(
                rows.iter().map(|it| field(it, &port.name, alone)).collect::<Result<_>>()?,
            ),
            (None, Some(outputs)) => field(outputs, &port.name, alone)?,
            _ => bail!("the answer has neither \"predictions\" nor \"outputs\""),
        };
        json::nested(&port.name, port.datatype, &values)
    };
    signature.outputs.iter().map(of_port).collect()
}

/// Does an answer with a good status say that something is wrong?
pub(super) fn says_error(body: &[u8]) -> bool {
    let inside = body.trim_ascii_start().strip_prefix(b"{");
    inside.is_some_and(|it| it.trim_ascii_start().starts_with(b"\"error\""))
}

/// Reads the body of `GET /v1/models/{model}/metadata`.
pub(super) fn signature(body: &[u8]) -> Result<Signature> {
    let body: Value = serde_json::from_slice(body).context("the model's metadata is not JSON")?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let usual = body.pointer(&format!("/metadata/signature_def/signature_def/{USUAL}"));
    let usual = usual.with_context(|| format!("the metadata has no signature {USUAL:?}"))?;
    let ports = |key: &str| -> Result<Vec<Port>> {
        let ports = usual.get(key).and_then(Value::as_object);
        let ports = ports.with_context(|| format!("{USUAL:?} has no {key:?}"))?;
        ports.iter().map(|(name, it)| port(name, it)).collect()
    };
    Ok(Signature {
        model: text("/model_spec/name").unwrap_or_default(),
        versions: text("/model_spec/version").into_iter().collect(),
        inputs: ports("inputs")?,
        outputs: ports("outputs")?,
    })
}

/// The metadata of `signature`, as [`signature`] reads it.
pub(crate) fn metadata(signature: &Signature) -> Value {
    let ports = |ports: &[Port]| -> Map<String, Value> {
        let port = |port: &Port| {
            let dims = port.shape.iter().map(|it| json!({"size": it.to_string(), "name": ""}));
            let found = NAMES.iter().find(|(datatype, _)| *datatype == port.datatype);
            let shape = json!({"dim": dims.collect::<Vec<_>>(), "unknown_rank": false});
            let value = json!({"dtype": found.map(|it| it.1), "tensor_shape": shape});
            (port.name.clone(), value)
        };
        ports.iter().map(port).collect()
    };
    let (inputs, outputs) = (ports(&signature.inputs), ports(&signature.outputs));
    json!({
        "model_spec": {"name": signature.model, "version": signature.versions.first()},
        "metadata": {"signature_def": {"signature_def": {
            USUAL: {"inputs": inputs, "outputs": outputs},
        }}},
    })
}

fn port(name: &str, value: &Value) -> Result<Port> {
    let dtype = value.get("dtype").and_then(Value::as_str).unwrap_or_default();
    let found = NAMES.iter().find(|(_, name)| *name == dtype);
    let &(datatype, _) =
        found.with_context(|| format!("tensor {name:?}: unknown type {dtype:?}"))?;
    let dims = value.pointer("/tensor_shape/dim").and_then(Value::as_array);
    let unknown = value.pointer("/tensor_shape/unknown_rank").and_then(Value::as_bool);
    ensure!(unknown != Some(true), "tensor {name:?}: the metadata leaves its rank open");
    let size = |dim: &Value| {
        let size = dim.get("size").and_then(Value::as_str).and_then(|it| it.parse().ok());
        size.with_context(|| format!("tensor {name:?}: an axis without size: {dim}"))
    };
    let shape = dims.into_iter().flatten().map(size).collect::<Result<Vec<i64>>>()?;
    Port::new(name.to_owned(), datatype.name(), shape)
}

fn put_name(body: &mut Vec<u8>, index: usize, name: &str) -> Result<()> {
    if index > 0 {
        body.push(b',');
    }
    json::put(body, name)?;
    body.push(b':');
    Ok(())
}

/// The value of output `name`: a field, or everything where a model has one output only.
fn field(values: &Value, name: &str, alone: bool) -> Result<Value> {
    match values.get(name) {
        Some(value) => Ok(value.clone()),
        None if alone => Ok(values.clone()),
        None => bail!("output {name:?} is missing"),
    }
}

fn refuse_extras(case: &Case) -> Result<()> {
    let bare = case.parameters.is_empty() && case.outputs.is_empty();
    ensure!(bare, "parameters and lists of outputs do not exist in TensorFlow Serving's REST API");
    Ok(())
}
