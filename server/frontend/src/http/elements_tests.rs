use super::*;

fn read(dtype: DType, count: usize, text: &str) -> Result<Vec<u8>, String> {
    let mut into = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let elements = Elements { dtype, count, into: &mut into };
    elements.deserialize(&mut deserializer).map_err(|it| it.to_string())?;
    Ok(into)
}

#[track_caller]
fn check(dtype: DType, count: usize, text: &str, expect: &[u8]) {
    assert_eq!(read(dtype, count, text).as_deref(), Ok(expect), "{dtype} {text}");
}

#[track_caller]
fn check_error(dtype: DType, count: usize, text: &str, expect: &str) {
    let error = read(dtype, count, text).expect_err("is refused");
    assert!(error.starts_with(expect), "{error}");
}

#[test]
fn flat_and_nested_are_the_same() {
    check(DType::Uint8, 4, "[1, 2, 3, 4]", &[1, 2, 3, 4]);
    check(DType::Uint8, 4, "[[1, 2], [3, 4]]", &[1, 2, 3, 4]);
    check(DType::Uint8, 4, "[[[1], [2]], [[3], [4]]]", &[1, 2, 3, 4]);
    check(DType::Uint8, 0, "[]", &[]);
}

#[test]
fn every_type_takes_its_own() {
    check(DType::Bool, 2, "[true, false]", &[1, 0]);
    check(DType::Int16, 1, "[-2]", &[254, 255]);
    check(DType::Uint64, 1, "[18446744073709551615]", &[255; 8]);
    check(DType::Int64, 1, "[9007199254740993]", &9_007_199_254_740_993_i64.to_le_bytes());
    check(DType::Fp16, 1, "[0.5]", &[0, 56]);
    check(DType::Bf16, 1, "[1]", &[128, 63]);
    check(DType::Fp32, 2, "[1, -0.0]", &[0, 0, 128, 63, 0, 0, 0, 128]);
    check(DType::Fp64, 1, "[0.1]", &0.1_f64.to_le_bytes());
    check(DType::Bytes, 2, "[\"é\", \"\"]", &[2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0]);
    check(DType::Fp32, 1, "[\"-Infinity\"]", &f32::NEG_INFINITY.to_le_bytes());
}

#[test]
fn what_does_not_fit_is_refused() {
    check_error(DType::Uint8, 1, "[256]", "256 is no UINT8");
    check_error(DType::Uint8, 1, "[-1]", "-1 is no UINT8");
    check_error(DType::Int32, 1, "[1.5]", "1.5 is no INT32");
    check_error(DType::Int64, 1, "[9223372036854775808]", "9223372036854775808 is no INT64");
    check_error(DType::Fp32, 1, "[1e39]", "1e39 is too large for FP32");
    check_error(DType::Fp32, 1, "[\"much\"]", "\"much\" is no FP32");
    check_error(
        DType::Fp32,
        1,
        "[null]",
        "invalid type: null, expected an element or array of FP32",
    );
    check_error(DType::Fp32, 1, "[{}]", "invalid type: map, expected an element or array of FP32");
    check_error(
        DType::Fp32,
        1,
        "1.0",
        "invalid type: floating point `1.0`, expected an array of FP32",
    );
    check_error(DType::Bool, 1, "[1]", "1 is no BOOL (true or false)");
    check_error(DType::Bytes, 1, "[1]", "1 is no BYTES (a string)");
    check_error(DType::Fp64, 1, "[NaN]", "expected value");
}

#[test]
fn counts_must_match_the_shape() {
    check_error(DType::Uint8, 3, "[1, 2]", "the shape has 3 elements, data has 2");
    check_error(DType::Uint8, 1, "[1, 2]", "data has more than the shape's 1 elements");
}

#[test]
fn depth_has_an_end() {
    let deep = format!("{}1{}", "[".repeat(33), "]".repeat(33));
    check_error(DType::Uint8, 1, &deep, "arrays are nested deeper than 32");
    check_error(DType::Uint8, 1, &"[".repeat(250_000), "arrays are nested deeper than 32");
}
