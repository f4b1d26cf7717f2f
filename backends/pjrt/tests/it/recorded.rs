//! The sample model `digits`: the recorded answers.

use std::fs;
use std::path::Path;

use backend_api::{Backend as _, Options, Output, Tensor};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{fixtures, pjrt};

fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("as the models' scripts write it")
}

#[test]
fn it_answers_as_recorded() {
    let Some(pjrt) = pjrt() else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models/repository/digits/1/recorded.json");
    let text = fs::read_to_string(path).expect("recorded answers");
    let recorded: Value = serde_json::from_str(&text).expect("JSON");
    let tolerance = &recorded["tolerance"];
    let (absolute, relative): (f32, f32) =
        (parse(&tolerance["absolute"]), parse(&tolerance["relative"]));
    let model = pjrt.load(&fixtures().join("digits.stablehlo"), &Options::default());
    let model = model.expect("loads");
    let mut instance = model.instance(&model.devices()[0]).expect("an instance");
    for case in recorded["cases"].as_array().expect("a list") {
        let (input, output) = (&case["request"]["inputs"][0], &case["response"]["outputs"][0]);
        let (shape, pixels): (Vec<usize>, Vec<f32>) =
            (parse(&input["shape"]), parse(&input["data"]));
        let expected: Vec<f32> = parse(&output["data"]);
        let input = Tensor::from_elements(&shape, &pixels).expect("fits");
        let mut outputs = vec![Output::prepare(&model.signature().outputs[0], shape[0])];
        instance.run(&[input], &mut outputs).expect("runs");
        let got = outputs.remove(0).into_tensor().expect("an output");
        let got = got.view::<f32>().expect("floats");
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= absolute + relative * b.abs();
        assert!(got.len() == expected.len() && got.iter().zip(&expected).all(near), "{shape:?}");
    }
}
