use super::*;

use std::path::PathBuf;

use crate::declared::Side;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn card(name: &str) -> Card {
    Card::read(&fixture(name)).expect("readable").expect("there")
}

/// A signature as text, to be looked at as a whole.
fn side(side: &Side) -> String {
    let name = |it: &Option<String>| it.clone().unwrap_or("-".to_owned());
    match side {
        Side::Anything => "anything".to_owned(),
        Side::Tensors(list) => {
            let one = |it: &crate::DeclaredTensor| format!("{} {it}", name(&it.name));
            list.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        Side::Columns(list) => {
            let one = |it: &crate::Column| format!("{}: {}", name(&it.name), it.written);
            list.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

#[test]
fn what_mlflow_writes_is_understood() {
    let check = |name: &str, inputs: &str, outputs: &str| {
        let signature = card(name).signature.expect("a signature");
        assert_eq!(
            (side(&signature.inputs).as_str(), side(&signature.outputs).as_str()),
            (inputs, outputs)
        );
    };
    check("unnamed", "- FP32 [-1,4]", "- FP32 [-1,3]");
    check("named", "x FP32 [-1,4]", "label INT64 [-1]; probabilities FP32 [-1,3]");
    check(
        "columns",
        "sepal length (cm): float; sepal width: float; petal length: float; petal width: float",
        "label INT64 [-1]",
    );
    check("double", "- FP64 [-1,4]", "- FP64 [-1,3]");
}

#[test]
fn no_signature_is_none() {
    assert_eq!(Card::parse("flavors: {}\n").expect("readable").signature, None);
    assert_eq!(Card::parse("flavors: {}\nsignature: null\n").expect("readable").signature, None);
}

#[test]
fn a_type_that_was_not_found_out_says_nothing() {
    let any = "flavors: {onnx: {data: model.onnx}}\n\
               signature:\n  inputs: '[{\"type\": \"any\", \"required\": true}]'\n  outputs: null\n";
    let signature = Card::parse(any).expect("readable").signature.expect("there");
    assert_eq!((signature.inputs, signature.outputs), (Side::Anything, Side::Anything));
}

#[test]
fn where_it_comes_from_is_kept() {
    let facts = card("named").facts;
    let text: Vec<String> = facts.iter().map(|(name, it)| format!("{name}={it}")).collect();
    assert_eq!(
        text,
        [
            "mlflow.created=2026-11-21 22:34:55.507715",
            "mlflow.metadata.featurizer=none",
            "mlflow.metadata.team=a b",
            &format!("mlflow.model_uuid={}", facts["mlflow.model_uuid"]),
            "mlflow.version=3.17.2",
        ]
    );
    let long = format!("flavors: {{}}\nrun_id: {}\n", "x".repeat(1_000));
    let long = Card::parse(&long).expect("readable").facts;
    assert_eq!(long["mlflow.run_id"].chars().count(), TEXT_MAX + 1);
}

#[test]
fn code_without_a_graph_is_refused() {
    let check = |name: &str, expect: &str| {
        let empty = tempfile::tempdir().expect("scratch");
        let refusal =
            card(name).check_servable(empty.path(), &["model.onnx"]).expect_err("nothing");
        assert_eq!((refusal.rule, refusal.reason.as_str()), (Rule::Flavor, expect));
        std::fs::write(empty.path().join("model.onnx"), "").expect("written");
        card(name).check_servable(empty.path(), &["model.onnx"]).expect("something to serve");
    };
    check(
        "pyfunc",
        "MLmodel has no flavor that is served here, only python_function: code in Python is not run. \
         Needed is model.onnx: export the model to ONNX and log it with mlflow.onnx.log_model",
    );
    check(
        "named",
        "MLmodel has the flavor onnx with the file 'model.onnx', and model.onnx is not there: \
         expected it at the root of the version's folder",
    );
}

#[test]
fn what_is_no_mlmodel_is_said() {
    let check = |text: &str, expect: &str| {
        let error = Card::parse(text).expect_err("refused");
        assert!(error.contains(expect), "{error}");
    };
    check("", "it is empty");
    check("- a\n", "expected names and values");
    check("run_id: x\n", "expected `flavors`");
    check("flavors: {}\nsignature: {inputs: '[{'}\n", "signature.inputs: ");
    check(
        "flavors: {}\nsignature: {inputs: '[{\"type\": \"tensor\"}]'}\n",
        "a tensor without `tensor-spec`",
    );
}

#[test]
fn examples_are_named_in_this_folder_only() {
    assert_eq!(card("named").examples, ["serving_input_example.json", "input_example.json"]);
    assert!(card("outlabel").examples.is_empty());
    let far = "flavors: {}\nsaved_input_example_info: {type: ndarray, artifact_path: ../secret, \
               serving_input_path: .. }\n";
    assert!(Card::parse(far).expect("readable").examples.is_empty());
    let tree =
        "flavors: {}\nsaved_input_example_info: {type: json_object, artifact_path: a.json}\n";
    assert!(Card::parse(tree).expect("readable").examples.is_empty());
}
