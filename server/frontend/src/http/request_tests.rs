use super::*;

fn parse<'a>(json: &'a str, binary: &'static [u8]) -> Result<Vec<NamedTensor<'a>>, String> {
    let body = InferBody::parse(json.as_bytes()).map_err(|it| it.to_string())?;
    let tensors = tensors(body.inputs, Bytes::from_static(binary), &mut Memory::off());
    tensors.map(|it| it.into_vec()).map_err(|it| it.to_string())
}

#[track_caller]
fn check_error(json: &str, binary: &'static [u8], expect: &str) {
    let error = parse(json, binary).expect_err("is refused");
    assert!(error.contains(expect), "{error}");
}

#[test]
fn keys_may_stand_in_any_order() {
    let orders = [
        r#"{"inputs":[{"name":"x","shape":[2],"datatype":"UINT8","data":[1,2]}]}"#,
        r#"{"inputs":[{"data":[1,2],"datatype":"UINT8","shape":[2],"name":"x","extra":{"a":[1]}}],"more":1}"#,
        r#"{"outputs":[],"inputs":[{"datatype":"UINT8","data":[[1],[2]],"name":"x","shape":[2]}]}"#,
    ];
    for json in orders {
        let tensors = parse(json, b"").expect("parses");
        assert_eq!(&*tensors[0].name, "x");
        assert_eq!(tensors[0].tensor.data(), &[1, 2][..], "{json}");
    }
}

#[test]
fn bytes_follow_the_json_in_order() {
    let json = r#"{"inputs":[
        {"name":"a","shape":[2],"datatype":"UINT8","parameters":{"binary_data_size":2}},
        {"name":"b","shape":[1],"datatype":"UINT8","data":[9]},
        {"name":"c","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}]}"#;
    let tensors = parse(json, b"\x01\x02\x01\0\0\0z").expect("parses");
    let data: Vec<&[u8]> = tensors.iter().map(|it| &**it.tensor.data()).collect();
    assert_eq!(data, [&[1, 2][..], &[9], b"\x01\0\0\0z"]);
}

#[test]
fn every_fault_has_its_sentence() {
    check_error("", b"", "failed to parse the request JSON buffer: EOF");
    check_error(" [null,{},[],[]]", b"", "expected an object");
    check_error("{}", b"", "missing field `inputs`");
    check_error(r#"{"inputs":[{}]}"#, b"", "missing field `name`");
    check_error(r#"{"inputs":[{"name":"x","name":"y"}]}"#, b"", "duplicate field `name`");
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"FP99"}]}"#,
        b"",
        "data-type \"FP99\" does not exist",
    );
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[-1]}]}"#,
        b"",
        "shape [-1] has a negative length",
    );
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[4,1152921504606846978]}]}"#,
        b"",
        "is too large",
    );
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1]}]}"#,
        b"",
        "input 'x' has neither 'data' nor parameter 'binary_data_size'",
    );
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1],"parameters":{"binary_data_size":4}}]}"#,
        b"abcd",
        "has both",
    );
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":8}}]}"#,
        b"abcd",
        "unexpected size for input 'x': binary_data_size is 8, 4 bytes are left",
    );
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}"#,
        b"abcdef",
        "unexpected additional input data: 2 bytes follow the last tensor",
    );
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":4}}]}"#,
        b"abcd",
        "input 'x': a FP32 tensor of shape [2] has 8 bytes, got 4",
    );
    check_error(
        r#"{"inputs":[{"name":"x","datatype":"INT64","shape":[8388608],"data":[1,2]}]}"#,
        b"",
        "the shape has 8388608 elements, data has 2",
    );
    check_error(&"[".repeat(250_000), b"", "failed to parse the request JSON buffer");
    let (open, close) = (r#"{"a":"#.repeat(100), "}".repeat(100));
    let parameters = format!(r#"{{"parameters":{open}1{close},"inputs":[]}}"#);
    check_error(&parameters, b"", "it is nested deeper than 100");
}

#[test]
fn brackets_in_strings_are_no_depth() {
    let name = "[{\\\"".repeat(200);
    let json = format!(r#"{{"id":"{name}","inputs":[]}}"#);
    assert_eq!(parse(&json, b""), Ok(vec![]));
}

#[test]
fn extensions_that_are_not_served_are_refused() {
    let shared = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],
        "parameters":{"shared_memory_region":"r","shared_memory_byte_size":4}}]}"#;
    check_error(shared, b"", "asks for an extension that is not served");
    let classes = r#"{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":3}}]}"#;
    check_error(classes, b"", "parameter 'classification' of 'y'");
}

#[test]
fn a_named_output_says_itself_how_it_is_wanted() {
    let body = InferBody::parse(
        br#"{"inputs":[],"parameters":{"binary_data_output":true,"timeout":1500,"mine":{"a":1}},
            "outputs":[{"name":"a"},{"name":"b","parameters":{"binary_data":true}}]}"#,
    )
    .expect("parses");
    let wanted: Vec<bool> = (0..3).map(|it| body.wants_binary().at(it)).collect();
    assert_eq!(wanted, [false, true, true]);
    assert_eq!(body.timeout(), Some(Duration::from_micros(1_500)));
}
