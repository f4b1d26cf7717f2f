//! The sample models: the recorded answers, or a refusal that names the operator.

use std::fs;
use std::path::{Path, PathBuf};

use backend_api::{Backend as _, BackendError, Device, Model, Options, Output, Tensor};
use backend_openvino::{LIBRARY, OpenVino};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Loads one of the sample models.
fn load(model: &str) -> Result<(Box<dyn Model>, PathBuf), BackendError> {
    let binary = std::env::current_exe().expect("this test's own path");
    let library = LIBRARY.find(&binary).unwrap_or_else(|searched| {
        panic!("no libopenvino_c.so in {searched:?}: `make openvino` fetches it")
    });
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/repository");
    let folder = repository.join(model);
    let loaded = OpenVino::at(&library).load(&folder.join("model.onnx"), &Options::default())?;
    Ok((loaded, folder))
}

fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("as the models' scripts write it")
}

fn numbers(tensor: &Value) -> Vec<f32> {
    parse(&tensor["data"])
}

fn floats(tensor: &Value) -> Tensor {
    let dims: Vec<usize> = parse(&tensor["shape"]);
    Tensor::from_elements(&dims, &numbers(tensor)).expect("as many as the shape says")
}

#[track_caller]
fn answers_as_recorded(model: &str) {
    let (loaded, folder) = load(model).unwrap_or_else(|it| panic!("{model}: {it}"));
    let recorded = fs::read_to_string(folder.join("recorded.json")).expect("recorded answers");
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    let tolerance = &recorded["tolerance"];
    let (absolute, relative): (f32, f32) =
        (parse(&tolerance["absolute"]), parse(&tolerance["relative"]));
    let mut instance = loaded.instance(&Device::Cpu).expect("an instance");
    for case in recorded["cases"].as_array().expect("a list") {
        let inputs = case["request"]["inputs"].as_array().expect("a list");
        let inputs: Vec<Tensor> = inputs.iter().map(floats).collect();
        let rows = inputs[0].shape().rows().expect("rows");
        let outputs = loaded.signature().outputs.iter();
        let mut outputs: Vec<Output> = outputs.map(|it| Output::prepare(it, rows)).collect();
        instance.run(&inputs, &mut outputs).expect("runs");
        let expected = case["response"]["outputs"].as_array().expect("a list");
        assert_eq!(outputs.len(), expected.len());
        for (output, expected) in outputs.into_iter().zip(expected) {
            let output = output.into_tensor().expect("an output");
            let (got, expected) = (output.view::<f32>().expect("floats"), numbers(expected));
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= absolute + relative * b.abs();
            assert!(got.len() == expected.len() && got.iter().zip(&expected).all(near), "{model}");
        }
    }
}

#[test]
fn models_that_it_knows_answer_as_recorded() {
    answers_as_recorded("add_sub/1");
    answers_as_recorded("digits/1");
}

#[test]
fn models_that_it_does_not_know_are_refused() {
    let operators = [
        ("breast_cancer/1", "ArgMax"),
        ("greeting/1", "BYTES"),
        ("wine/1", "ai.onnx.ml"),
        ("wine/2", "ai.onnx.ml"),
    ];
    for (model, operator) in operators {
        let error = load(model).err().expect("refused");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{model}: {error}");
        assert!(error.to_string().contains(operator), "{model}: {error}");
    }
}
