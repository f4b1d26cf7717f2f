//! Requests and answers of the Open Inference Protocol over HTTP, as the command line writes and reads them.
//!
//! Inputs are JSON, which every server reads, but for those that JSON cannot say: numbers that are infinite or
//! none, and bytes that are no text. Those go as they are, behind the JSON. So do outputs, of servers that can.

use anyhow::{Context as _, anyhow, ensure};
use backend_api::{DType, Shape, Tensor};
use serde_json::Value;
use server_feedback::tensor_json;

/// A message, and how much of it is JSON if not all of it is.
pub(crate) type Message = (Vec<u8>, Option<usize>);

/// A request with these inputs.
pub(crate) fn request(inputs: &[(String, Tensor)]) -> Message {
    let (mut texts, mut behind) = (Vec::new(), Vec::new());
    for (name, tensor) in inputs {
        texts.push(tensor_json(name, tensor).unwrap_or_else(|| {
            let (dtype, bytes) = (tensor.dtype().name(), tensor.data().len());
            behind.extend_from_slice(tensor.data());
            let about = serde_json::json!({
                "name": name,
                "datatype": dtype,
                "shape": tensor.shape().dims(),
                "parameters": { "binary_data_size": bytes },
            });
            about.to_string()
        }));
    }
    let head = format!(
        "{{\"inputs\":[{}],\"parameters\":{{\"binary_data_output\":true}}}}",
        texts.join(",")
    );
    let json = (!behind.is_empty()).then_some(head.len());
    let mut message = head.into_bytes();
    message.extend(behind);
    (message, json)
}

/// The outputs of an answer.
pub(crate) fn outputs(
    (message, json): (&[u8], Option<usize>),
) -> anyhow::Result<Vec<(String, Tensor)>> {
    let json = json.unwrap_or(message.len());
    let (head, mut behind) = message
        .split_at_checked(json)
        .ok_or_else(|| anyhow!("its JSON has {json} bytes, and there are {}", message.len()))?;
    let head: Value = serde_json::from_slice(head).context("its JSON")?;
    let mut outputs = Vec::new();
    for it in head["outputs"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = it["name"].as_str().unwrap_or_default();
        let tensor = tensor(it, &mut behind).with_context(|| format!("output {name:?}"))?;
        outputs.push((name.to_owned(), tensor));
    }
    Ok(outputs)
}

fn tensor(about: &Value, behind: &mut &[u8]) -> anyhow::Result<Tensor> {
    let datatype = about["datatype"].as_str().unwrap_or_default();
    let dtype = DType::parse(datatype).ok_or_else(|| anyhow!("{datatype:?} is no datatype"))?;
    let dims = about["shape"].as_array().map(Vec::as_slice).unwrap_or_default();
    let dims: Option<Vec<i64>> = dims.iter().map(Value::as_i64).collect();
    let dims = dims.ok_or_else(|| anyhow!("{} is no shape", about["shape"]))?;
    let Some(bytes) = about["parameters"]["binary_data_size"].as_u64() else {
        return server_proof::shaped(dtype, &dims, &about["data"]).map_err(anyhow::Error::msg);
    };
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let left = behind.len();
    ensure!(bytes <= left, "it has {bytes} bytes, and {left} are left");
    let (data, rest) = behind.split_at(bytes);
    *behind = rest;
    let shape = Shape::from_wire(&dims)?;
    Ok(Tensor::new(dtype, shape, data.to_vec().into())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, tensor: Tensor) -> (String, Tensor) {
        (name.to_owned(), tensor)
    }

    fn floats(elements: &[f32]) -> Tensor {
        Tensor::from_elements(&[elements.len()], elements).expect("fits")
    }

    #[test]
    fn what_json_can_say_is_json() {
        let (message, json) = request(&[named("x", floats(&[0.5]))]);
        let text = String::from_utf8(message).expect("JSON alone");
        let expect = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[0.5]}],"parameters":{"binary_data_output":true}}"#;
        assert_eq!((text.as_str(), json), (expect, None));
    }

    /// What goes as a request comes back as an answer would.
    #[test]
    fn what_json_cannot_say_goes_behind_it() {
        let texts = Tensor::from_strings(&[2], &[b"\xff".as_slice(), b""]).expect("fits");
        let inputs = [
            named("nan", floats(&[f32::NAN, f32::NEG_INFINITY])),
            named("good", floats(&[1.5])),
            named("bytes", texts),
        ];
        let (mut message, json) = request(&inputs);
        let json = json.expect("not all of it is JSON");
        let head = String::from_utf8(message[..json].to_vec()).expect("JSON");
        message.splice(..json, head.replacen("\"inputs\"", "\"outputs\"", 1).into_bytes());
        let outputs = outputs((&message, Some(json + 1))).expect("an answer");
        assert_eq!(outputs.len(), 3);
        for ((name, was), (expect, is)) in inputs.iter().zip(&outputs) {
            assert_eq!((name, was.data(), was.shape()), (expect, is.data(), is.shape()));
        }
        let torn = self::outputs((&message[..message.len() - 1], Some(json + 1)));
        let words = format!("{:#}", torn.expect_err("a byte is missing"));
        assert_eq!(words, "output \"bytes\": it has 9 bytes, and 8 are left");
    }

    #[test]
    fn words_for_what_is_no_number_are_read() {
        let text = br#"{"outputs":[{"name":"y","datatype":"FP64","shape":[2],"data":["NaN",1]}]}"#;
        let outputs = outputs((text, None)).expect("an answer");
        let y = outputs[0].1.view::<f64>().expect("floats");
        assert!(y[0].is_nan() && y[1] == 1.0);
        let wrong = br#"{"outputs":[{"name":"y","datatype":"FP99","shape":[],"data":[1]}]}"#;
        let words = format!("{:#}", self::outputs((wrong, None)).expect_err("no such type"));
        assert_eq!(words, "output \"y\": \"FP99\" is no datatype");
    }
}
