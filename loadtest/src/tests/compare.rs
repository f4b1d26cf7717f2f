//! Rounds become ratios to the first target, and ratios a median with its spread.

use clap::Parser;

use super::server::Echo;
use crate::compare::{Comparison, compare};
use crate::contestant::Contestant;
use crate::figures::Figures;
use crate::options::{Command, CompareOptions, Options};
use crate::spread::Spread;

fn options(line: &str) -> CompareOptions {
    let line = format!("loadtest compare --model m --ceiling 0s {line}");
    let command = Options::try_parse_from(line.split_whitespace()).unwrap().command;
    let Command::Compare(options) = command else { unreachable!("{command:?} is no comparison") };
    options
}

fn comparison(line: &str) -> Comparison {
    let options = options(line);
    Comparison::of(&Contestant::all(&options.targets, &options.load).unwrap())
}

pub(super) fn figures(requests_per_s: f64, p50_us: u64, p99_us: u64) -> Figures {
    let (failed, not_sent, wrong) = (0, 0, 0);
    let limited_by_client = false;
    Figures { requests_per_s, p50_us, p99_us, failed, not_sent, wrong, limited_by_client }
}

#[test]
fn a_spread_is_the_middle_and_the_ends() {
    let table: [(&[f64], f64, f64, f64); 4] = [
        (&[1.0], 1.0, 1.0, 1.0),
        (&[3.0, 1.0, 2.0], 2.0, 1.0, 3.0),
        (&[4.0, 1.0, 3.0, 2.0], 2.5, 1.0, 4.0),
        (&[4.0, f64::NAN, 2.0, f64::INFINITY], 3.0, 2.0, 4.0),
    ];
    for (values, median, min, max) in table {
        let spread = Spread::of(values.iter().copied());
        assert_eq!(spread, Spread { median, min, max }, "{values:?}");
    }
    assert!(Spread::of(std::iter::empty()).median.is_nan());
}

#[test]
fn a_comparison_reads_like_this() {
    let mut comparison =
        comparison("--target old=h:1 --target new=http://h:2 --target other=http+json://h:3");
    comparison.load = "load".to_owned();
    comparison.request = "request".to_owned();
    comparison.add(&[figures(1e4, 1000, 4000), figures(2e4, 500, 1000), figures(0.0, 0, 0)]);
    comparison.warnings.extend(["new: hot", "new: hot"].map(str::to_owned));
    let failed = Figures { failed: 3, wrong: 1, ..figures(5e3, 2000, 8000) };
    comparison.add(&[figures(1e4, 2000, 4000), figures(3e4, 500, 2000), failed]);
    let expected = "\
old = grpc at h:1, 1 connection
new = http-binary at h:2, 1 connection
other = http-json at h:3, 1 connection
load; request

round  target    answers/s       p50 ms       p99 ms   rate ratio    p50 ratio    p99 ratio
1      old         10000.0        1.000        4.000
1      new         20000.0        0.500        1.000        2.000        0.500        0.250
1      other           0.0        0.000        0.000        0.000            -            -
2      old         10000.0        2.000        4.000
2      new         30000.0        0.500        2.000        3.000        0.250        0.500
2      other        5000.0        2.000        8.000        0.500        1.000        2.000

median old         10000.0        1.500        4.000
median new         25000.0        0.500        1.500        2.500        0.375        0.375
median other        2500.0        1.000        4.000        0.250        1.000        2.000

min    old         10000.0        1.000        4.000
min    new         20000.0        0.500        1.000        2.000        0.250        0.250
min    other           0.0        0.000        0.000        0.000        1.000        2.000

max    old         10000.0        2.000        4.000
max    new         30000.0        0.500        2.000        3.000        0.500        0.500
max    other        5000.0        2.000        8.000        0.500        1.000        2.000

other: 3 failed, 0 not sent, 1 wrong
warning: new: hot
";
    assert_eq!(comparison.to_string(), expected);
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["targets"][1]["protocol"], "http-binary");
    assert_eq!(json["rounds"][0]["sides"][1]["ratio"]["throughput"], 2.0);
    assert!(json["rounds"][0]["sides"][0]["ratio"].is_null());
    assert_eq!(json["summaries"][1]["ratio"]["p99"]["median"], 0.375);
}

#[test]
fn targets_that_cannot_be_told_apart_are_refused() {
    let two = "--target a=h:1 --target b=h:2";
    let table = [
        ("--target a=h:1", "one --target, expected two or more"),
        ("--target a=h:1 --target a=h:2", "--target \"a\" twice"),
        ("--target a=h:1 --target b=tcp://h:2", "\"tcp://h:2\": unknown scheme"),
        (&format!("{two} --concurrency 0"), "--concurrency 0, expected 1 to 65536"),
        (&format!("{two} --protocol http-json --target c=grpc://h:1"), "the scheme means grpc"),
    ];
    for (line, expected) in table {
        let fault = format!("{:#}", compare(&options(line)).expect_err(line));
        assert!(fault.starts_with(expected) || fault.contains(expected), "{line}: {fault:?}");
        assert_eq!(fault.matches("--concurrency").count() / 2, 0, "said once: {fault:?}");
    }
}

#[test]
fn every_protocol_takes_its_turn() {
    let echo = Echo::start(&["x:FP32:-1x4"], &["y:FP32:-1x3"]);
    let (grpc, http) = (echo.grpc, echo.http);
    let line = format!(
        "--target g=grpc://{grpc} --target b=http://{http} --target j=http+json://{http} \
         --target t=tfs://{http} --rounds 2 --requests 20"
    );
    let comparison = compare(&options(&line)).unwrap();
    assert!(comparison.clean && comparison.rounds.len() == 2, "{comparison}");
    let protocols = ["grpc", "http-binary", "http-json", "tfs"];
    for ((identity, summary), protocol) in
        comparison.targets.iter().zip(&comparison.summaries).zip(protocols)
    {
        assert_eq!(identity.protocol, protocol, "{comparison}");
        assert!(summary.repeated.requests_per_s.min > 0.0, "{comparison}");
    }
}
