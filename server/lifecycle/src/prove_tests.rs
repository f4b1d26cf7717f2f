use super::*;

use std::cell::Cell;
use std::fs;

use backend_api::{Backend as _, Options};
use backend_fake::Fake;
use server_base::{ModelName, Version};
use server_proof::Rule;

use crate::config::ModelConfig;
use crate::fault::Fault;
use crate::house::{engines, options};

const DOUBLE: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";

const MLMODEL: &str = "flavors:\n  onnx:\n    data: model.fake\nmlflow_version: 3.17.2\nrun_id: abc\n\
    saved_input_example_info: {artifact_path: e.json, type: ndarray}\n\
    signature:\n  inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \
    \"shape\": [-1, 2]}}]'\n  outputs: null\n";

fn golden(y: &str) -> String {
    let tensor = |name: &str, data: &str| {
        format!("{{\"name\":\"{name}\",\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":{data}}}")
    };
    let (x, y) = (tensor("x", "[1,2,3,4]"), tensor("y", y));
    format!("{{\"request\":{{\"inputs\":[{x}]}},\"response\":{{\"outputs\":[{y}]}}}}\n")
}

/// Proves a script with these files beside it, on a machine where every look at the clock is 10 ms
/// after the one before. Gives facts, or rule, fault and reason.
fn proven(
    files: &[(&str, &str)],
    script: &str,
    toml: &str,
) -> Result<String, (Option<Rule>, Fault, String)> {
    let root = tempfile::tempdir().expect("scratch");
    let folder = root.path().join("1");
    fs::create_dir(&folder).expect("made");
    for (name, content) in files {
        fs::write(folder.join(name), content).expect("written");
    }
    fs::write(folder.join("model.fake"), script).expect("written");
    let fake = Fake::new();
    let engines = engines(&fake);
    let config = ModelConfig::parse(toml, &options(root.path(), &engines).defaults);
    let (model, version) = (ModelName::new("m").expect("a name"), Version(1));
    let config = config.expect("no faults");
    let job = LoadJob { model, version, folder, config, serves: None };
    let model = fake.load(&job.folder.join("model.fake"), &Options::default()).expect("loads");
    let signature = model.signature().clone();
    let padding = job.config.padding.resolve(&signature).expect("fits");
    let subject = Subject {
        model: &*model,
        device: &Device::Cpu,
        signature: &signature,
        padding: &padding,
        lengths: &AxisLengths::default(),
    };
    let (start, looks) = (Instant::now(), Cell::new(0));
    let now = || {
        looks.set(looks.get() + 1);
        start + Duration::from_millis(10) * looks.get()
    };
    let card = card(&job, &engines.artifacts());
    let proof = card.and_then(|it| prove(&job, subject, (it.as_ref(), &Before::default()), &now));
    let facts = |it: Proof| {
        it.facts.iter().map(|(name, it)| format!("{name}={it}")).collect::<Vec<_>>().join(", ")
    };
    proof.map(facts).map_err(|it| (it.rule, it.fault, it.reason))
}

#[track_caller]
fn check(files: &[(&str, &str)], toml: &str, expect: &str) {
    assert_eq!(proven(files, DOUBLE, toml), Ok(expect.to_owned()));
}

#[track_caller]
fn check_refused(files: &[(&str, &str)], script: &str, toml: &str, rule: Rule, expect: &str) {
    let (got, fault, reason) = proven(files, script, toml).expect_err("is refused");
    assert!(reason.contains(expect), "{reason}");
    let expect = if rule == Rule::Latency { Fault::Doubtful } else { Fault::Lasting };
    assert_eq!((got, fault), (Some(rule), expect));
}

#[test]
fn a_folder_with_nothing_beside_has_nothing_to_prove() {
    check(&[], "", "");
}

#[test]
fn what_mlflow_left_is_used() {
    let facts = "mlflow.run_id=abc, mlflow.version=3.17.2";
    check(&[("MLmodel", MLMODEL)], "", facts);
    let files = [("MLmodel", MLMODEL), ("e.json", "[[1, 2]]")];
    check(&files, "", &format!("{facts}, proof.example=runs, all numbers finite"));
    let wide = MLMODEL.replace("[-1, 2]", "[-1, 3]");
    let wide = [("MLmodel", &*wide)];
    let text = "input 'x' is FP32 [-1,3] in MLmodel, and the graph has x FP32 [rows,2]";
    check_refused(&wide, DOUBLE, "", Rule::Signature, text);
    check(&wide, "[proof]\nsignature = false", facts);
    check_refused(&[("MLmodel", "- x\n")], DOUBLE, "", Rule::Signature, "MLmodel cannot be read: ");
    check(&[("MLmodel", "- x\n")], "[proof]\nsignature = false", "");
}

#[test]
fn an_example_that_fails_refuses_the_version() {
    let files = [("MLmodel", MLMODEL), ("e.json", "[[1, 2]]")];
    let nan = "input x FP32 rows,2\noutput y FP32 rows,2 = constant nan\n";
    check_refused(&files, nan, "", Rule::Example, "gives NaN in output 'y'[0]");
    let failing = format!("{DOUBLE}on 2 fail\n");
    check_refused(
        &files,
        &failing,
        "",
        Rule::Example,
        "does not run: the model failed: the script",
    );
    let narrow = [("MLmodel", MLMODEL), ("e.json", "[[1]]")];
    check_refused(&narrow, DOUBLE, "", Rule::Example, "FP32 [1,1] does not fit the input x");
    check(&narrow, "[proof]\nexample = false", "mlflow.run_id=abc, mlflow.version=3.17.2");
}

#[test]
fn recorded_answers_are_compared() {
    let report = |off: usize, difference: &str| {
        format!("proof.golden=1 requests, 4 elements, {off} off, largest difference {difference}")
    };
    let (same, other) = (golden("[2,4,6,8]"), golden("[2,4,6,8.25]"));
    check(&[("golden.jsonl", &same)], "", &report(0, "0.000e0"));
    check(&[("g", &same)], "[proof]\ngolden = \"g\"", &report(0, "0.000e0"));
    let files = [("golden.jsonl", &*other)];
    let text = "line 1, output 'y'[3]: expected 8.25, got 8";
    check_refused(&files, DOUBLE, "", Rule::Golden, text);
    check(&files, "[proof]\nmismatches_max = 1", &report(1, "2.500e-1"));
    check(&files, "[proof]\nabsolute = 0.25", &report(0, "2.500e-1"));
    check(&files, "[proof]\nrelative = 0.1", &report(0, "2.500e-1"));
    let text = "'g' is neither in the version's folder nor in the model's";
    check_refused(&files, DOUBLE, "[proof]\ngolden = \"g\"", Rule::Golden, text);
}

#[test]
fn recorded_requests_are_padded_as_any_other() {
    let axes = "input x FP32 rows,n\noutput y FP32 rows,n = double x\n";
    let toml = "[padding]\naxes = { n = [3] }\nvalues = { x = 7 }";
    let files = [("golden.jsonl", &*golden("[2,4,6,8]"))];
    let facts = proven(&files, axes, toml).expect("cut to what was sent");
    assert!(facts.contains("4 elements, 0 off"), "{facts}");
    let short = "[padding]\naxes = { n = [1] }";
    check_refused(&files, axes, short, Rule::Golden, "line 1: the run failed: ");
}

#[test]
fn a_slow_version_is_refused() {
    check(&[], "[proof]\nlatency_ms_max = 10", "proof.latency_ms=10.000");
    let text = "a run takes 10.000 ms (median of up to 11), and proof.latency_ms_max is 9.5";
    check_refused(&[], DOUBLE, "[proof]\nlatency_ms_max = 9.5", Rule::Latency, text);
    // What cannot be measured is no better for it, and no reason to try again.
    let failing = format!("{DOUBLE}on 4 fail\n");
    let recorded = [("golden.jsonl", &*golden("[2,4,6,8]"))];
    let error = proven(&recorded, &failing, "[proof]\nlatency_ms_max = 10").expect_err("fails");
    assert_eq!((error.0, error.1), (Some(Rule::Golden), Fault::Lasting));
    let never = "input x FP32 rows,n\noutput y FP32 rows,n = copy x\n";
    let wide = proven(&[], never, "[proof]\nlatency_ms_max = 10").expect("a length of 1");
    assert_eq!(wide, "proof.latency_ms=10.000");
}

#[test]
fn a_run_is_measured_with_one_row() {
    let folder = tempfile::tempdir().expect("scratch");
    let artifact = folder.path().join("model.fake");
    fs::write(&artifact, DOUBLE).expect("written");
    let model = Fake::new().load(&artifact, &Options::default()).expect("loads");
    let two = Tensor::from_elements(&[2, 2], &[1.0_f32, 2.0, 3.0, 4.0]).expect("four");
    let lengths = AxisLengths::default();
    let dims = |signature: &Signature, inputs: Option<Vec<Tensor>>| {
        let one = one_row(signature, inputs.as_ref(), &lengths).expect("inputs");
        one[0].shape().dims().to_vec()
    };
    assert_eq!(dims(model.signature(), Some(vec![two.clone()])), [1, 2]);
    assert_eq!(dims(model.signature(), None), [1, 2]);
    let unbatched = model.signature().clone().unbatched();
    assert_eq!(dims(&unbatched, Some(vec![two])), [2, 2]);
}
