//! The seam's suite against the real library.

use std::path::{Path, PathBuf};

use backend_api::{Backend as _, BackendError, Options, conformance::conformance};
use backend_openvino::{DTYPES, LIBRARY, OpenVino};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures")
}

fn openvino() -> OpenVino {
    let binary = std::env::current_exe().expect("this test's own path");
    let library = LIBRARY.find(&binary).unwrap_or_else(|searched| {
        panic!("no libopenvino_c.so in {searched:?}: `make openvino` fetches it")
    });
    OpenVino::at(&library)
}

#[test]
fn passes_the_suite() {
    conformance(&openvino(), &fixtures(), &DTYPES);
}

#[test]
fn what_it_does_not_carry_is_refused_at_load() {
    let openvino = openvino();
    for name in ["bytes", "fp64", "uint32", "uint64"] {
        let path = fixtures().join(format!("identity_{name}.onnx"));
        let error = openvino.load(&path, &Options::default()).err().expect("refused");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{name}: {error}");
    }
    let trees = openvino.load(&fixtures().join("tree_label.onnx"), &Options::default());
    let error = trees.err().expect("refused").to_string();
    assert!(error.contains("TreeEnsembleClassifier"), "it says which operator: {error}");
}

#[test]
fn a_library_that_is_not_there_is_an_error_of_the_load() {
    let openvino = OpenVino::at(Path::new("/nowhere/libopenvino_c.so.2641"));
    assert_eq!(openvino.version(), "2026.4.1", "nothing is opened to tell it");
    let error = openvino.load(&fixtures().join("double.onnx"), &Options::default());
    let error = error.err().expect("not there");
    assert!(matches!(error, BackendError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/libopenvino_c.so.2641"), "{error}");
}

#[test]
fn another_library_is_an_error_too() {
    let libc = Path::new("libc.so.6"); // found by the system, without any of the functions
    let loaded = OpenVino::at(libc).load(&fixtures().join("double.onnx"), &Options::default());
    let error = loaded.err().expect("refused").to_string();
    assert!(error.contains("ov_get_openvino_version"), "it says what is missing: {error}");
}
