//! The report in words, as JSON, and what it warns of.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use super::{floats, signature};
use crate::case::Case;
use crate::ceiling::Ceiling;
use crate::check::{Expectations, Findings, Tolerance};
use crate::core_time::CoreTime;
use crate::failure::{Failure, FailureKind};
use crate::options::{Command, Options};
use crate::plan::{ModelShare, Plan};
use crate::report::Report;
use crate::station::Outcome;
use crate::supply::Supply;
use crate::tally::Tally;

/// The plan of `loadtest run …`, for model `m` unless the line names another.
pub(super) fn plan(line: &str) -> Plan {
    let model =
        if line.contains("--model ") || line.contains("--models ") { "" } else { "--model m" };
    let line = format!("loadtest run {model} {line}");
    let command = Options::try_parse_from(line.split_whitespace()).unwrap().command;
    let Command::Run(run) = command else { unreachable!("{command:?} is no run") };
    Plan::validate(&run.load, run.url.as_deref()).unwrap()
}

/// Answers that took 1, 2, … `answers` ms, in ten counted seconds.
fn outcome(answers: u64) -> Outcome {
    let mut tally = Tally::new();
    for millis in 1..=answers {
        tally.record_latency(Duration::from_millis(millis));
    }
    tally.requests = answers;
    tally.answers_in_time = answers;
    tally.rows_in_time = answers * 2;
    tally.good_in_time = answers;
    let core = CoreTime { used: Duration::from_secs(5), waited: Duration::from_millis(500) };
    let models = vec![(tally, Findings::default())];
    Outcome { models, phases: Vec::new(), core, counted: Duration::from_secs(10) }
}

fn supplies(plan: &Plan) -> Vec<Supply> {
    let input = floats(&[2, 4], &[0.5; 8]);
    let cases = vec![Case { inputs: vec![input], rows: 2, ..Case::default() }; 3];
    let signature = signature(&["x:FP32:-1x4"], &["y:FP32:-1x2"]);
    let supply = |share: &ModelShare| Supply {
        target: plan.target(share),
        weight: share.weight,
        signature: signature.clone(),
        requests: Vec::new(),
        expectations: Arc::new(Expectations::new(signature.clone(), Tolerance::SAME, &cases)),
        cases: cases.clone(),
    };
    plan.models.iter().map(supply).collect()
}

pub(super) fn report(line: &str, answers: u64) -> Report {
    report_of(line, vec![outcome(answers)])
}

fn report_of(line: &str, outcomes: Vec<Outcome>) -> Report {
    let plan = plan(line);
    Report::new(&plan, &supplies(&plan), outcomes)
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
    let (tally, findings) = &mut outcome.models[0];
    tally.requests += 4;
    tally.requests += 1;
    let mut fail = |kind, message: &str, millis| {
        tally.record_failure(failure(kind, message), Duration::from_millis(millis));
    };
    fail(FailureKind::Grpc(14), "queue of m is full", 1);
    fail(FailureKind::Grpc(14), "another", 2);
    fail(FailureKind::Http(503), "no", 3);
    fail(FailureKind::Http(504), "too late", 10_000);
    fail(FailureKind::Timeout, "no answer within 10s", 10_000);
    tally.good_in_time -= 1;
    tally.failed_in_warmup = 5;
    tally.not_sent = 7;
    tally.record_lateness(Duration::from_micros(1500));
    let first_wrong = Some("case 0: output \"y\" element 1 is 3, expected 2".to_owned());
    *findings = Findings { checked: 2, wrong: 1, first_wrong };
    outcome.core.used = Duration::from_millis(9_900);
    let report = report_of("--rate 20.5 --arrival constant --threads 2", vec![outcome]);
    assert!(!report.clean());
    let expected = "\
m, grpc at 127.0.0.1:8001
open loop, 20.5 /s constant on 2 connections, 2 threads; 3 distinct requests of 2 rows, 32 input bytes
10.0 s counted after 2.0 s of warm-up

requests            15   answers          1.0 /s
answered            10   rows             2.0 /s
                         goodput          0.9 /s within 10 s
failed               5
  UNAVAILABLE         2   queue of m is full
  HTTP 503           1   no
  HTTP 504           1   too late
  timeout            1   no answer within 10s
  warm-up            5   not counted
refused              3   p50 2.000  p99 3.001  max 3.001 ms
expired              1   p50 10002.431  p99 10002.431  max 10002.431 ms
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
fn a_result_close_to_the_ceiling_is_the_clients() {
    // answers/s of 100: ceiling, limited
    for (requests_per_s, limited) in [(1000.0, false), (112.0, false), (110.0, true)] {
        let mut report = report("--concurrency 64", 1000);
        let (us_per_request, echo_per_s) = (1e6 / requests_per_s, requests_per_s);
        report.hold_against(Some(Ceiling { requests_per_s, us_per_request, echo_per_s }));
        assert_eq!(report.limited_by_client, limited, "{report}");
        assert_eq!(report.warnings.len(), usize::from(limited), "{report}");
        assert!(report.to_string().contains(&format!("ceiling     {requests_per_s:.0} /s of")));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["limited_by_client"], limited);
        assert_eq!(json["ceiling"]["requests_per_s"], requests_per_s);
    }
}

#[test]
fn a_ceiling_is_what_a_whole_core_each_would_give() {
    // echo answers/s, cores used for them, cores: ceiling
    let table =
        [(50e3, 0.5, 1, 100e3), (50e3, 0.5, 2, 200e3), (80e3, 1.0, 1, 80e3), (80e3, 2.0, 1, 80e3)];
    for (echo_per_s, used, cores, expected) in table {
        let ceiling = Ceiling::of(echo_per_s, used, cores);
        assert!((ceiling.requests_per_s - expected).abs() < 1e-6, "{ceiling:?}");
    }
}

#[test]
fn a_thread_without_a_core_is_pointed_out() {
    let mut outcome = outcome(10);
    outcome.core =
        CoreTime { used: Duration::from_millis(5500), waited: Duration::from_millis(4000) };
    let report = report_of("--concurrency 2", vec![outcome]);
    assert!(report.limited_by_client);
    assert!(report.warnings[0].contains("waited for a core 40 % of the time"), "{report}");
    assert!(report.to_string().contains("busiest thread 55 %, 40 % of the time without a core"));
}

#[test]
fn threads_add_up() {
    let report = report_of("--concurrency 2", vec![outcome(10), outcome(20)]);
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
    assert_eq!(json["goodput_per_s"], 100.0);
    assert_eq!(json["refused"], serde_json::json!({"count": 0, "latency_us": null}));
    assert!(json["ceiling"].is_null());
    assert!(json.get("histogram").is_none());
}
