//! The seam's suite, and what is this engine's own.

use std::fs;
use std::path::Path;

use backend_api::{
    Backend as _, BackendError, Options, Output, Tensor, conformance::conformance_of_known_shapes,
};
use backend_pjrt::{DTYPES, Pjrt, find};

use super::{fixtures, pjrt};

#[test]
fn passes_the_suite() {
    let Some(pjrt) = pjrt() else { return };
    conformance_of_known_shapes(pjrt, &fixtures(), &DTYPES);
}

#[test]
fn it_says_what_it_runs_on() {
    let Some(pjrt) = pjrt() else { return };
    let lines = pjrt.describe().expect("it opens");
    assert!(lines[0].starts_with("platform cpu"), "{lines:?}");
    assert!(lines[1].starts_with("device "), "{lines:?}");
}

#[test]
fn what_is_out_of_range_is_the_callers_fault() {
    let Some(pjrt) = pjrt() else { return };
    let model = pjrt.load(&fixtures().join("pick.stablehlo"), &Options::default());
    let model = model.expect("loads");
    let mut instance = model.instance(&model.devices()[0]).expect("an instance");
    let index = Tensor::from_elements(&[1, 1], &[4_i64]).expect("one");
    let mut outputs = vec![Output::prepare(&model.signature().outputs[0], 1)];
    let error = instance.run(&[index], &mut outputs).expect_err("refused");
    assert!(matches!(error, BackendError::Input { .. }), "{error}");
    assert!(error.to_string().contains("holds 4 at element 0, allowed are -4 to 3"), "{error}");
}

#[test]
fn more_rows_than_any_program_takes_run_in_pieces() {
    let Some(pjrt) = pjrt() else { return };
    let model = pjrt.load(&fixtures().join("double.stablehlo"), &Options::default());
    let model = model.expect("loads");
    let mut instance = model.instance(&model.devices()[0]).expect("an instance");
    for rows in [8_u16, 9, 16, 23] {
        let numbers: Vec<f32> = (0..rows * 4).map(f32::from).collect();
        let input = Tensor::from_elements(&[rows.into(), 4], &numbers).expect("fits");
        // Prepared and not: both are known beforehand.
        let prepared = Output::prepare(&model.signature().outputs[0], rows.into());
        for output in [prepared, Output::Open(None)] {
            let mut outputs = vec![output];
            instance.run(std::slice::from_ref(&input), &mut outputs).expect("runs");
            let got = outputs.remove(0).into_tensor().expect("an output");
            let expect: Vec<f32> = numbers.iter().map(|it| it * 2.0).collect();
            assert_eq!(got.view::<f32>().expect("floats"), expect, "{rows} rows");
        }
    }
}

/// What is said when the manifest of `double` says something else.
#[track_caller]
fn check(from: &str, to: &str, expect: &str) {
    let Some(pjrt) = pjrt() else { return };
    let folder = tempfile::tempdir().expect("scratch");
    for name in ["double.stablehlo", "double.8.stablehlo"] {
        fs::copy(fixtures().join(name), folder.path().join(name)).expect("copied");
    }
    let text = fs::read_to_string(fixtures().join("double.stablehlo.toml")).expect("text");
    assert!(text.contains(from));
    let path = folder.path().join("double.stablehlo");
    fs::write(folder.path().join("double.stablehlo.toml"), text.replace(from, to)).expect("write");
    let error = pjrt.load(&path, &Options::default()).err().expect("refused").to_string();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn a_program_that_is_not_what_is_declared_is_refused() {
    check("\"y\", datatype = \"FP32\"", "\"y\", datatype = \"FP64\"", "it gives FP32");
    check(
        "\"x\", datatype = \"FP32\", shape = [-1, 4]",
        "\"x\", datatype = \"FP32\", shape = [-1, 5]",
        "does not take",
    );
    check("8 = \"double.8", "16 = \"double.8", "it gives FP32 [8, 4]");
    check("8 = \"double.8", "8 = \"nothing", "nothing.stablehlo");
}

#[test]
fn what_was_compiled_is_kept() {
    let binary = std::env::current_exe().expect("this test's own path");
    let Ok(plugin) = find(&binary) else { return eprintln!("skipped: `make pjrt`") };
    let cache = tempfile::tempdir().expect("scratch");
    let kept = || fs::read_dir(cache.path()).expect("there").count();
    for _ in 0..2 {
        let pjrt = Pjrt::at(&plugin, Some(cache.path()));
        let model = pjrt.load(&fixtures().join("pair.stablehlo"), &Options::default());
        let model = model.expect("loads");
        let mut instance = model.instance(&model.devices()[0]).expect("an instance");
        let one = Tensor::from_elements(&[1, 2], &[1.0_f32, 2.0]).expect("fits");
        let specs = &model.signature().outputs;
        let mut outputs: Vec<Output> = specs.iter().map(|it| Output::prepare(it, 1)).collect();
        instance.run(&[one.clone(), one], &mut outputs).expect("runs");
        let sum = outputs.remove(0).into_tensor().expect("an output");
        assert_eq!(sum.view::<f32>(), Some(&[2.0, 4.0][..]));
        assert_eq!(kept(), 2, "a file for each program");
    }
    // What is broken is made anew.
    for it in fs::read_dir(cache.path()).expect("there") {
        fs::write(it.expect("a file").path(), b"broken").expect("write");
    }
    let pjrt = Pjrt::at(&plugin, Some(cache.path()));
    pjrt.load(&fixtures().join("pair.stablehlo"), &Options::default()).expect("compiled anew");
}

#[test]
fn a_plugin_that_is_not_there_is_an_error_of_the_load() {
    let pjrt = Pjrt::at(Path::new("/nowhere/libtpu.so"), None);
    assert_eq!(pjrt.version(), "libtpu.so", "nothing is opened to tell it");
    let error = pjrt.load(&fixtures().join("double.stablehlo"), &Options::default());
    let error = error.err().expect("not there");
    assert!(matches!(error, BackendError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/libtpu.so"), "{error}");
}

#[test]
fn another_library_is_an_error_too() {
    let libc = Path::new("libc.so.6"); // found by the system, without the function
    let error = Pjrt::at(libc, None).describe().expect_err("refused").to_string();
    assert!(error.contains("GetPjrtApi"), "it says what is missing: {error}");
}
