//! Probes become verdicts, and verdicts a rate with its table and picture.

use clap::Parser;
use plot::check::texts;

use super::compare::figures;
use super::report::plan;
use super::server::Echo;
use crate::contestant::Contestant;
use crate::figures::Figures;
use crate::options::{Command, Options, SearchOptions};
use crate::search::{End, Found, Probe, Search, Verdict, search};

fn options(line: &str) -> SearchOptions {
    let line = format!("loadtest search --model m --ceiling 0s {line}");
    let command = Options::try_parse_from(line.split_whitespace()).unwrap().command;
    let Command::Search(options) = command else { unreachable!("{command:?} is no search") };
    options
}

#[test]
fn a_probe_is_judged_by_everything_that_matters() {
    let good = figures(1000.0, 500, 1000);
    let table = [
        (good, Verdict::Good),
        (Figures { p99_us: 1001, ..good }, Verdict::Slow),
        (Figures { not_sent: 1, ..good }, Verdict::NotSent),
        (Figures { wrong: 1, not_sent: 1, ..good }, Verdict::Wrong),
        (Figures { failed: 1, wrong: 1, ..good }, Verdict::Failed),
        (figures(0.0, 0, 0), Verdict::Failed),
    ];
    for (figures, verdict) in table {
        assert_eq!(Probe::new(1000.0, figures, 1000).verdict, verdict, "{figures:?}");
    }
}

fn found(name: &str, end: End, probes: &[(f64, u64)]) -> Found {
    let probe = |&(rate, p99_us): &(f64, u64)| {
        let limited_by_client = rate > 2900.0;
        Probe::new(rate, Figures { limited_by_client, ..figures(rate, 200, p99_us) }, 1000)
    };
    let contestant = Contestant { name: name.to_owned(), plan: plan(""), ceiling: None };
    Found::new(contestant.identity(), end, probes.iter().map(probe).collect())
}

fn example() -> Search {
    let here = [(1000.0, 400), (4000.0, 90_000), (2000.0, 800), (2828.0, 1500)];
    Search {
        model: "m".to_owned(),
        request: "request".to_owned(),
        p99_us_max: 1000,
        targets: vec![
            found("here", End::Found, &here),
            found("there", End::GivenUp, &[(1000.0, 400), (4000.0, 90_000)]),
            found("none", End::Below, &[(1000.0, 5000)]),
        ],
    }
}

#[test]
fn a_search_reads_like_this() {
    let search = example();
    let expected = "\
here = grpc at 127.0.0.1:8001, 1 connection
there = grpc at 127.0.0.1:8001, 1 connection
none = grpc at 127.0.0.1:8001, 1 connection
m, p99 at most 1.000 ms; request

here             rate /s   answers/s      p50 ms      p99 ms      failed    not sent
1                   1000      1000.0       0.200       0.400           0           0  good
2                   4000      4000.0       0.200      90.000           0           0  slow, limited by the client
3                   2000      2000.0       0.200       0.800           0           0  good
4                   2828      2828.0       0.200       1.500           0           0  slow

there            rate /s   answers/s      p50 ms      p99 ms      failed    not sent
1                   1000      1000.0       0.200       0.400           0           0  good
2                   4000      4000.0       0.200      90.000           0           0  slow, limited by the client

none             rate /s   answers/s      p50 ms      p99 ms      failed    not sent
1                   1000      1000.0       0.200       5.000           0           0  slow

here: 2000 /s
there: 1000 /s, given up at --probes-max, limited by the client
none: no rate: the lowest was too much
";
    assert_eq!(search.to_string(), expected);
    assert!(!search.found());
    let json = serde_json::to_value(&search).unwrap();
    assert_eq!(json["targets"][0]["rate_per_s"], 2000.0);
    assert_eq!(json["targets"][0]["probes"][1]["verdict"], "slow");
    assert_eq!(json["targets"][1]["end"], "given_up");
    assert_eq!(json["targets"][1]["limited_by_client"], true);
}

#[test]
fn the_picture_has_a_line_for_each_target_and_the_limit() {
    let svg = example().picture();
    let texts = texts(&svg);
    for text in ["m: throughput with p99 up to 1 ms", "limit 1 ms", "here", "there", "p99, ms"] {
        assert!(texts.iter().any(|it| it == text), "{text:?} is not in {texts:#?}");
    }
    assert_eq!(svg.matches("<polyline").count(), 3);
    assert_eq!(svg.matches("full\" cx").count(), 3);
    assert_eq!(svg.matches("hollow\" cx").count(), 4);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "a coordinate is not a number");
}

#[test]
fn contradictions_are_refused() {
    let table = [
        ("--p99 1ms --from 10 --to 5", "--from 10 is not below --to 5"),
        ("--p99 0ms", "--p99 0"),
        ("--p99 1ms --to 0", "--to 0, expected 0.001"),
        ("--p99 1ms --precision 0.1", "--precision 0.1, expected 0.5 to 100 %"),
        ("--p99 1ms --connections 0", "--connections 0, expected"),
    ];
    for (line, expected) in table {
        let fault = format!("{:#}", search(&options(line)).expect_err(line));
        assert!(fault.contains(expected), "{line}: {fault:?} does not contain {expected:?}");
    }
    let words = ["loadtest", "search", "--model", "m", "--p99", "1ms"];
    for extra in ["--rate=1", "--concurrency=1", "--requests=1"] {
        assert!(Options::try_parse_from(words.iter().chain([&extra])).is_err(), "{extra}");
    }
}

#[test]
fn a_real_search_ends() {
    let echo = Echo::start(&["x:FP32:-1x4"], &["y:FP32:-1x3"]);
    let (grpc, http) = (echo.grpc, echo.http);
    let quick = "--duration 50ms --warmup 0s --from 5000 --to 5001 --tries 1";
    let line = format!("--p99 10s {quick} --target g=grpc://{grpc} --target h=http://{http}");
    let search = search(&options(&line)).unwrap();
    assert!(search.found(), "{search}");
    for found in &search.targets {
        assert_eq!((found.end, found.probes.len()), (End::Above, 2), "{search}");
    }
}
