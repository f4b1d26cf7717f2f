//! Documents that must match the code. `SALVER_BLESS=1 cargo test -p server-app` rewrites them.

use std::fmt::Write as _;
use std::fs;

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
