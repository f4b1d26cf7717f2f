//! `salver version`.

use serde_json::json;

use super::{Outcome, complain, print};
use crate::cli::{OutputFormat, VersionArgs};
use crate::engines;

/// Version and engines: a missing library shows here before it shows in a slower answer.
pub(crate) fn version(args: &VersionArgs) -> Outcome {
    let engines = match engines::open(&args.libraries) {
        Ok(engines) => engines,
        Err(error) => return complain(&format!("{error:#}"), Outcome::Failed),
    };
    let version = env!("CARGO_PKG_VERSION");
    if args.output == OutputFormat::Json {
        let available = engines
            .available()
            .map(|it| json!({ "engine": it.name(), "version": it.version(), "available": true }));
        let missing = engines
            .missing()
            .iter()
            .map(|it| json!({ "engine": it.name, "available": false, "reason": it.reason }));
        let engines: Vec<_> = available.chain(missing).collect();
        return print(&json!({ "version": version, "engines": engines }).to_string());
    }
    let mut lines = vec![format!("salver {version}")];
    lines.extend(engines.available().map(|it| format!("engine {} {}", it.name(), it.version())));
    let missing = engines.missing().iter();
    lines.extend(missing.map(|it| format!("engine {} not available: {}", it.name, it.reason)));
    print(&lines.join("\n"))
}
