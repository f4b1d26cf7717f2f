use super::*;

use proto::inference::InferParameter;
use server_base::Version;

fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..Default::default()
    }
}

fn message(inputs: Vec<InferInputTensor>, raw: Vec<&'static [u8]>) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "m".to_owned(),
        inputs,
        raw_input_contents: raw.into_iter().map(Bytes::from_static).collect(),
        ..Default::default()
    }
}

/// Where no memory is shared.
fn decoded(message: ModelInferRequest) -> Result<InferRequest<'static>, InferError> {
    request(message, VersionChoice::Any, None, &mut Memory::off()).map(|it| it.0)
}

#[track_caller]
fn check_error(message: ModelInferRequest, expect: &str) {
    assert_eq!(decoded(message).expect_err("is refused").to_string(), expect);
}

#[test]
fn raw_contents_are_not_copied() {
    let data: &'static [u8] = &[0, 0, 128, 63];
    let decoded = decoded(message(vec![input("x", "FP32", &[1])], vec![data])).expect("fits");
    assert_eq!(decoded.inputs[0].tensor.data().as_ptr(), data.as_ptr());
}

#[test]
fn every_type_has_its_contents() {
    let contents = || InferTensorContents {
        bool_contents: vec![true],
        int_contents: vec![-1],
        int64_contents: vec![-2],
        uint_contents: vec![200],
        uint64_contents: vec![3],
        fp32_contents: vec![0.5],
        fp64_contents: vec![0.25],
        bytes_contents: vec![Bytes::from_static(b"ab")],
    };
    let bytes = |dtype: &str| {
        let mut it = input("x", dtype, &[1]);
        it.contents = Some(contents());
        decoded(message(vec![it], vec![])).map(|it| it.inputs[0].tensor.data().to_vec())
    };
    let table: [(&str, &[u8]); 12] = [
        ("BOOL", &[1]),
        ("INT8", &[255]),
        ("INT16", &[255, 255]),
        ("INT32", &[255; 4]),
        ("INT64", &[254, 255, 255, 255, 255, 255, 255, 255]),
        ("UINT8", &[200]),
        ("UINT16", &[200, 0]),
        ("UINT32", &[200, 0, 0, 0]),
        ("UINT64", &[3, 0, 0, 0, 0, 0, 0, 0]),
        ("FP32", &[0, 0, 0, 63]),
        ("FP64", &[0, 0, 0, 0, 0, 0, 208, 63]),
        ("BYTES", &[2, 0, 0, 0, b'a', b'b']),
    ];
    for (dtype, expect) in table {
        assert_eq!(bytes(dtype).expect("fits"), expect, "{dtype}");
    }
    bytes("FP16").expect_err("raw only");
}

#[test]
fn every_fault_has_its_sentence() {
    check_error(
        message(vec![input("x", "FP32", &[1])], vec![&[0; 4], &[0; 4]]),
        "expected one entry of raw_input_contents for each of 1 inputs, got 2",
    );
    check_error(
        message(vec![input("x", "FP32", &[1])], vec![&[0; 3]]),
        "input 'x': a FP32 tensor of shape [1] has 4 bytes, got 3",
    );
    check_error(
        message(vec![input("x", "FP99", &[1])], vec![&[0; 4]]),
        "input 'x' has data-type 'FP99', which does not exist",
    );
    check_error(
        message(vec![input("x", "FP32", &[-1])], vec![&[0; 4]]),
        "input 'x': shape [-1] has a negative length",
    );
    check_error(
        message(vec![input("x", "FP32", &[1 << 31, 1 << 31])], vec![&[0; 4]]),
        "input 'x': shape [2147483648, 2147483648] is too large",
    );
    let mut both = input("x", "FP32", &[1]);
    both.contents = Some(InferTensorContents::default());
    check_error(
        message(vec![both], vec![&[0; 4]]),
        "contents field must not be specified when using raw_input_contents for 'x'",
    );
    let mut wide = input("x", "INT8", &[1]);
    let contents = InferTensorContents { int_contents: vec![300], ..Default::default() };
    wide.contents = Some(contents);
    check_error(message(vec![wide], vec![]), "input 'x': 300 does not fit INT8");
    let mut few = input("x", "FP32", &[2]);
    few.contents = Some(InferTensorContents { fp32_contents: vec![1.0], ..Default::default() });
    check_error(message(vec![few], vec![]), "input 'x': shape [2] has 2 elements, got 1");
    let mut shared = input("x", "FP32", &[1]);
    shared.parameters.insert("shared_memory_region".to_owned(), InferParameter::default());
    check_error(
        message(vec![shared], vec![&[0; 4]]),
        "parameter 'shared_memory_region' of 'x' asks for an extension that is not served: the server takes no \
         memory of clients (--allow-client-shm)",
    );
}

#[test]
fn the_shorter_timeout_counts() {
    let ask = |choice: Option<ParameterChoice>, call: Option<u64>| {
        let mut it = message(vec![], vec![]);
        let parameter = InferParameter { parameter_choice: choice };
        it.parameters.insert("timeout".to_owned(), parameter);
        let choice = VersionChoice::Exact(Version(3));
        let call = call.map(Duration::from_micros);
        let (decoded, _) = request(it, choice.clone(), call, &mut Memory::off())?;
        assert_eq!(decoded.version, choice);
        Ok::<_, InferError>(decoded.timeout.map(|it| it.as_micros()))
    };
    assert_eq!(ask(None, Some(7)), Ok(Some(7)));
    assert_eq!(ask(Some(ParameterChoice::Int64Param(5)), Some(7)), Ok(Some(5)));
    assert_eq!(ask(Some(ParameterChoice::Uint64Param(9)), Some(7)), Ok(Some(7)));
    ask(Some(ParameterChoice::Int64Param(-1)), None).expect_err("negative");
    ask(Some(ParameterChoice::StringParam("5".to_owned())), None).expect_err("a text");
}
