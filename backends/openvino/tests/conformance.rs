//! The seam's suite against the real library.

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// What is said of a library of that version, as `cc` makes it.
#[track_caller]
fn check_version(version: &str, expect: &str) {
    let folder = tempfile::tempdir().expect("scratch");
    let library = folder.path().join("libopenvino_c.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_openvino.c");
    let mut cc = Command::new("cc");
    let cc = cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    let made = cc.arg(format!("-DVERSION={version}")).status();
    assert!(made.expect("a C compiler").success());
    let loaded = OpenVino::at(&library).load(&fixtures().join("double.onnx"), &Options::default());
    let error = loaded.err().expect("refused");
    assert!(matches!(error, BackendError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains(expect), "{error}");
}

#[test]
fn another_version_is_refused_in_words() {
    let old = r#"is version "2024.6.0-17404", needed is 2025.1 or newer"#;
    check_version("\"2024.6.0-17404\"", old);
    check_version("NULL", r#"is version "", needed is 2025.1 or newer"#);
    check_version("\"2026.1.0\"", "there is no device (status -1)");
}
