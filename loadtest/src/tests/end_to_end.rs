//! Real sockets: the load generator against the echo server, both in this process.

use std::io::Write;

use serde_json::json;

use super::report::plan;
use super::server::{Echo, Nobody};
use super::shown;
use crate::run;

const PROTOCOLS: [&str; 3] = ["grpc", "http-binary", "http-json"];

#[test]
fn every_protocol_in_both_loops() {
    let inputs = ["x:FP32:-1x4", "ids:INT64:-1x-1", "name:BYTES:-1"];
    let echo = Echo::start(&inputs, &["y:FP32:-1x3", "label:BYTES:-1", "flag:BOOL:2"]);
    let loads = [
        "--concurrency 8",
        "--concurrency 1",
        "--concurrency 9 --connections 3",
        "--concurrency 8 --threads 3",
        "--rate 100000",
        "--rate 100000 --arrival constant --threads 2",
        "--rate 100000 --spin",
    ];
    for protocol in PROTOCOLS {
        for load in loads {
            let line = format!("--requests 200 --rows 3 --axis ids=5 --check-every 10 {load}");
            let report = echo.run(protocol, &line).unwrap();
            let context = format!("{protocol} {load}:\n{report}");
            assert!(report.clean(), "{context}");
            assert_eq!((report.requests, report.answered), (200, 200), "{context}");
            assert_eq!((report.failed, report.not_sent), (0, 0), "{context}");
            assert!(report.checked >= 20, "{context}");
            let rows_per_request = report.rows_per_s / report.requests_per_s;
            assert!((rows_per_request - 3.0).abs() < 1e-9, "{context}");
            assert_eq!(report.lateness_us.is_some(), load.contains("--rate"), "{context}");
        }
    }
}

#[test]
fn half_precision_travels_as_bytes() {
    let echo = Echo::start(&["x:FP16:-1x4"], &["y:BF16:-1x4"]);
    for protocol in ["grpc", "http-binary"] {
        assert!(echo.run(protocol, "--requests 10").unwrap().clean());
    }
    let refused = shown(echo.run("http-json", "--requests 10"));
    assert!(refused.contains("use grpc or http-binary"), "{refused}");
}

#[test]
fn large_messages_pass() {
    // Above every default window and the usual 4 MiB limit of messages.
    let echo = Echo::start(&["x:FP32:-1x1000000"], &["y:FP32:-1x1500000"]);
    for protocol in ["grpc", "http-binary"] {
        let report = echo.run(protocol, "--requests 6 --rows 3 --concurrency 2 --distinct 1");
        let report = report.unwrap();
        assert!(report.clean(), "{protocol}:\n{report}");
        assert_eq!(report.answered, 6);
    }
}

#[test]
fn a_wrong_answer_is_reported_as_such() {
    let echo = Echo::start(&["x:FP32:-1x2"], &["y:FP32:-1x2"]);
    let case = |expected: [f32; 2]| {
        let input = json!({"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]});
        let output = json!({"name": "y", "datatype": "FP32", "shape": [1, 2], "data": expected});
        json!({"request": {"inputs": [input]}, "response": {"outputs": [output]}})
    };
    let recording = json!({"cases": [case([0.0, 0.0]), case([0.0, 0.25])]});
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(recording.to_string().as_bytes()).unwrap();
    let path = file.path().display();

    for protocol in PROTOCOLS {
        let line = format!("--requests 200 --check-every 1 --recorded {path}");
        let report = echo.run(protocol, &line).unwrap();
        assert!(!report.clean(), "{report}");
        assert_eq!((report.answered, report.failed), (200, 0), "{report}");
        assert_eq!((report.checked, report.wrong), (200, 100), "{report}");
        let first = report.first_wrong.as_deref();
        assert_eq!(first, Some("case 1: output \"y\" element 1 is 0, expected 0.25"));
    }
}

#[test]
fn refusals_are_counted_by_kind_with_their_message() {
    // The answer would be larger than the echo server may make it.
    let echo = Echo::start(&["x:BOOL:-1"], &["y:FP32:-1x1000000"]);
    for (protocol, kind) in [("grpc", "INVALID_ARGUMENT"), ("http-json", "HTTP 400")] {
        let report = echo.run(protocol, "--requests 20 --rows 1000 --concurrency 4").unwrap();
        assert!(!report.clean(), "{report}");
        assert_eq!((report.requests, report.answered, report.failed), (20, 0, 20), "{report}");
        let failure = &report.failures[0];
        assert_eq!((failure.kind.as_str(), failure.count), (kind, 20), "{report}");
        assert!(failure.first.contains("1000 rows make an answer of more than"), "{report}");
    }
}

#[test]
fn what_cannot_be_sent_is_not_sent() {
    let echo = Echo::start(&["x:FP32:-1x4"], &["y:FP32:-1x4"]);
    let report = echo.run("grpc", "--requests 500 --rate 10000000 --outstanding-max 1").unwrap();
    assert!(report.not_sent > 0, "{report}");
    assert_eq!(report.requests + report.not_sent, 500, "{report}");
    assert_eq!(report.answered, report.requests, "{report}");
}

#[test]
fn a_run_that_cannot_begin_says_why() {
    let echo = Echo::start(&["x:FP32:-1x4"], &["y:FP32:-1x4"]);
    for (protocol, expected) in [("grpc", "NOT_FOUND: unknown model"), ("http-json", "HTTP 404")] {
        let message = shown(echo.run(protocol, "--model other"));
        assert!(message.starts_with("no metadata of model \"other\" from 127.0.0.1:"), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    drop(echo);
    let nobody = Nobody::at(0).unwrap();
    let address = nobody.address;
    let message = shown(run::run(&plan(&format!("--url {address}"))));
    assert!(message.contains(&format!("cannot connect to {address}")), "{message}");
}

#[test]
fn shapes_of_load_have_a_row_for_each_part() {
    let echo = Echo::start(&["x:FP32:-1x4"], &["y:FP32:-1x4"]);
    let mut offsets = tempfile::NamedTempFile::new().unwrap();
    write!(offsets, "offset_s,model\n0,m\n0.001,m\n0.02,m\n").unwrap();
    let mut rates = tempfile::NamedTempFile::new().unwrap();
    write!(rates, "seconds,rate_per_s\n0.05,1000\n0.01,0\n0.05,2000\n").unwrap();
    let short = "--duration 100ms --warmup 10ms";
    // options, rows, words
    let table = [
        (format!("--ramp 1000..3000 {short}"), 10, "1000 to 3000 /s Poisson"),
        (format!("--step 1000..3000/3 {short}"), 3, "1000 to 3000 /s in 3 steps Poisson"),
        (format!("--trace {}", offsets.path().display()), 10, "3 arrivals of a trace"),
        (format!("--trace {}", rates.path().display()), 3, "3 rates of a trace Poisson"),
        (format!("--rate 2000 --arrival burst=5 {short}"), 0, "2000 /s in bursts of 5"),
    ];
    for (line, rows, words) in table {
        for threads in [1, 2] {
            let report = echo.run("grpc", &format!("{line} --threads {threads}")).unwrap();
            assert!(report.clean(), "{line}:\n{report}");
            assert_eq!(report.phases.len(), rows, "{line}:\n{report}");
            assert!(report.load.contains(words), "{line}:\n{report}");
            let due = |it: &crate::report::PhaseLine| it.due_per_s * (it.to_s - it.from_s);
            let sum: f64 = report.phases.iter().map(due).sum();
            assert!(rows == 0 || (sum - report.requests as f64).abs() < 1e-3, "{line}:\n{report}");
            assert!(report.to_string().contains("late p99") == (rows > 0), "{report}");
        }
    }
    let three = echo.run("grpc", &format!("--trace {}", offsets.path().display())).unwrap();
    assert_eq!((three.requests, three.answered), (3, 3), "{three}");
}
