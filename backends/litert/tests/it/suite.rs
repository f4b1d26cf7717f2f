//! The seam's suite, and what is this engine's own.

use std::path::Path;

use backend_api::{
    Backend as _, BackendError, Device, Options, Output, Quantization, Tensor,
    conformance::conformance,
};
use backend_litert::{DTYPES, LiteRt};

use super::{delegate::built, fixtures, litert};

#[test]
fn passes_the_suite() {
    let Some(litert) = litert() else { return };
    conformance(&litert, &fixtures(), &DTYPES);
}

/// Inputs and outputs as the server sees them.
#[track_caller]
fn check(name: &str, expect: &[&str]) {
    let Some(litert) = litert() else { return };
    let path = fixtures().join(name).with_extension("tflite");
    let model = litert.load(&path, &Options::default()).expect("loads");
    let signature = model.signature();
    let shown = signature.inputs.iter().chain(&signature.outputs).map(ToString::to_string);
    assert_eq!(shown.collect::<Vec<_>>(), expect, "{name}");
}

#[test]
fn a_first_axis_that_can_be_resized_is_rows() {
    check("double", &["x FP32 [rows,4]", "y FP32 [rows,4]"]);
    check("resizable", &["x FP32 [rows,4]", "y FP32 [rows,4]"]);
    check("fixed", &["x FP32 [1,4]", "y FP32 [1,4]"]);
    check("positive", &["x FP32 [?]", "at INT64 [1,?]"]);
    let image = "image INT8 [rows,1,8,8] = 0.0627451 * (number - -128)";
    let probabilities = "probabilities INT8 [rows,10] = 0.00390625 * (number - -128)";
    check("digits_int8", &[image, probabilities]);
}

#[test]
fn an_output_may_need_more_room_than_any_before() {
    let Some(litert) = litert() else { return };
    let model = litert.load(&fixtures().join("positive.tflite"), &Options::default());
    let model = model.expect("loads");
    let mut instance = model.instance(&Device::Cpu).expect("an instance");
    for length in [3_usize, 5_000, 2, 20_000] {
        let ones = Tensor::from_elements(&[length], &vec![1.0_f32; length]).expect("fits");
        let mut outputs = vec![Output::prepare(&model.signature().outputs[0], 1)];
        instance.run(&[ones], &mut outputs).expect("runs");
        let places = outputs.remove(0).into_tensor().expect("an output");
        let expect: Vec<i64> = (0..length as i64).collect();
        assert_eq!(places.view::<i64>().expect("places"), expect);
    }
}

#[test]
fn what_the_numbers_stand_for_is_in_the_signature() {
    let Some(litert) = litert() else { return };
    let load = |name: &str| {
        let loaded = litert.load(&fixtures().join(name), &Options::default()).expect("loads");
        (loaded.signature().inputs[0].quantization, loaded.signature().outputs[0].quantization)
    };
    let input = Quantization { scale: 16.0 / 255.0, zero_point: -128 };
    let output = Quantization { scale: 1.0 / 256.0, zero_point: -128 };
    assert_eq!(load("digits_int8.tflite"), (Some(input), Some(output)));
    assert_eq!(load("digits.tflite"), (None, None));
}

#[test]
fn strings_are_refused_at_load() {
    let Some(litert) = litert() else { return };
    litert.load(&fixtures().join("text.tflite"), &Options::default()).err().expect("refused");
}

/// The library would follow offsets out of the file, and end the process.
#[test]
fn a_file_that_was_cut_off_is_refused() {
    let Some(litert) = litert() else { return };
    let scratch = tempfile::tempdir().expect("scratch");
    let path = scratch.path().join("model.tflite");
    let bytes = std::fs::read(fixtures().join("digits.tflite")).expect("readable");
    for len in [10, 100, 1_000, bytes.len() / 2, bytes.len() - 100] {
        std::fs::write(&path, &bytes[..len]).expect("write");
        let error = litert.load(&path, &Options::default()).err().expect("refused");
        assert!(matches!(error, BackendError::Artifact { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("({len} bytes)")), "{error}");
        // Room of the right length that was not filled to its end.
        let mut room = bytes.clone();
        room[len..].fill(0);
        std::fs::write(&path, &room).expect("write");
        let error = litert.load(&path, &Options::default()).err();
        let is_refused = matches!(error, Some(BackendError::Artifact { .. }));
        assert!(is_refused || len > bytes.len() - 1_000, "{len}: {error:?}");
    }
}

#[test]
fn an_operator_that_it_lacks_is_refused_at_load() {
    let Some(litert) = litert() else { return };
    for (name, says) in [
        ("frob", ["unresolved custom op: AcmeFrob", "an operator that LiteRT lacks"]),
        ("frob_fixed", ["unresolved custom op: AcmeFrob", "delegate = \"FILE\""]),
        ("edgetpu", ["edgetpu-custom-op", "device = \"edgetpu\""]),
        ("future", ["LiteRT's status 3", "an operator that LiteRT lacks"]),
    ] {
        let path = fixtures().join(name).with_extension("tflite");
        let error = litert.load(&path, &Options::default()).err().expect("refused");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{name}: {error:?}");
        let error = error.to_string();
        assert!(says.iter().all(|it| error.contains(it)), "{name}: {error}");
    }
}

#[test]
fn a_library_that_is_not_there_is_an_error_of_the_load() {
    let litert = LiteRt::at(Path::new("/nowhere/libLiteRt.so.2.1.4"));
    assert_eq!(litert.version(), "2.1.4", "nothing is opened to tell it");
    let error = litert.load(&fixtures().join("double.tflite"), &Options::default());
    let error = error.err().expect("not there");
    assert!(matches!(error, BackendError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/libLiteRt.so.2.1.4"), "{error}");
}

#[test]
fn another_library_is_an_error_too() {
    let libc = Path::new("libc.so.6"); // found by the system, without any of the functions
    let error = LiteRt::at(libc).open().expect_err("refused").to_string();
    assert!(error.contains("LiteRtCreateEnvironment"), "it says what is missing: {error}");
}

/// Later versions have the same names for functions of other arguments.
#[test]
fn another_version_is_refused_in_words() {
    let scratch = tempfile::tempdir().expect("scratch");
    let source = scratch.path().join("litert.c");
    let both = "void LiteRtCreateModelFromFile(void) {}\n";
    for more in
        ["void LiteRtCreateModelFromFd(void) {}\nvoid LiteRtGetNumLayoutElements(void) {}\n", ""]
    {
        std::fs::write(&source, format!("{both}{more}")).expect("write");
        let library = built(&source, &[]);
        let litert = LiteRt::at(&library.library);
        let error = litert.load(&fixtures().join("double.tflite"), &Options::default());
        let error = error.err().expect("refused");
        assert!(matches!(error, BackendError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("is of another version than 2.1"), "{error}");
    }
}
