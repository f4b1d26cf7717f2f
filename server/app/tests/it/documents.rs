//! Documents that must match the code. `SALVER_BLESS=1 cargo test -p server-app` rewrites them.

use std::fmt::Write as _;
use std::fs;

use clap::CommandFactory as _;

const METRICS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../METRICS.md");

#[test]
fn the_list_of_series_is_the_one_in_the_documents() {
    let mut table = "# Metrics\n\n\
        Every series that `/metrics` shows, on the metrics port (8002). Labels `model` and `version` are those\n\
        that clients use; requests for models that are not there share `model=\"_unknown\"`.\n\n\
        | name | type | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for it in server_app::telemetry::series() {
        let kind = format!("{:?}", it.kind).to_lowercase();
        let _ =
            writeln!(table, "| `{}` | {kind} | {} | {} |", it.name, it.labels.join(", "), it.help);
    }
    #[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the tests")]
    if std::env::var_os("SALVER_BLESS").is_some() {
        fs::write(METRICS, &table).expect("write");
    }
    let document = fs::read_to_string(METRICS).unwrap_or_default();
    assert_eq!(
        document, table,
        "server/METRICS.md is stale: SALVER_BLESS=1 cargo test -p server-app"
    );
}

#[test]
fn every_setting_is_in_the_documents() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../CONFIGURATION.md");
    let document = fs::read_to_string(path).expect("server/CONFIGURATION.md");
    let command = server_app::cli::Cli::command();
    let settings =
        ["serve", "monitor"].map(|it| command.find_subcommand(it).expect("a subcommand"));
    let arguments = settings.iter().flat_map(|it| it.get_arguments());
    for argument in arguments.filter(|it| it.get_long() != Some("help")) {
        let flag = format!("`--{}", argument.get_long().expect("every setting has a flag"));
        assert!(document.contains(&flag), "{flag} is not in server/CONFIGURATION.md");
        let variable = argument.get_env().map(|it| it.to_string_lossy().into_owned());
        let variable = variable.expect("every setting has a variable");
        assert!(document.contains(&format!("`{variable}`")), "{variable} is not there");
    }
    // Those of a monitor are listed in quotes.
    let inner = "[log]\n[drift]\nx = 1\n";
    let faults = server_lifecycle::ModelConfig::parse(inner, &defaults()).expect_err("unknown");
    let keys: Vec<&str> = faults[0].split('`').skip(3).step_by(2).collect();
    assert_eq!(keys.len(), 15, "{faults:?}");
    for key in keys {
        assert!(document.contains(&format!("\n{key} ")), "{key} is not in server/CONFIGURATION.md");
    }
    // A model's keys, as the error for an unknown one lists them.
    let inner = "x = 1\n[dynamic_batching]\nx = 1\n[padding]\nx = 1\n[instances]\nx = 1\n[warmup]\nx = 1\n\
                 [onnxruntime]\nx = 1\n[log]\nx = 1\n[truth]\nx = 1\n";
    let faults =
        server_lifecycle::ModelConfig::parse(inner, &defaults()).expect_err("unknown keys");
    assert_eq!(faults.len(), 8, "{faults:?}");
    for fault in faults {
        let keys = fault.split("known are ").nth(1).expect("a list");
        for key in keys.split(", ") {
            let places = [format!("\n{key} "), format!("[{key}]"), format!(".{key}]")];
            let shown = places.iter().any(|it| document.contains(it));
            assert!(shown, "{key} is not in server/CONFIGURATION.md");
        }
    }
}

fn defaults() -> server_lifecycle::Defaults {
    server_lifecycle::Defaults {
        instances: 1,
        transition: server_lifecycle::Transition::Availability,
        load: server_lifecycle::LoadPolicy::Eager,
        engines: vec![],
    }
}
