//! TensorFlow Serving's REST API: bodies both ways, metadata, errors.

use std::net::TcpStream;

use serde_json::{Value, json};

use super::report::plan;
use super::server::{Echo, read_request, scripted, write_answer};
use super::{floats, shown, signature};
use crate::case::Case;
use crate::http1::tfs;
use crate::run;
use crate::tensor::{Datatype, Tensor, put_string};

fn parsed(body: anyhow::Result<bytes::Bytes>) -> Value {
    serde_json::from_slice(&body.unwrap()).unwrap()
}

fn case() -> Case {
    let mut text = Vec::new();
    put_string(&mut text, b"a").unwrap();
    put_string(&mut text, "\"ü".as_bytes()).unwrap();
    let text = Tensor::new("t".to_owned(), Datatype::Bytes, vec![2], text.into()).unwrap();
    let inputs = vec![floats(&[2, 2], &[1.0, 2.0, 3.0, 0.5]), text];
    Case { inputs, rows: 2, ..Case::default() }
}

#[test]
fn requests_go_by_row_or_by_column() {
    let rows = json!({"instances": [{"y": [1.0, 2.0], "t": "a"}, {"y": [3.0, 0.5], "t": "\"ü"}]});
    assert_eq!(parsed(tfs::encode_rows(&case())), rows);
    let columns = json!({"inputs": {"y": [[1.0, 2.0], [3.0, 0.5]], "t": ["a", "\"ü"]}});
    assert_eq!(parsed(tfs::encode_columns(&case())), columns);
}

#[test]
fn what_the_api_cannot_say_is_refused() {
    let mut ragged = case();
    ragged.inputs.push(floats(&[3], &[0.0; 3]));
    assert!(shown(tfs::encode_rows(&ragged)).contains("has not the 2 rows of the first"));
    let chosen = Case { outputs: vec!["y".to_owned()], ..case() };
    assert!(shown(tfs::encode_columns(&chosen)).contains("do not exist in TensorFlow Serving"));
}

#[test]
fn answers_come_in_four_forms() {
    let one = signature(&[], &["y:FP32:-1x2"]);
    let two = signature(&[], &["y:FP32:-1x2", "k:INT64:-1"]);
    let y = json!([[1.0, 2.0], [3.0, 4.0]]);
    let table = [
        (&one, json!({"predictions": y})),
        (&one, json!({"outputs": y})),
        (&one, json!({"predictions": [{"y": [1.0, 2.0]}, {"y": [3.0, 4.0]}]})),
        (&two, json!({"outputs": {"y": y, "k": [5, 6]}})),
        (&two, json!({"predictions": [{"y": [1.0, 2.0], "k": 5}, {"y": [3.0, 4.0], "k": 6}]})),
    ];
    for (signature, body) in table {
        let tensors = tfs::decode(signature, body.to_string().as_bytes()).unwrap();
        assert_eq!(tensors[0], floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), "{body}");
        assert_eq!(tensors.len(), signature.outputs.len());
    }
    let faults = [
        (json!({"other": 1}), "neither \"predictions\" nor \"outputs\""),
        (json!({"predictions": [{"y": [1.0]}]}), "output \"k\" is missing"),
        (json!({"outputs": {"y": [[1.0, 2.0], [3.0]], "k": [1]}}), "takes 4 x 4 bytes"),
        (json!({"outputs": {"y": [["a"]], "k": [1]}}), "is not an element of FP32"),
    ];
    for (body, expected) in faults {
        let message = shown(tfs::decode(&two, body.to_string().as_bytes()));
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    }
}

#[test]
fn the_echo_speaks_it_in_both_loops() {
    let inputs = ["x:FP32:-1x4", "ids:INT64:-1x-1", "name:BYTES:-1"];
    for outputs in [&["y:FP32:-1x3"][..], &["y:FP32:-1x3", "label:BYTES:-1"]] {
        let echo = Echo::start(&inputs, outputs);
        for protocol in ["tfs", "tfs-columnar"] {
            for load in ["--concurrency 8", "--rate 100000"] {
                let line = format!("--requests 100 --rows 3 --axis ids=5 --check-every 10 {load}");
                let report = echo.run(protocol, &line).unwrap();
                assert!(report.clean(), "{protocol} {load}:\n{report}");
                assert_eq!(report.answered, 100, "{protocol} {load}:\n{report}");
            }
        }
        let message = shown(echo.run("tfs", "--model other"));
        assert!(message.contains("HTTP 404: unknown model"), "{message}");
    }
}

fn metadata(mut stream: TcpStream) {
    let request = read_request(&mut stream).unwrap();
    assert!(request.starts_with(b"GET /v1/models/m/versions/2/metadata HTTP/1.1\r\n"));
    let metadata = tfs::metadata(&signature(&["x:FP32:-1x2"], &["y:FP32:-1"]));
    write_answer(&mut stream, "", &metadata.to_string());
}

fn answer_then_err(mut stream: TcpStream) {
    for body in [r#"{"predictions": [0.5]}"#, r#"{ "error": "no such tensor" }"#] {
        let request = read_request(&mut stream).unwrap();
        assert!(request.starts_with(b"POST /v1/models/m/versions/2:predict HTTP/1.1\r\n"));
        write_answer(&mut stream, "", body);
    }
}

#[test]
fn an_error_is_a_failure_whatever_its_status() {
    let (address, server) = scripted(vec![metadata, answer_then_err]);
    let line = format!("--url tfs://{address} --model-version 2 --requests 2");
    let report = run::run(&plan(&line)).unwrap();
    server.join().unwrap();
    assert_eq!((report.answered, report.failed, report.wrong), (1, 1, 0), "{report}");
    let failure = &report.failures[0];
    assert_eq!((failure.kind.as_str(), failure.first.as_str()), ("HTTP 200", "no such tensor"));
}
