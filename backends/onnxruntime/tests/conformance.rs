//! The seam's suite against the real library.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use backend_api::{Backend as _, DType, Options, Precision, conformance::conformance};
use backend_onnxruntime::{OnnxRuntime, find};

/// One for all tests: the library takes no second environment in a process.
fn onnxruntime() -> &'static OnnxRuntime {
    static ENGINE: OnceLock<OnnxRuntime> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let binary = std::env::current_exe().expect("this test's own path");
        let library = find(&binary).unwrap_or_else(|searched| {
            panic!("no libonnxruntime.so in {searched:?}: `make onnxruntime` fetches it")
        });
        OnnxRuntime::open(&library).expect("the library opens")
    })
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures")
}

#[test]
fn passes_the_suite() {
    conformance(onnxruntime(), &fixtures(), &DType::ALL);
}

#[test]
fn bf16_is_refused_where_it_would_be_ignored() {
    let options = Options { precision: Precision::Bf16, ..Options::default() };
    let loaded = onnxruntime().load(&fixtures().join("double.onnx"), &options);
    assert_eq!(loaded.is_ok(), cfg!(target_arch = "aarch64"));
}

#[test]
fn a_missing_library_is_an_error() {
    let error =
        OnnxRuntime::open(Path::new("/nowhere/libonnxruntime.so")).err().expect("not there");
    assert!(error.to_string().contains("/nowhere/libonnxruntime.so"), "{error}");
}
