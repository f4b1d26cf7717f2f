//! Recorded requests with the answers that are known to be right.
//!
//! Read by `run` before the load starts. The file is
//! `{"tolerance": {"absolute", "relative"}, "cases": [{"request": …, "response": …}]}`, where request
//! and response are inference bodies of the Open Inference Protocol in JSON.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::case::Case;
use crate::check::Tolerance;
use crate::json;
use crate::limits::RECORDING_BYTES_MAX;
use crate::signature::{Port, Signature};
use crate::tensor::Tensor;

#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) tolerance: Tolerance,
    pub(crate) cases: Vec<Case>,
}

impl Recording {
    pub(crate) fn read(path: &Path, signature: &Signature) -> Result<Recording> {
        let shown = path.display();
        let length = fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
        ensure!(
            length <= RECORDING_BYTES_MAX,
            "{shown} has {length} bytes, at most {RECORDING_BYTES_MAX}"
        );
        let text = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
        Recording::parse(&text, signature).with_context(|| format!("in the recording {shown}"))
    }

    pub(crate) fn parse(text: &[u8], signature: &Signature) -> Result<Recording> {
        let raw: RawRecording = serde_json::from_slice(text).context("not a recording")?;
        ensure!(!raw.cases.is_empty(), "\"cases\" is empty");
        let tolerance = Tolerance::new(raw.tolerance.absolute, raw.tolerance.relative)?;
        let cases = raw.cases.iter().enumerate();
        let cases = cases
            .map(|(index, raw)| case(raw, signature).with_context(|| format!("in case {index}")));
        Ok(Recording { tolerance, cases: cases.collect::<Result<_>>()? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecording {
    #[serde(default)]
    tolerance: RawTolerance,
    cases: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTolerance {
    absolute: f64,
    relative: f64,
}

impl Default for RawTolerance {
    fn default() -> RawTolerance {
        let Tolerance { absolute, relative } = Tolerance::SAME;
        RawTolerance { absolute, relative }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    request: Value,
    response: Value,
}

fn case(raw: &RawCase, signature: &Signature) -> Result<Case> {
    let inputs = tensors(&raw.request, "inputs").context("in the request")?;
    for input in raw.request.get("inputs").and_then(Value::as_array).into_iter().flatten() {
        let bare =
            input.get("parameters").is_none_or(|it| it.as_object().is_some_and(Map::is_empty));
        ensure!(bare, "parameters of an input are not supported: {}", input["parameters"]);
    }
    let expected = tensors(&raw.response, "outputs").context("in the response")?;
    ensure!(!expected.is_empty(), "the response has no outputs to compare with");
    let rows = |tensor: &Tensor| {
        let port = signature.inputs.iter().find(|port| port.name == tensor.name);
        port.is_some_and(Port::batched).then(|| tensor.rows())
    };
    Ok(Case {
        rows: inputs.iter().find_map(rows).unwrap_or(1),
        inputs,
        outputs: requested(&raw.request)?,
        parameters: parameters(&raw.request)?,
        expected: Some(expected),
    })
}

fn tensors(body: &Value, key: &str) -> Result<Vec<Tensor>> {
    let list = body.get(key).and_then(Value::as_array);
    list.with_context(|| format!("no list of {key:?}"))?.iter().map(json::tensor).collect()
}

fn requested(request: &Value) -> Result<Vec<String>> {
    let list = request.get("outputs").and_then(Value::as_array).into_iter().flatten();
    let name = |output: &Value| {
        let name = output.get("name").and_then(Value::as_str);
        name.map(str::to_owned).with_context(|| format!("an output without a name: {output}"))
    };
    list.map(name).collect()
}

fn parameters(request: &Value) -> Result<Map<String, Value>> {
    match request.get("parameters") {
        None => Ok(Map::new()),
        Some(Value::Object(parameters)) => {
            for (name, value) in parameters {
                let scalar = value.is_boolean() || value.is_number() || value.is_string();
                ensure!(scalar, "parameter {name:?} is {value}, expected a scalar");
            }
            Ok(parameters.clone())
        }
        Some(other) => bail!("\"parameters\" is {other}, expected an object"),
    }
}
