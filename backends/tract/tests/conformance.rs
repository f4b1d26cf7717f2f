//! The seam's suite against tract.

use std::path::Path;

use backend_api::{Backend as _, BackendError, Options, conformance::conformance};
use backend_tract::{DTYPES, Tract};

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures")
}

#[test]
fn passes_the_suite() {
    conformance(&Tract, &fixtures(), &DTYPES);
}

#[test]
fn what_it_does_not_carry_is_refused_at_load() {
    for name in ["identity_bf16.onnx", "identity_bytes.onnx"] {
        let loaded = Tract.load(&fixtures().join(name), &Options::default());
        let error = loaded.err().expect("refused");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{name}: {error}");
    }
}

#[test]
fn what_it_computes_wrongly_is_refused_too() {
    let loaded = Tract.load(&fixtures().join("tree_label.onnx"), &Options::default());
    let error = loaded.err().expect("refused").to_string();
    assert!(error.contains("gets the label of the two-class tree ensemble"), "{error}");
    Tract
        .load(&fixtures().join("tree_scores.onnx"), &Options::default())
        .expect("scores are right");
}
