//! The answers of the echo server: zeros of the right size, made once per number of rows.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use proto::inference::ModelInferResponse;
use proto::inference::model_infer_response::InferOutputTensor;
use serde_json::json;

use crate::json as oip;
use crate::limits::{CANNED_MAX, ECHO_BYTES_MAX};
use crate::signature::{Port, Signature};
use crate::tensor::{Tensor, element_count};

/// What is served: a signature whose outputs leave nothing open but rows.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) signature: Signature,
    grpc: Cache<ModelInferResponse>,
    http_binary: Cache<HttpAnswer>,
    http_json: Cache<HttpAnswer>,
    tfs_rows: Cache<HttpAnswer>,
    tfs_columns: Cache<HttpAnswer>,
}

/// A body, and how much of it is JSON if tensors follow.
#[derive(Clone, Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) body: Bytes,
    pub(crate) json_bytes: Option<usize>,
}

/// The models of an echo server, by name.
#[derive(Debug)]
pub(crate) struct Models(HashMap<String, Model>);

impl Models {
    pub(crate) fn new(models: Vec<Model>) -> Models {
        Models(models.into_iter().map(|it| (it.signature.model.clone(), it)).collect())
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Model> {
        self.0.get(name)
    }
}

impl Model {
    pub(crate) fn new(signature: Signature) -> Result<Model> {
        for output in &signature.outputs {
            let (name, shape) = (&output.name, &output.shape);
            ensure!(
                output.free_axes().next().is_none(),
                "output {name:?} has shape {shape:?}: define it with --output, all axes but rows fixed"
            );
        }
        Ok(Model {
            signature,
            grpc: Cache::default(),
            http_binary: Cache::default(),
            http_json: Cache::default(),
            tfs_rows: Cache::default(),
            tfs_columns: Cache::default(),
        })
    }

    pub(crate) fn grpc(&self, rows: usize) -> Result<ModelInferResponse> {
        self.grpc.get(rows, || {
            let outputs = self.outputs(rows)?;
            let described = outputs.iter().map(|it| InferOutputTensor {
                name: it.name.clone(),
                datatype: it.datatype.name().to_owned(),
                shape: it.shape.iter().map(|&axis| axis as i64).collect(),
                ..InferOutputTensor::default()
            });
            Ok(ModelInferResponse {
                model_name: self.signature.model.clone(),
                model_version: "1".to_owned(),
                outputs: described.collect(),
                raw_output_contents: outputs.iter().map(|it| it.data().clone()).collect(),
                ..ModelInferResponse::default()
            })
        })
    }

    pub(crate) fn http_json(&self, rows: usize) -> Result<HttpAnswer> {
        self.http_json.get(rows, || {
            let mut body = Vec::new();
            for output in self.outputs(rows)? {
                let head = json!({
                    "name": output.name, "shape": output.shape, "datatype": output.datatype.name(),
                });
                let head = head.to_string();
                let open = head.strip_suffix('}').context("an object ends with a brace")?;
                body.extend_from_slice(if body.is_empty() { b"" } else { b"," });
                body.extend_from_slice(open.as_bytes());
                body.extend_from_slice(b",\"data\":");
                oip::put_data(&mut body, &output)?;
                body.push(b'}');
            }
            let model = json!(self.signature.model);
            let mut whole =
                format!("{{\"model_name\":{model},\"model_version\":\"1\",\"outputs\":[")
                    .into_bytes();
            whole.extend_from_slice(&body);
            whole.extend_from_slice(b"]}");
            Ok(HttpAnswer { body: Bytes::from(whole), json_bytes: None })
        })
    }

    pub(crate) fn http_binary(&self, rows: usize) -> Result<HttpAnswer> {
        self.http_binary.get(rows, || {
            let outputs = self.outputs(rows)?;
            let described: Vec<_> = outputs
                .iter()
                .map(|it| {
                    let parameters = json!({"binary_data_size": it.data().len()});
                    json!({
                        "name": it.name, "shape": it.shape, "datatype": it.datatype.name(),
                        "parameters": parameters,
                    })
                })
                .collect();
            let head = json!({
                "model_name": self.signature.model, "model_version": "1", "outputs": described,
            });
            let mut body = head.to_string().into_bytes();
            let json_bytes = Some(body.len());
            outputs.iter().for_each(|it| body.extend_from_slice(it.data()));
            Ok(HttpAnswer { body: Bytes::from(body), json_bytes })
        })
    }

    /// TensorFlow Serving's answer to rows: a value or an object for each of them.
    pub(crate) fn tfs_rows(&self, rows: usize) -> Result<HttpAnswer> {
        self.tfs_rows.get(rows, || {
            let outputs = self.outputs(rows)?;
            let mut elements: Vec<_> = outputs.iter().map(Tensor::scalars).collect();
            let mut body = b"{\"predictions\":[".to_vec();
            for row in 0..rows {
                body.extend_from_slice(if row == 0 { b"" } else { b"," });
                let open = if outputs.len() == 1 { "" } else { "{" };
                body.extend_from_slice(open.as_bytes());
                for (index, (output, elements)) in outputs.iter().zip(&mut elements).enumerate() {
                    put_name(&mut body, index, outputs.len(), &output.name)?;
                    let shape = output.shape.get(1..).unwrap_or_default();
                    oip::put_nested(&mut body, shape, elements)?;
                }
                body.extend_from_slice(if outputs.len() == 1 { b"" } else { b"}" });
            }
            body.extend_from_slice(b"]}");
            Ok(HttpAnswer { body: Bytes::from(body), json_bytes: None })
        })
    }

    /// TensorFlow Serving's answer to columns: a value, or an object of all outputs.
    pub(crate) fn tfs_columns(&self, rows: usize) -> Result<HttpAnswer> {
        self.tfs_columns.get(rows, || {
            let outputs = self.outputs(rows)?;
            let mut body = b"{\"outputs\":".to_vec();
            body.extend_from_slice(if outputs.len() == 1 { b"" } else { b"{" });
            for (index, output) in outputs.iter().enumerate() {
                put_name(&mut body, index, outputs.len(), &output.name)?;
                oip::put_nested(&mut body, &output.shape, &mut output.scalars())?;
            }
            body.extend_from_slice(if outputs.len() == 1 { b"}" } else { b"}}" });
            Ok(HttpAnswer { body: Bytes::from(body), json_bytes: None })
        })
    }

    /// Do requests carry rows in the first axis of this input?
    pub(crate) fn batched(&self, input: &str) -> bool {
        self.signature.inputs.iter().any(|it| it.name == input && it.batched())
    }

    fn outputs(&self, rows: usize) -> Result<Vec<Tensor>> {
        let mut left = ECHO_BYTES_MAX;
        let mut output = |port: &Port| -> Result<Tensor> {
            let axis = |&axis: &i64| usize::try_from(axis).unwrap_or(rows);
            let shape: Vec<usize> = port.shape.iter().map(axis).collect();
            // A string of zero length is four zero bytes.
            let element_bytes = port.datatype.element_bytes().unwrap_or(size_of::<u32>());
            let bytes = element_count(&shape).and_then(|it| it.checked_mul(element_bytes));
            let bytes = bytes.filter(|&it| it <= left).with_context(|| {
                format!("{rows} rows make an answer of more than {ECHO_BYTES_MAX} bytes")
            })?;
            left -= bytes;
            Tensor::new(port.name.clone(), port.datatype, shape, Bytes::from(vec![0; bytes]))
        };
        self.signature.outputs.iter().map(&mut output).collect()
    }
}

/// A model with one output answers with its values alone.
fn put_name(body: &mut Vec<u8>, index: usize, outputs: usize, name: &str) -> Result<()> {
    if outputs == 1 {
        return Ok(());
    }
    body.extend_from_slice(if index > 0 { b"," } else { b"" });
    oip::put(body, name)?;
    body.push(b':');
    Ok(())
}

/// Answers by rows. Bounded: what does not fit any more is made each time.
#[derive(Debug)]
struct Cache<T>(Mutex<HashMap<usize, T>>);

impl<T> Default for Cache<T> {
    fn default() -> Cache<T> {
        Cache(Mutex::new(HashMap::new()))
    }
}

impl<T: Clone> Cache<T> {
    fn get(&self, rows: usize, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.get(&rows) {
            return Ok(answer.clone());
        }
        let answer = make()?;
        if known.len() < CANNED_MAX {
            known.insert(rows, answer.clone());
        }
        Ok(answer)
    }
}
