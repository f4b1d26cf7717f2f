//! Servers that close, vanish or keep silent: every request ends, and as what it was.

use std::net::{SocketAddr, TcpListener, TcpStream};

use tokio::runtime::{Builder, LocalOptions};

use super::report::plan;
use super::server::{Echo, Nobody, read_request, scripted, write_answer};
use super::shown;
use crate::client::Client;
use crate::failure::FailureKind;
use crate::payload::Payload;
use crate::report::Report;
use crate::run;

const METADATA: &str = r#"{"name": "m", "versions": ["1"],
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}]}"#;

const ANSWER: &str =
    r#"{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [0.5]}]}"#;

/// The first connection of a run asks for the metadata.
fn metadata(mut stream: TcpStream) {
    let request = read_request(&mut stream).unwrap();
    assert!(request.starts_with(b"GET /v2/models/m HTTP/1.1\r\n"));
    write_answer(&mut stream, "", METADATA);
}

fn answer_once_and_close(mut stream: TcpStream) {
    let request = read_request(&mut stream).unwrap();
    assert!(request.starts_with(b"POST /v2/models/m/infer HTTP/1.1\r\n"));
    write_answer(&mut stream, "connection: close\r\n", ANSWER);
}

fn keep_silent(mut stream: TcpStream) {
    while read_request(&mut stream).is_some() {}
}

fn run_http(address: SocketAddr, line: &str) -> anyhow::Result<Report> {
    run::run(&plan(&format!("--url {address} --protocol http-json {line}")))
}

#[test]
fn a_server_that_closes_each_connection_costs_no_request() {
    let mut script: Vec<fn(TcpStream)> = vec![metadata];
    script.extend([answer_once_and_close as fn(TcpStream); 5]);
    let (address, server) = scripted(script);
    let report = run_http(address, "--requests 5 --check-every 1").unwrap();
    assert!(report.clean(), "{report}");
    assert_eq!((report.answered, report.checked), (5, 5), "{report}");
    server.join().unwrap();
}

#[test]
fn a_server_that_vanishes_is_a_connection_failure() {
    let (address, server) = scripted(vec![metadata, answer_once_and_close]);
    let report = run_http(address, "--requests 4").unwrap();
    server.join().unwrap();
    assert_eq!((report.answered, report.failed), (1, 3), "{report}");
    assert_eq!(report.failures.len(), 1, "{report}");
    assert_eq!(report.failures[0].kind, "connection", "{report}");
    assert!(report.failures[0].first.contains("cannot connect to 127.0.0.1:"), "{report}");
}

#[test]
fn silence_is_a_timeout() {
    // A timed-out request leaves its connection unusable, so the second one opens another.
    let (address, server) = scripted(vec![metadata, keep_silent, keep_silent]);
    let report = run_http(address, "--requests 2 --timeout 250ms").unwrap();
    server.join().unwrap();
    assert_eq!((report.answered, report.failed), (0, 2), "{report}");
    assert_eq!(report.failures[0].kind, "timeout", "{report}");
    assert_eq!(report.failures[0].first, "no answer within 250ms");
}

#[test]
fn silence_before_the_start_is_an_error() {
    // Connections wait in the backlog and are never accepted.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for protocol in ["grpc", "http-json"] {
        let line = format!("--url {address} --protocol {protocol} --timeout 20ms");
        let message = shown(run::run(&plan(&line)));
        assert!(message.contains("did not answer within 20ms"), "{message}");
    }
}

/// `None` where another process was quicker to take the ports that were given up.
fn comes_back(protocol: &str) -> Option<()> {
    let (inputs, outputs) = (["x:FP32:-1x2"], ["y:FP32:-1"]);
    let echo = Echo::start(&inputs, &outputs);
    let addresses = (echo.grpc, echo.http);
    let address = if protocol == "grpc" { echo.grpc } else { echo.http };
    let plan = plan(&format!("--url {address} --protocol {protocol}"));
    let target = plan.target(&plan.models[0]);
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let signature = target.signature().await.unwrap();
        let payload = Payload {
            rows: 1,
            axes: Vec::new(),
            shapes: Vec::new(),
            integers_below: 2,
            seed: 1,
            distinct: 1,
        };
        let cases = payload.generate(&signature).unwrap();
        let request = target.prepare(&cases[0]).unwrap();
        let client = Client::connect(&plan.endpoint, 1).await.unwrap();
        client.call(&request, None).await.unwrap();
        drop(echo);
        let (grpc, http) = (Nobody::at(addresses.0.port())?, Nobody::at(addresses.1.port())?);
        for attempt in 0..3 {
            let failure = client.call(&request, None).await.expect_err("nobody listens");
            assert_eq!(failure.kind, FailureKind::Connection, "{attempt}: {failure}");
        }
        let _back = Echo::start_at(addresses, &inputs, &outputs);
        drop((grpc, http));
        client.call(&request, None).await.unwrap();
        Some(())
    })
}

#[test]
fn a_connection_is_opened_again_when_the_server_returns() {
    for protocol in ["grpc", "http-binary"] {
        assert!(
            (0..5).any(|_| comes_back(protocol).is_some()),
            "{protocol}: no port is left to us"
        );
    }
}
