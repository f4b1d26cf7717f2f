//! The sample model `digits` answers as ONNX Runtime did, and each known network as a plain
//! implementation in FP64 does.

use std::fs;
use std::path::Path;

use backend_api::{Backend as _, DType, Device, Model, Options, Output, Tensor};
use backend_candle::{ARTIFACT, Candle};
use serde_json::Value;

use super::fixtures;

/// Of sums in FP32 against sums in FP64, a few layers deep.
const TOLERANCE: f32 = 3e-5;

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("recorded answers")).expect("JSON")
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("as the script writes it")
}

fn load(name: &str, threads: usize) -> Box<dyn Model> {
    let options = Options { intra_op_threads: threads, ..Options::default() };
    Candle.load(&fixtures().join(name).join(ARTIFACT), &options).expect("loads")
}

/// An input as it was recorded, in the type that the model takes.
fn input(value: &Value, dtype: DType) -> Tensor {
    if let Some(shape) = value.get("ramp") {
        let shape: Vec<usize> = parse(shape);
        let count = shape.iter().product::<usize>();
        let at = |it: usize| f32::from(u8::try_from(it * 37 % 255).expect("small")) / 127.0 - 1.0;
        let data: Vec<f32> = (0..count).map(at).collect();
        return Tensor::from_elements(&shape, &data).expect("fits");
    }
    let shape: Vec<usize> = parse(&value["shape"]);
    let data = &value["data"];
    if dtype == DType::Int64 {
        return Tensor::from_elements(&shape, &parse::<Vec<i64>>(data)).expect("fits");
    }
    Tensor::from_elements(&shape, &parse::<Vec<f32>>(data)).expect("fits")
}

fn run(model: &dyn Model, inputs: &[Tensor]) -> Tensor {
    let rows = inputs[0].shape().rows().expect("rows");
    let mut outputs = vec![Output::prepare(&model.signature().outputs[0], rows)];
    let mut instance = model.instance(&Device::Cpu).expect("an instance");
    instance.run(inputs, &mut outputs).expect("runs");
    outputs.remove(0).into_tensor().expect("an output")
}

/// Holds `got` against shape and numbers of `expect`.
#[track_caller]
fn assert_near(got: &Tensor, expect: &Value, (absolute, relative): (f32, f32)) {
    assert_eq!(got.shape().dims(), parse::<Vec<usize>>(&expect["shape"]));
    let got = got.view::<f32>().expect("floats");
    for (n, (a, b)) in got.iter().zip(parse::<Vec<f32>>(&expect["data"])).enumerate() {
        assert!((a - b).abs() <= absolute + relative * b.abs(), "element {n}: {a}, expected {b}");
    }
}

#[track_caller]
fn check(name: &str, signature: &[&str]) {
    for threads in [1, 2] {
        let model = load(name, threads);
        let sides = model.signature().inputs.iter().chain(&model.signature().outputs);
        assert_eq!(sides.map(ToString::to_string).collect::<Vec<_>>(), signature);
        let recorded = read(&fixtures().join(name).join("answers.json"));
        let cases = recorded["cases"].as_array().expect("a list");
        assert!(!cases.is_empty());
        for case in cases {
            let given = case["inputs"].as_array().expect("a list").iter();
            let given =
                given.zip(&model.signature().inputs).map(|(it, spec)| input(it, spec.dtype));
            let got = run(&*model, &given.collect::<Vec<_>>());
            assert_near(&got, &case["output"], (TOLERANCE, TOLERANCE));
        }
    }
}

#[test]
fn digits_are_seen_as_onnx_runtime_sees_them() {
    let recorded = "../../models/repository/digits/1/recorded.json";
    let recorded = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded));
    let model = load("digits", 1);
    let tolerance = &recorded["tolerance"];
    let tolerance = (parse(&tolerance["absolute"]), parse(&tolerance["relative"]));
    for case in recorded["cases"].as_array().expect("a list") {
        let given = input(&case["request"]["inputs"][0], DType::Fp32);
        assert_near(&run(&*model, &[given]), &case["response"]["outputs"][0], tolerance);
    }
}

const IDS: &str = "input_ids INT64 [rows,sequence]";
const MASK: &str = "attention_mask INT64 [rows,sequence]";

#[test]
fn a_bert_gives_a_vector_for_each_token() {
    check("bert_tokens", &[IDS, MASK, "last_hidden_state FP32 [rows,sequence,32]"]);
}

#[test]
fn or_one_for_the_whole_of_it() {
    let types = "token_type_ids INT64 [rows,sequence]";
    check("bert_mean", &[IDS, MASK, types, "embedding FP32 [rows,32]"]);
}

#[test]
fn or_scores_of_classes() {
    check("bert_classes", &[IDS, MASK, "logits FP32 [rows,3]"]);
}

#[test]
fn a_resnet_gives_scores_of_classes() {
    let signature = ["pixel_values FP32 [rows,3,height,width]", "logits FP32 [rows,5]"];
    for name in ["resnet_basic", "resnet_bottleneck", "resnet_early"] {
        check(name, &signature);
    }
}
