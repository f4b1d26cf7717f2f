//! The report in words, as JSON, and what it warns of.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use super::{floats, signature};
use crate::case::Case;
use crate::check::{Checker, Expectations, Tolerance};
use crate::failure::{Failure, FailureKind};
use crate::options::{Command, Options};
use crate::plan::Plan;
use crate::report::Report;
use crate::station::Outcome;
use crate::tally::Tally;

/// The plan of `loadtest run …`, for model `m` unless the line names another.
pub(super) fn plan(line: &str) -> Plan {
    let model = if line.contains("--model") { "" } else { "--model m" };
    let line = format!("loadtest run {model} {line}");
    match Options::try_parse_from(line.split_whitespace()).unwrap().command {
        Command::Run(run) => Plan::validate(&run.load, run.url.as_deref()).unwrap(),
        Command::Echo(_) | Command::Compare(_) => unreachable!("the command is run"),
    }
}

/// Answers that took 1, 2, … `answers` ms, in ten counted seconds.
fn outcome(answers: u64) -> Outcome {
    let case = Case { rows: 1, ..Case::default() };
    let signature = signature(&["x:FP32:-1x4"], &["y:FP32:-1x2"]);
    let expectations = Expectations::new(signature, Tolerance::SAME, &[case]);
    let mut tally = Tally::new();
    for millis in 1..=answers {
        tally.record_latency(Duration::from_millis(millis));
    }
    tally.requests = answers;
    tally.answers_in_time = answers;
    tally.rows_in_time = answers * 2;
    Outcome {
        tally,
        checker: Checker::new(Arc::new(expectations), 1),
        cpu: Duration::from_secs(5),
        counted: Duration::from_secs(10),
    }
}

fn cases() -> Vec<Case> {
    let input = floats(&[2, 4], &[0.5; 8]);
    vec![Case { inputs: vec![input], rows: 2, ..Case::default() }; 3]
}

pub(super) fn report(line: &str, answers: u64) -> Report {
    Report::new(&plan(line), &cases(), vec![outcome(answers)])
}

#[test]
fn a_clean_run_reads_like_this() {
    let report = report("--concurrency 64", 1000);
    assert!(report.clean());
    let expected = "\
m, grpc at 127.0.0.1:8001
closed loop, 64 in flight on 1 connection, 1 thread; 3 distinct requests of 2 rows, 32 input bytes
10.0 s counted after 2.0 s of warm-up

requests          1000   answers        100.0 /s
answered          1000   rows           200.0 /s
failed               0
wrong                0   of 0 checked

latency ms        min       mean        p50        p90        p95        p99      p99.9        max
                1.000    500.505    500.223    900.095    950.271    990.207    999.423   1000.447

client      0.50 cores, busiest thread 50 %
";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn a_bad_run_reads_like_this() {
    let mut outcome = outcome(10);
    let failure = |kind, message: &str| Failure { kind, message: message.to_owned() };
    let tally = &mut outcome.tally;
    tally.requests += 4;
    tally.record_failure(failure(FailureKind::Grpc(14), "queue of m is full"));
    tally.record_failure(failure(FailureKind::Grpc(14), "another"));
    tally.record_failure(failure(FailureKind::Http(503), "no"));
    tally.record_failure(failure(FailureKind::Timeout, "no answer within 10s"));
    tally.failed_in_warmup = 5;
    tally.not_sent = 7;
    tally.record_lateness(Duration::from_micros(1500));
    outcome.cpu = Duration::from_millis(9_900);
    outcome.checker.look(0, Ok(vec![floats(&[1, 2], &[1.0, 2.0])]));
    outcome.checker.look(0, Ok(vec![floats(&[1, 2], &[1.0, 3.0])]));
    let plan = plan("--rate 20.5 --arrival constant --threads 2");
    let report = Report::new(&plan, &cases(), vec![outcome]);
    assert!(!report.clean());
    let expected = "\
m, grpc at 127.0.0.1:8001
open loop, 20.5 /s constant on 2 connections, 2 threads; 3 distinct requests of 2 rows, 32 input bytes
10.0 s counted after 2.0 s of warm-up

requests            14   answers          1.0 /s
answered            10   rows             2.0 /s
failed               4
  UNAVAILABLE         2   queue of m is full
  HTTP 503           1   no
  timeout            1   no answer within 10s
  warm-up            5   not counted
not sent             7
wrong                1   of 2 checked
  first: case 0: output \"y\" element 1 is 3, expected 2

latency ms        min       mean        p50        p90        p95        p99      p99.9        max
                1.000      5.502      5.003      9.007     10.007     10.007     10.007     10.007

sent late   p50 1.500  p99 1.500  max 1.500 ms
client      0.99 cores, busiest thread 99 %
warning: requests left late, p99 1.500 ms: the result is limited by the client
warning: a load thread used 99 % of its core: the result is limited by the client
warning: 7 arrivals were not sent: too many requests were waiting for answers
";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn nothing_answered_is_not_clean() {
    let report = report("--concurrency 1", 0);
    assert!(!report.clean());
    assert!(report.latency_us.is_none());
    assert!(!report.to_string().contains("latency ms"));
}

#[test]
fn waiting_for_connections_is_pointed_out() {
    let report = report("--protocol http-json --concurrency 8 --connections 4", 1);
    assert!(report.warnings[0].contains("8 requests share 4 connections"), "{report}");
}

#[test]
fn threads_add_up() {
    let report = Report::new(&plan("--concurrency 2"), &cases(), vec![outcome(10), outcome(20)]);
    assert_eq!((report.requests, report.answered), (30, 30));
    assert_eq!(report.requests_per_s, 3.0);
    assert_eq!((report.client_cores, report.client_busiest_thread), (1.0, 0.5));
}

#[test]
fn json_has_the_same_numbers() {
    let report = report("--concurrency 64", 1000);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["requests_per_s"], 100.0);
    assert_eq!(json["latency_us"]["p99"], 990_207);
    assert_eq!(json["protocol"], "grpc");
    assert_eq!(json["settings"]["concurrency"], 64);
    assert!(json["settings"]["rate_per_s"].is_null());
    assert_eq!(json["failures"], serde_json::json!([]));
    assert!(json.get("histogram").is_none());
}
