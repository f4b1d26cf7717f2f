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
    match Options::try_parse_from(words)?.command {
        Command::Run(run) => Ok((run.load, run.url)),
        Command::Echo(_) | Command::Compare(_) => unreachable!("the command is run"),
    }
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
        ("--url http://host:9000/ --connections 3", "host:9000", 3),
        ("--url [::1]:9000", "[::1]:9000", 1),
    ];
    for (line, authority, connections) in table {
        let plan = plan(line).unwrap();
        assert_eq!(plan.target.authority, authority, "{line}");
        assert_eq!(plan.connections, connections, "{line}");
    }
    let usual = plan("").unwrap();
    assert_eq!(usual.target.protocol, Protocol::Grpc);
    assert_eq!(usual.load, Load::Closed { concurrency: 1 });
    let (warmup, duration) = (Duration::from_secs(2), Duration::from_secs(10));
    assert_eq!(usual.limit, Limit::Time { warmup, duration });
    assert_eq!(plan("--requests 200").unwrap().limit, Limit::Requests(200));
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
        ("--url somewhere", "url \"somewhere\", expected host:port"),
        ("--url host:99999", "expected host:port"),
        ("--url https://host:1", "expected host:port"),
        ("--rate 1 --concurrency 1", "cannot be used with"),
        ("--requests 1 --duration 1s", "cannot be used with"),
        ("--recorded f --rows 2", "cannot be used with"),
        ("--axis x", "expected INPUT=LENGTH"),
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
fn durations_have_units() {
    let table = [("500ms", 500), ("10s", 10_000), ("1.5s", 1_500), ("2m", 120_000)];
    for (text, millis) in table {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["10", "s", "-1s", "1d", ""] {
        assert!(duration(text).is_err(), "{text:?}");
    }
}
