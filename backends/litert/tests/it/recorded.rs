//! The sample model `digits`: the recorded answers in FP32, and the same digits in INT8.

use std::fs;
use std::path::Path;

use backend_api::{Backend as _, Device, Instance, Model, Options, Output, Quantization, Tensor};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{fixtures, litert};

/// What is left of an answer's accuracy in INT8: measured is 0.0175 at most.
const INT8_TOLERANCE: f32 = 0.03;

fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("as the models' scripts write it")
}

/// Shape and numbers.
type Numbers = (Vec<usize>, Vec<f32>);

/// The one tensor on each side, case by case, and the tolerances.
fn recorded() -> (Vec<[Numbers; 2]>, f32, f32) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models/repository/digits/1/recorded.json");
    let text = fs::read_to_string(path).expect("recorded answers");
    let recorded: Value = serde_json::from_str(&text).expect("JSON");
    let side = |it: &Value| (parse(&it["shape"]), parse(&it["data"]));
    let case =
        |it: &Value| [side(&it["request"]["inputs"][0]), side(&it["response"]["outputs"][0])];
    let cases = recorded["cases"].as_array().expect("a list").iter().map(case).collect();
    let tolerance = &recorded["tolerance"];
    (cases, parse(&tolerance["absolute"]), parse(&tolerance["relative"]))
}

fn run(model: &dyn Model, instance: &mut dyn Instance, input: Tensor) -> Tensor {
    let rows = input.shape().rows().expect("rows");
    let mut outputs = vec![Output::prepare(&model.signature().outputs[0], rows)];
    instance.run(&[input], &mut outputs).expect("runs");
    outputs.remove(0).into_tensor().expect("an output")
}

#[test]
fn in_fp32_it_answers_as_recorded() {
    let Some(litert) = litert() else { return };
    let (cases, absolute, relative) = recorded();
    for threads in [1, 2] {
        let options = Options { intra_op_threads: threads, ..Options::default() };
        let model = litert.load(&fixtures().join("digits.tflite"), &options).expect("loads");
        let mut instance = model.instance(&Device::Cpu).expect("an instance");
        for [(shape, pixels), (_, expected)] in &cases {
            let input = Tensor::from_elements(shape, pixels).expect("fits");
            let got = run(&*model, &mut *instance, input);
            let got = got.view::<f32>().expect("floats");
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= absolute + relative * b.abs();
            assert!(got.len() == expected.len() && got.iter().zip(expected).all(near));
        }
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "clamped to what the type holds")]
fn in_int8_it_sees_the_same_digits() {
    let Some(litert) = litert() else { return };
    let (cases, _, _) = recorded();
    let model = litert.load(&fixtures().join("digits_int8.tflite"), &Options::default());
    let model = model.expect("loads");
    let of = |it: Option<Quantization>| it.expect("quantised");
    let (into, out) = (
        of(model.signature().inputs[0].quantization),
        of(model.signature().outputs[0].quantization),
    );
    let mut instance = model.instance(&Device::Cpu).expect("an instance");
    for [(shape, pixels), (_, expected)] in &cases {
        let step = |it: &f32| (it / into.scale).round() + into.zero_point as f32;
        let numbers: Vec<i8> =
            pixels.iter().map(|it| step(it).clamp(-128.0, 127.0) as i8).collect();
        let input = Tensor::from_elements(shape, &numbers).expect("fits");
        let got = run(&*model, &mut *instance, input);
        let value = |it: &i8| out.scale * (i64::from(*it) - out.zero_point) as f32;
        let got: Vec<f32> = got.view::<i8>().expect("whole numbers").iter().map(value).collect();
        let apart = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= INT8_TOLERANCE, "apart by {apart}");
        for (a, b) in got.chunks(10).zip(expected.chunks(10)) {
            let largest = |it: &[f32]| (0..10).max_by(|&x, &y| it[x].total_cmp(&it[y]));
            assert_eq!(largest(a), largest(b), "another digit");
        }
    }
}
