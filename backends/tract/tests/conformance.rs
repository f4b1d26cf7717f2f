//! The seam's suite against tract.

use std::path::Path;

use backend_api::conformance::conformance;
use backend_api::{Backend as _, BackendError, DType, Device, Options, Output, Shape, Tensor};
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

#[test]
fn inputs_that_do_not_fit_are_the_callers_fault() {
    let model = Tract.load(&fixtures().join("pair.onnx"), &Options::default()).expect("loads");
    let mut instance = model.instance(&Device::Cpu).expect("an instance");
    let fp32 = |dims: &[usize]| (DType::Fp32, dims.to_vec());
    let rows = fp32(&[2, 2]);
    let unlike = [fp32(&[3, 2]), fp32(&[2, 5]), fp32(&[2]), (DType::Int64, vec![2, 2])];
    for other in unlike {
        let zeros = |(dtype, dims): &(DType, Vec<usize>)| {
            Tensor::zeroed(*dtype, Shape::new(dims).expect("small"))
        };
        let mut outputs = [Output::Open(None), Output::Open(None)];
        let result = instance.run(&[zeros(&rows), zeros(&other)], &mut outputs);
        assert!(matches!(result, Err(BackendError::Input { .. })), "{other:?}: {result:?}");
    }
}

/// tract asks for the type of elements only when an operation runs.
#[test]
fn an_operation_without_code_for_its_type_is_refused_at_load() {
    let lacking = |name: &str| {
        let path = fixtures().join("lacking").join(name).with_extension("onnx");
        Tract.load(&path, &Options::default())
    };
    for name in ["hard_swish_fp64", "frob"] {
        let error = lacking(name).err().expect("refused");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{name}: {error:?}");
    }
    let error = lacking("hard_swish_fp64").err().expect("refused").to_string();
    assert!(error.contains("F64") && error.contains("HardSwish"), "{error}");
    // What it can do it does.
    assert!(lacking("conv_fp64").is_ok());
}
