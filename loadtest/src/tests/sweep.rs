//! Levels of load become a table and a line for each target.

use clap::Parser;
use plot::check::texts;

use super::compare::figures;
use super::report::plan;
use super::server::Echo;
use crate::contestant::Contestant;
use crate::figures::Figures;
use crate::options::{Command, Options, SweepOptions};
use crate::sweep::{Sweep, sweep};

fn options(line: &str) -> SweepOptions {
    let line = format!("loadtest sweep --model m --ceiling 0s {line}");
    let command = Options::try_parse_from(line.split_whitespace()).unwrap().command;
    let Command::Sweep(options) = command else { unreachable!("{command:?} is no sweep") };
    options
}

fn example() -> Sweep {
    let contestant =
        |name: &str| Contestant { name: name.to_owned(), plan: plan(""), ceiling: None };
    let mut sweep = Sweep::of(&[contestant("old"), contestant("new")], "in flight");
    (sweep.model, sweep.request) = ("m".to_owned(), "request".to_owned());
    let run = |per_s: f64, p99_us| figures(per_s, p99_us / 2, p99_us);
    sweep.add(1.0, &[vec![run(100.0, 1000), run(120.0, 3000)], vec![run(300.0, 500); 2]]);
    let failed = Figures { failed: 2, limited_by_client: true, ..run(150.0, 9000) };
    sweep.add(8.0, &[vec![failed; 2], vec![run(900.0, 1000); 2]]);
    sweep
}

#[test]
fn a_sweep_reads_like_this() {
    let sweep = example();
    let expected = "\
old = grpc at 127.0.0.1:8001, 1 connection
new = grpc at 127.0.0.1:8001, 1 connection
m; request

in flight   target    answers/s       p50 ms       p99 ms
1           old           110.0        1.000        2.000
1           new           300.0        0.250        0.500
8           old           150.0        4.500        9.000  4 failed, 0 not sent, 0 wrong, limited by the client
8           new           900.0        0.500        1.000

";
    assert_eq!(sweep.to_string(), expected);
    let json = serde_json::to_value(&sweep).unwrap();
    assert_eq!(json["points"][0]["sides"][0]["requests_per_s"]["max"], 120.0);
    assert_eq!(json["points"][1]["level"], 8.0);
}

#[test]
fn the_picture_has_a_line_for_each_target() {
    let svg = example().picture();
    let texts = texts(&svg);
    for text in ["m: p99 over throughput", "old", "new", "8", "answers per second"] {
        assert!(texts.iter().any(|it| it == text), "{text:?} is not in {texts:#?}");
    }
    assert_eq!(svg.matches("<polyline").count(), 2);
    assert_eq!(svg.matches("hollow\" cx").count(), 1);
    let nothing = Sweep::of(&[], "in flight").picture();
    assert!(nothing.contains("No request was answered."));
}

#[test]
fn points_that_make_no_line_are_refused() {
    let many: Vec<String> = (1..=65).map(|it| it.to_string()).collect();
    let table = [
        ("--concurrency 4,1,4", "the point 4 twice"),
        ("--concurrency 0,1", "--concurrency 0, expected 1 to"),
        ("--rates 0,1", "--rate 0, expected 0.001"),
        (&format!("--concurrency {}", many.join(",")), "65 points, at most 64"),
    ];
    for (line, expected) in table {
        let fault = format!("{:#}", sweep(&options(line)).expect_err(line));
        assert!(fault.contains(expected), "{line}: {fault:?} does not contain {expected:?}");
    }
    let words = ["loadtest", "sweep", "--model", "m"];
    for extra in [&[][..], &["--concurrency=1", "--rates=1"]] {
        assert!(Options::try_parse_from(words.iter().chain(extra)).is_err(), "{extra:?}");
    }
}

#[test]
fn both_loops_can_be_swept() {
    let echo = Echo::start(&["x:FP32:-1x4"], &["y:FP32:-1x3"]);
    let (grpc, http) = (echo.grpc, echo.http);
    for points in ["--concurrency 4,1", "--rates 2000,1000"] {
        let line = format!(
            "{points} --duration 50ms --warmup 0s --rounds 2 --target g=grpc://{grpc} \
             --target t=tfs://{http}"
        );
        let sweep = sweep(&options(&line)).unwrap();
        assert!(sweep.clean, "{sweep}");
        assert_eq!((sweep.points.len(), sweep.targets.len()), (2, 2));
        assert!(sweep.points[0].level < sweep.points[1].level, "{sweep}");
    }
}
