//! What the server is told of the caller's patience, and what it says when that is over.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::report::plan;
use super::server::{read_request, scripted, write_answer};
use crate::deadline::{grpc_text, millis};
use crate::failure::FailureKind;
use crate::options::duration;
use crate::run;

#[test]
fn grpc_has_eight_digits_and_a_unit() {
    let table = [
        ("0s", "1u"),
        ("1us", "1u"),
        ("2s", "2000000u"),
        ("99.999999s", "99999999u"),
        ("100s", "100000m"),
        ("120s", "120000m"),
    ];
    for (left, expected) in table {
        assert_eq!(grpc_text(duration(left).unwrap()), expected, "{left}");
    }
}

#[test]
fn http_has_at_least_a_millisecond() {
    let table = [(0, 1), (999, 1), (1_000, 1), (2_500_000, 2_500)];
    for (micros, expected) in table {
        assert_eq!(millis(Duration::from_micros(micros)), expected, "{micros}");
    }
}

/// An answer that says whether the server was told.
fn outputs(told: bool) -> serde_json::Value {
    let output = json!({"name": "y", "datatype": "FP32", "shape": [1], "data": [u8::from(told)]});
    json!({"model_name": "m", "outputs": [output]})
}

#[test]
fn only_who_is_asked_tells_the_server() {
    for (option, told) in [("", false), ("--send-deadline", true)] {
        let (address, server) = scripted(vec![
            |mut stream| {
                read_request(&mut stream);
                let metadata = r#"{"name":"m","inputs":[{"name":"x","datatype":"FP32","shape":[1]}],
                    "outputs":[{"name":"y","datatype":"FP32","shape":[1]}]}"#;
                write_answer(&mut stream, "", metadata);
            },
            |mut stream| {
                let request = read_request(&mut stream).unwrap();
                let told = String::from_utf8_lossy(&request).contains("x-request-timeout-ms: ");
                write_answer(&mut stream, "", &outputs(told).to_string());
                while read_request(&mut stream).is_some() {}
            },
        ]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let case = json!({"cases": [{
            "request": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]},
            "response": outputs(told),
        }]});
        file.write_all(case.to_string().as_bytes()).unwrap();
        let recorded = file.path().display();
        let line = format!(
            "--url {address} --protocol http-json --requests 1 --recorded {recorded} {option}"
        );
        let report = run::run(&plan(&line)).unwrap();
        assert!(report.clean(), "{option}: {report}");
        server.join().unwrap();
    }
}

#[test]
fn refusals_and_expiries_are_told_apart() {
    // kind, refused, expired
    let table = [
        (FailureKind::Grpc(8), true, false),
        (FailureKind::Grpc(14), true, false),
        (FailureKind::Http(429), true, false),
        (FailureKind::Http(503), true, false),
        (FailureKind::Grpc(4), false, true),
        (FailureKind::Http(504), false, true),
        (FailureKind::Grpc(1), false, false),
        (FailureKind::Http(500), false, false),
        (FailureKind::Timeout, false, false),
        (FailureKind::Connection, false, false),
    ];
    for (kind, refused, expired) in table {
        assert_eq!((kind.is_refusal(), kind.is_expiry()), (refused, expired), "{kind}");
    }
}
