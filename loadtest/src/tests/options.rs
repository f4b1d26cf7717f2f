//! Options become plans, or faults that name the option.

use std::time::Duration;

use clap::Parser;

use crate::client::Protocol;
use crate::options::{Command, LoadOptions, Options, duration};
use crate::plan::{Load, Plan};
use crate::window::Limit;

/// The load options and the url of `loadtest run --model m …`.
fn parse(line: &str) -> Result<(LoadOptions, Option<String>), clap::Error> {
    let words = ["loadtest", "run", "--model", "m"].into_iter().chain(line.split_whitespace());
    let command = Options::try_parse_from(words)?.command;
    let Command::Run(run) = command else { unreachable!("{command:?} is no run") };
    Ok((run.load, run.url))
}

/// A word that names models replaces `--model m`.
fn plan_of(models: &str) -> Result<Plan, String> {
    let words = ["loadtest", "run"].into_iter().chain(models.split_whitespace());
    let command = Options::try_parse_from(words).map_err(|it| it.to_string())?.command;
    let Command::Run(run) = command else { unreachable!("{command:?} is no run") };
    Plan::validate(&run.load, run.url.as_deref()).map_err(|it| it.to_string())
}

fn plan(line: &str) -> Result<Plan, String> {
    let (load, url) = parse(line).map_err(|it| it.to_string())?;
    Plan::validate(&load, url.as_deref()).map_err(|it| it.to_string())
}

#[test]
fn defaults_depend_on_protocol_and_loop() {
    // options, authority, connections
    let table = [
        ("", "127.0.0.1:8001", 1),
        ("--concurrency 64", "127.0.0.1:8001", 1),
        ("--concurrency 64 --threads 4", "127.0.0.1:8001", 4),
        ("--protocol http-binary --concurrency 16", "127.0.0.1:8000", 16),
        ("--protocol http-json --rate 100", "127.0.0.1:8000", 64),
        ("--url grpc://host:9000/ --connections 3", "host:9000", 3),
        ("--url http://host:9000 --concurrency 3", "host:9000", 3),
        ("--url [::1]:9000", "[::1]:9000", 1),
    ];
    for (line, authority, connections) in table {
        let plan = plan(line).unwrap();
        assert_eq!(plan.endpoint.authority, authority, "{line}");
        assert_eq!(plan.connections, connections, "{line}");
    }
    let usual = plan("").unwrap();
    assert_eq!(usual.endpoint.protocol, Protocol::Grpc);
    assert_eq!(usual.load, Load::Closed { concurrency: 1 });
    let (warmup, duration) = (Duration::from_secs(2), Duration::from_secs(10));
    assert_eq!(usual.limit, Limit::Time { warmup, duration });
    assert_eq!(plan("--requests 200").unwrap().limit, Limit::Requests(200));
}

#[test]
fn intervals_cover_the_counted_time() {
    let seconds = |line: &str| -> Vec<f64> {
        plan(line).unwrap().phases.iter().map(Duration::as_secs_f64).collect()
    };
    for load in ["--concurrency 4", "--rate 100"] {
        let of = |rest: &str| seconds(&format!("{load} {rest}"));
        assert_eq!(of(""), [0.0; 0]);
        assert_eq!(of("--duration 6s --interval 2s"), [2.0, 4.0, 6.0]);
        assert_eq!(of("--duration 5s --interval 2s"), [2.0, 4.0, 5.0]);
        assert_eq!(of("--duration 1s --interval 2s"), [1.0]);
    }
}

#[test]
fn faults_name_the_option_and_what_would_do() {
    let table = [
        ("--concurrency 0", "--concurrency 0, expected 1 to 65536"),
        ("--concurrency 2 --threads 4", "--concurrency 2 leaves some of 4 threads idle"),
        ("--connections 2 --concurrency 4 --threads 4", "--connections 2 leaves some"),
        ("--rate 0", "--rate 0, expected 0.001"),
        ("--rate NaN", "--rate NaN"),
        ("--timeout 200s", "--timeout 200s, expected more than 0 and at most 120s"),
        ("--duration 0s", "--duration 0"),
        ("--requests 0", "--requests 0"),
        ("--url somewhere", "address \"somewhere\", expected host:port"),
        ("--url host:99999", "expected host:port"),
        ("--url https://host:1", "unknown scheme, expected one of grpc:// http://"),
        ("--url http://host:1/path", "expected host:port"),
        (
            "--url http://host:1 --protocol grpc",
            "the scheme means http-binary, --protocol says grpc",
        ),
        ("--rate 1 --concurrency 1", "cannot be used with"),
        ("--rate 1 --ramp 1..2", "cannot be used with"),
        ("--ramp 1..2 --step 1..2/2", "cannot be used with"),
        ("--trace f --duration 1s", "cannot be used with"),
        ("--trace f --requests 1", "cannot be used with"),
        ("--ramp 1..2 --requests 1", "cannot be used with"),
        ("--ramp 1", "expected FROM..TO"),
        ("--ramp 0..2", "--ramp with 0, expected 0.001"),
        ("--step 1..2", "expected FROM..TO/STEPS"),
        ("--step 1..2/101", "expected 2 to 100 steps"),
        ("--step 1..1e9/2", "--step with 1000000000, expected 0.001"),
        ("--trace /nowhere", "--trace: cannot read /nowhere"),
        ("--rate 1 --arrival burst=1", "expected burst=2 to burst=65536"),
        ("--rate 1 --arrival often", "expected poisson, constant or burst=N"),
        ("--arrival constant", "--arrival is for an open loop"),
        ("--concurrency 1 --spin", "--spin is for an open loop"),
        ("--ceiling 2m", "--ceiling 120s, expected at most 60s"),
        ("--requests 1 --duration 1s", "cannot be used with"),
        ("--requests 1 --interval 1s", "cannot be used with"),
        ("--ramp 1..2 --interval 1s", "cannot be used with"),
        ("--interval 0s", "--interval 0ns, expected at least 0.1 s"),
        ("--duration 5s --interval 49ms", "--interval 49ms, expected at least 0.05 s"),
        ("--recorded f --rows 2", "cannot be used with"),
        ("--axis x", "expected INPUT=LENGTH"),
        ("--axis x=5..3", "5..3 is empty, expected LOW..HIGH"),
        ("--axis x=5..y", "\"y\" is not a length"),
        ("--shape x=1xy", "\"y\" is not a length"),
    ];
    for (line, expected) in table {
        let fault = plan(line).expect_err(line);
        assert!(fault.contains(expected), "{line}: {fault:?} does not contain {expected:?}");
    }
    let both = plan("--concurrency 0 --distinct 0").unwrap_err();
    assert!(both.contains("--concurrency") && both.contains("--distinct"), "{both}");
}

#[test]
fn models_have_shares() {
    // options: names and weights
    let table: [(&str, &[(&str, f64)]); 4] = [
        ("--model a", &[("a", 1.0)]),
        ("--model a --model b", &[("a", 1.0), ("b", 1.0)]),
        ("--models a=3,b=0.5", &[("a", 3.0), ("b", 0.5)]),
        ("--models a=b=3", &[("a=b", 3.0)]),
    ];
    for (line, expected) in table {
        let models = plan_of(line).unwrap().models;
        let models: Vec<_> = models.iter().map(|it| (it.name.as_str(), it.weight)).collect();
        assert_eq!(models, expected, "{line}");
    }
    let faults = [
        ("", "required"),
        ("--model a --models b=1", "cannot be used with"),
        ("--model a --model a", "model \"a\" twice"),
        ("--models a", "expected NAME=WEIGHT"),
        ("--models a=0", "--models a=0, expected 0.000001"),
        ("--models a=NaN", "expected 0.000001"),
        ("--model a --model b --model-version 2", "--model-version is of one model"),
        ("--model a --model b --recorded f", "--recorded is of one model"),
    ];
    for (line, expected) in faults {
        let fault = plan_of(line).expect_err(line);
        assert!(fault.contains(expected), "{line}: {fault:?} does not contain {expected:?}");
    }
}

#[test]
fn schemes_say_the_protocol() {
    let table = [
        ("--url grpc://h:1", Protocol::Grpc),
        ("--url http://h:1", Protocol::HttpBinary),
        ("--url http://h:1 --protocol http-json", Protocol::HttpJson),
        ("--url http+json://h:1", Protocol::HttpJson),
        ("--url tfs://h:1", Protocol::Tfs),
        ("--url tfs+columnar://h:1 --protocol tfs-columnar", Protocol::TfsColumnar),
        ("--url h:1 --protocol http-json", Protocol::HttpJson),
    ];
    for (line, protocol) in table {
        assert_eq!(plan(line).unwrap().endpoint.protocol, protocol, "{line}");
    }
}

#[test]
fn durations_have_units() {
    let table = [("500ms", 500), ("10s", 10_000), ("1.5s", 1_500), ("2m", 120_000), ("2000us", 2)];
    for (text, millis) in table {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["10", "s", "-1s", "1d", ""] {
        assert!(duration(text).is_err(), "{text:?}");
    }
}
