//! `salver predict`.

use std::fs;
use std::io::Read as _;

use anyhow::{Context as _, anyhow, bail};
use http::Method;
use serde_json::{Value, json};

use crate::cli::{OutputFormat, PredictArgs};
use crate::client::{Client, ClientError};

/// Asks for one prediction.
pub(crate) fn predict(args: &PredictArgs) -> Result<String, ClientError> {
    let client = Client::new(&args.server)?;
    let version = args.version.as_deref().map(|it| format!("/versions/{}", encoded(it)));
    let path = format!("/v2/models/{}{}", encoded(&args.model), version.unwrap_or_default());
    let request = match &args.json {
        Some(file) => read(file.to_str().unwrap_or_default()).map_err(ClientError::Failed)?,
        None => {
            let metadata = client.ask(Method::GET, &path, Vec::new())?;
            let metadata = serde_json::from_slice(&metadata)
                .map_err(|it| ClientError::Failed(anyhow!("the server's metadata: {it}")))?;
            request(&metadata, &args.input).map_err(ClientError::Failed)?
        }
    };
    let answer = client.ask(Method::POST, &format!("{path}/infer"), request.into_bytes())?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    match args.server.output {
        OutputFormat::Json => Ok(answer),
        OutputFormat::Text => shown(&answer).map_err(ClientError::Failed),
    }
}

/// A path segment.
pub(crate) fn encoded(name: &str) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.~".contains(&it);
    name.bytes()
        .map(|it| if plain(it) { char::from(it).to_string() } else { format!("%{it:02X}") })
        .collect()
}

/// A request with these inputs; types come from the model, shapes from the nesting.
fn request(metadata: &Value, inputs: &[String]) -> anyhow::Result<String> {
    let declared = metadata["inputs"].as_array().context("the server's metadata has no inputs")?;
    let mut tensors = Vec::new();
    for input in inputs {
        let (name, text) =
            input.split_once('=').with_context(|| format!("{input:?} is not NAME=JSON"))?;
        let known = declared.iter().find(|it| it["name"] == name);
        let Some(known) = known else {
            let names: Vec<&str> = declared.iter().filter_map(|it| it["name"].as_str()).collect();
            bail!("the model has no input {name:?}; it takes {}", names.join(", "));
        };
        let text = match text.strip_prefix('@') {
            Some(file) => read(file)?,
            None => text.to_owned(),
        };
        let data: Value = serde_json::from_str(&text).with_context(|| format!("input {name}"))?;
        let shape = shape(&data).with_context(|| format!("input {name}"))?;
        tensors.push(json!({
            "name": name, "shape": shape, "datatype": known["datatype"], "data": data
        }));
    }
    Ok(json!({ "inputs": tensors }).to_string())
}

/// Lengths of nested arrays, outermost first.
fn shape(data: &Value) -> anyhow::Result<Vec<usize>> {
    let Some(elements) = data.as_array() else { return Ok(Vec::new()) };
    let mut shapes = elements.iter().map(shape);
    let Some(first) = shapes.next() else { return Ok(vec![0]) };
    let inner = first?;
    for other in shapes {
        if other? != inner {
            bail!("arrays side by side differ in length");
        }
    }
    Ok([vec![elements.len()], inner].concat())
}

fn read(file: &str) -> anyhow::Result<String> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("standard input")?;
        return Ok(text);
    }
    fs::read_to_string(file).with_context(|| file.to_owned())
}

/// An answer for people: a line for the version, and each output.
fn shown(answer: &str) -> anyhow::Result<String> {
    let answer: Value = serde_json::from_str(answer).context("the server's answer")?;
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let mut lines =
        vec![format!("{} version {}", text(&answer["model_name"]), text(&answer["model_version"]))];
    for output in answer["outputs"].as_array().into_iter().flatten() {
        let (name, datatype) = (text(&output["name"]), text(&output["datatype"]));
        lines.push(format!("{name} {datatype} {} {}", output["shape"], output["data"]));
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_gives_the_shape() {
        let of = |text: &str| shape(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(of("[[1,2,3],[4,5,6]]").expect("even"), [2, 3]);
        assert_eq!(of("[]").expect("even"), [0]);
        assert_eq!(of("7").expect("even"), Vec::<usize>::new());
        of("[[1],[2,3]]").expect_err("ragged");
    }

    #[test]
    fn types_come_from_the_model() {
        let metadata = json!({ "inputs": [{ "name": "x", "datatype": "FP32", "shape": [-1, 2] }] });
        let got = request(&metadata, &["x=[[1, 2]]".to_owned()]).expect("a request");
        let expect = json!({ "inputs": [
            { "name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[1, 2]] }
        ] });
        assert_eq!(serde_json::from_str::<Value>(&got).expect("JSON"), expect);
        let error = request(&metadata, &["y=[1]".to_owned()]).expect_err("no such input");
        assert_eq!(error.to_string(), "the model has no input \"y\"; it takes x");
    }

    #[test]
    fn names_are_encoded_for_paths() {
        assert_eq!(encoded("a b/ä"), "a%20b%2F%C3%A4");
    }
}
