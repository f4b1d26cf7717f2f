//! Tensors survive the way through JSON and through the bodies of both HTTP encodings.

use bytes::Bytes;
use serde_json::{Value, json};

use super::shown;
use crate::case::Case;
use crate::client::Reply;
use crate::http1;
use crate::json::{put_data, tensor};
use crate::tensor::{Datatype, Tensor, put_string};

fn written(tensor: &Tensor) -> anyhow::Result<Value> {
    let mut out = Vec::new();
    put_data(&mut out, tensor)?;
    Ok(serde_json::from_slice(&out)?)
}

#[test]
fn every_datatype_comes_back_as_it_was() {
    let table = [
        ("BOOL", json!([true, false])),
        ("UINT8", json!([0, 255])),
        ("UINT16", json!([0, 65_535])),
        ("UINT32", json!([0, 4_294_967_295_u32])),
        ("UINT64", json!([0, u64::MAX])),
        ("INT8", json!([-128, 127])),
        ("INT16", json!([-32_768, 32_767])),
        ("INT32", json!([i32::MIN, i32::MAX])),
        ("INT64", json!([i64::MIN, i64::MAX])),
        ("FP32", json!([0.1_f32, -3.5e30_f32])),
        ("FP64", json!([0.1, -1e300])),
        ("BYTES", json!(["", "grüße \"x\" \n"])),
    ];
    for (datatype, data) in table {
        let value = json!({"name": "x", "datatype": datatype, "shape": [2], "data": data});
        let read = tensor(&value).unwrap();
        let again = json!({
            "name": "x", "datatype": datatype, "shape": [2], "data": written(&read).unwrap(),
        });
        assert_eq!(tensor(&again).unwrap(), read, "{datatype}");
    }
}

#[test]
fn nested_data_is_read_row_by_row() {
    let data = json!([[1, 2], [3, 4]]);
    let value = json!({"name": "x", "datatype": "INT8", "shape": [2, 2], "data": data});
    assert_eq!(tensor(&value).unwrap().data()[..], [1, 2, 3, 4]);
}

#[test]
fn what_json_cannot_say_is_refused() {
    let floats = |values: &[f32]| {
        let data: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        Tensor::new("x".to_owned(), Datatype::Fp32, vec![values.len()], data.into()).unwrap()
    };
    assert!(shown(written(&floats(&[1.0, f32::NAN]))).contains("element 1"));
    assert!(shown(written(&floats(&[f32::INFINITY]))).contains("no infinity"));
    let half = Tensor::new("x".to_owned(), Datatype::Fp16, vec![1], Bytes::from_static(&[0, 0]));
    assert!(shown(written(&half.unwrap())).contains("use grpc or http-binary"));
    let mut data = Vec::new();
    put_string(&mut data, &[0xff]).unwrap();
    let bytes = Tensor::new("x".to_owned(), Datatype::Bytes, vec![1], data.into()).unwrap();
    assert!(shown(written(&bytes)).contains("UTF-8"));
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let table = [
        ("INT8", json!([1]), json!([300]), "300 is not an element of INT8: out of range"),
        ("INT8", json!([1]), json!([1.5]), "expected an integer"),
        ("UINT8", json!([1]), json!([-1]), "out of range"),
        ("FP32", json!([1]), json!(["1"]), "expected a number"),
        ("BOOL", json!([1]), json!([2]), "expected true or false"),
        ("BYTES", json!([1]), json!([1]), "expected a string"),
        ("FP32", json!([3]), json!([1, 2]), "takes 3 x 4 bytes, got 8"),
        ("BYTES", json!([3]), json!(["a"]), "takes 3 strings, got 1"),
        ("FP32", json!([-1]), json!([1]), "axis -1 is not a length"),
        ("FLOAT", json!([1]), json!([1]), "unknown datatype \"FLOAT\""),
    ];
    for (datatype, shape, data, expected) in table {
        let value = json!({"name": "x", "datatype": datatype, "shape": shape, "data": data});
        let message = shown(tensor(&value));
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    }
}

fn case(outputs: &[&str]) -> Case {
    let data = json!([1.5, 2.5]);
    let input = json!({"name": "x", "datatype": "FP32", "shape": [1, 2], "data": data});
    Case {
        inputs: vec![tensor(&input).unwrap()],
        outputs: outputs.iter().map(|&it| it.to_owned()).collect(),
        rows: 1,
        ..Case::default()
    }
}

#[test]
fn bodies_are_those_of_the_protocol() {
    let body = http1::encode_json(&case(&[])).unwrap();
    let expected = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.5,2.5]}]}"#;
    assert_eq!(body, expected);

    let (body, json_bytes) = http1::encode_binary(&case(&["y"])).unwrap();
    let head: Value = serde_json::from_slice(&body[..json_bytes]).unwrap();
    let input = json!({
        "name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8},
    });
    let output = json!({"name": "y", "parameters": {"binary_data": true}});
    assert_eq!(head, json!({"inputs": [input], "outputs": [output]}));
    assert_eq!(body[json_bytes..], [0, 0, 0xc0, 0x3f, 0, 0, 0x20, 0x40]);

    let (body, json_bytes) = http1::encode_binary(&case(&[])).unwrap();
    let head: Value = serde_json::from_slice(&body[..json_bytes]).unwrap();
    assert_eq!(head["parameters"], json!({"binary_data_output": true}));
}

#[test]
fn answers_may_mix_binary_and_json() {
    let head = json!({"outputs": [
        {"name": "a", "datatype": "INT8", "shape": [2], "parameters": {"binary_data_size": 2}},
        {"name": "b", "datatype": "INT8", "shape": [1], "data": [9]},
        {"name": "c", "datatype": "INT8", "shape": [1], "parameters": {"binary_data_size": 1}},
    ]});
    let mut body = head.to_string().into_bytes();
    let json_bytes = Some(body.len());
    body.extend([1, 2, 3]);
    let reply = |body: Vec<u8>| Reply { body: Bytes::from(body), json_bytes };
    let tensors = http1::decode(&reply(body.clone())).unwrap();
    let data: Vec<&[u8]> = tensors.iter().map(|it| &it.data()[..]).collect();
    assert_eq!(data, [&[1, 2][..], &[9], &[3]]);

    let short = body[..body.len() - 1].to_vec();
    assert!(shown(http1::decode(&reply(short))).contains("beyond the 0 bytes left"));
    body.push(4);
    assert!(shown(http1::decode(&reply(body))).contains("1 bytes follow"));
}
