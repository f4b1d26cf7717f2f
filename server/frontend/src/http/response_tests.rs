use super::*;

use backend_api::Shape;
use http_body_util::BodyExt as _;
use server_base::{NamedTensor, Timing, Version};

fn response(outputs: Vec<(&'static str, Tensor)>) -> InferResponse<'static> {
    InferResponse {
        model: "m\"1",
        version: Version(2),
        outputs: outputs
            .into_iter()
            .map(|(name, tensor)| NamedTensor { name: name.into(), tensor })
            .collect(),
        timing: Timing::default(),
    }
}

fn encoded(
    outputs: Vec<(&'static str, Tensor)>,
    id: Option<&str>,
    is_binary: impl Fn(usize) -> bool,
) -> Result<Encoded, InferError> {
    let how = (is_binary, &Targets::default());
    encode(response(outputs), id, how, b"of the last one".to_vec())
}

fn body(response: Response<ResponseBody>) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(response.into_body().collect()).expect("in memory").to_bytes().to_vec()
}

/// One output's `data` as JSON.
#[track_caller]
fn check(tensor: Tensor, expect: &str) {
    let response = encoded(vec![("y", tensor)], None, |_| false).expect("encodes").into_response();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let text = String::from_utf8(body(response)).expect("UTF-8");
    serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON");
    let data = text.split("\"data\":").nth(1).expect("data").trim_end_matches("}]}");
    assert_eq!(data, expect);
}

#[test]
fn every_type_has_its_words() {
    let of = |dtype: DType, data: &[u8]| {
        let size = dtype.size().expect("fixed");
        let shape = Shape::new(&[data.len() / size]).expect("small");
        Tensor::new(dtype, shape, Bytes::copy_from_slice(data)).expect("exact")
    };
    check(of(DType::Bool, &[0, 1]), "[false,true]");
    check(of(DType::Int8, &[255, 1]), "[-1,1]");
    check(of(DType::Uint64, &[255; 8]), "[18446744073709551615]");
    check(of(DType::Fp16, &[0, 56]), "[0.5]");
    check(of(DType::Bf16, &[128, 63]), "[1.0]");
    let floats = [0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-45];
    let floats = Tensor::from_elements(&[6], &floats).expect("six");
    check(floats, r#"[0.1,"NaN","Infinity","-Infinity",-0.0,1e-45]"#);
    check(Tensor::from_elements(&[1], &[0.1_f64]).expect("one"), "[0.1]");
    check(Tensor::from_elements(&[1], &[i64::MIN]).expect("one"), "[-9223372036854775808]");
    check(Tensor::from_strings(&[2], &["é\"\n", ""]).expect("two"), r#"["é\"\n",""]"#);
    check(Tensor::from_elements::<f32>(&[0], &[]).expect("none"), "[]");
}

#[test]
fn strings_that_are_no_text_need_binary() {
    let odd = Tensor::from_strings(&[1], &[b"\xff"]).expect("one");
    let refused = encoded(vec![("y", odd.clone())], None, |_| false).map(|it| it.json);
    let error = refused.expect_err("no text").to_string();
    assert_eq!(error, "output 'y' holds bytes that are not UTF-8: ask for it as binary data");
    encoded(vec![("y", odd)], None, |_| true).expect("bytes are bytes");
}

#[test]
fn binary_outputs_follow_the_json() {
    let tensor = |values: &[u8]| Tensor::from_elements(&[1, values.len()], values).expect("fits");
    let outputs = vec![("a", tensor(&[1, 2])), ("b", tensor(&[3])), ("c", tensor(&[4, 5]))];
    let response = encoded(outputs, Some("id-1"), |it| it != 1).expect("encodes").into_response();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/octet-stream");
    let length: usize =
        response.headers()[LENGTH_HEADER].to_str().expect("digits").parse().expect("a number");
    let body = body(response);
    let (json, tensors) = body.split_at(length);
    let expect = concat!(
        r#"{"id":"id-1","model_name":"m\"1","model_version":"2","outputs":["#,
        r#"{"name":"a","datatype":"UINT8","shape":[1,2],"parameters":{"binary_data_size":2}},"#,
        r#"{"name":"b","datatype":"UINT8","shape":[1,1],"data":[3]},"#,
        r#"{"name":"c","datatype":"UINT8","shape":[1,2],"parameters":{"binary_data_size":2}}]}"#,
    );
    assert_eq!(std::str::from_utf8(json).expect("UTF-8"), expect);
    assert_eq!(tensors, [1, 2, 4, 5]);
}
