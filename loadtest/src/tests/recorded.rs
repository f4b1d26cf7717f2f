//! Recordings are read whole or refused with the place of the fault.

use serde_json::{Value, json};

use super::{shown, signature};
use crate::check::Tolerance;
use crate::recorded::Recording;

fn parse(recording: &Value) -> anyhow::Result<Recording> {
    let signature = signature(&["x:FP32:-1x2"], &["y:FP32:-1x1"]);
    Recording::parse(recording.to_string().as_bytes(), &signature)
}

fn request() -> Value {
    let data = json!([[1, 2], [3, 4], [5, 6]]);
    json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [3, 2], "data": data}]})
}

fn response() -> Value {
    let output = json!({"name": "y", "datatype": "FP32", "shape": [3, 1], "data": [1, 2, 3]});
    json!({"model_name": "m", "outputs": [output]})
}

#[test]
fn a_recording_becomes_cases() {
    let mut asked = request();
    asked["outputs"] = json!([{"name": "y"}]);
    asked["parameters"] = json!({"priority": 1});
    let recording = parse(&json!({
        "tolerance": {"absolute": 0.5, "relative": 0.25},
        "cases": [{"request": asked, "response": response()}],
    }));
    let recording = recording.unwrap();
    assert_eq!(recording.tolerance, Tolerance { absolute: 0.5, relative: 0.25 });
    let case = &recording.cases[0];
    assert_eq!((case.rows, case.input_bytes()), (3, 24));
    assert_eq!(case.outputs, ["y"]);
    assert_eq!(case.parameters["priority"], 1);
    assert_eq!(case.expected.as_ref().unwrap()[0].shape, [3, 1]);
}

#[test]
fn faults_are_named_with_their_place() {
    let one = |request: Value, response: Value| json!({"cases": [{"request": request, "response": response}]});
    let with = |key: &str, value: Value| {
        let mut changed = request();
        changed[key] = value;
        changed
    };
    let input = |key: &str, value: Value| {
        let mut changed = request();
        changed["inputs"][0][key] = value;
        changed
    };
    let table = [
        (json!({"cases": []}), "\"cases\" is empty"),
        (json!({"cases": [], "tolerence": {}}), "unknown field `tolerence`"),
        (json!({"tolerance": {"absolute": -1}, "cases": [{"request": 0, "response": 0}]}), "-1"),
        (one(json!({}), response()), "in case 0: in the request: no list of \"inputs\""),
        (one(request(), json!({})), "in case 0: in the response: no list of \"outputs\""),
        (one(request(), json!({"outputs": []})), "no outputs to compare with"),
        (one(input("shape", json!([2, 2])), response()), "takes 4 x 4 bytes, got 24"),
        (one(input("parameters", json!({"a": 1})), response()), "parameters of an input"),
        (one(with("parameters", json!({"a": []})), response()), "parameter \"a\" is []"),
        (one(with("outputs", json!([{}])), response()), "an output without a name"),
    ];
    for (recording, expected) in table {
        let message = shown(parse(&recording));
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    }
}
