//! The seam's suite against the real library.

use std::path::Path;

use backend_api::{DType, conformance::conformance};
use backend_onnxruntime::{OnnxRuntime, find};

#[test]
fn passes_the_suite() {
    let binary = std::env::current_exe().expect("this test's own path");
    let library = find(&binary).unwrap_or_else(|searched| {
        panic!("no libonnxruntime.so in {searched:?}: `make onnxruntime` fetches it")
    });
    let backend = OnnxRuntime::open(&library).expect("the library opens");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures");
    conformance(&backend, &fixtures, &DType::ALL);
}

#[test]
fn a_missing_library_is_an_error() {
    let error =
        OnnxRuntime::open(Path::new("/nowhere/libonnxruntime.so")).err().expect("not there");
    assert!(error.to_string().contains("/nowhere/libonnxruntime.so"), "{error}");
}
