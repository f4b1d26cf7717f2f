//! `salver drift show|report`: what a server's monitors have found, for people.

mod charts;
mod page;
mod time;

use std::fs;

use anyhow::{Context as _, anyhow};
use http::Method;
use serde_json::Value;

use super::predict::encoded;
use super::table::table;
use crate::cli::{DriftOf, OutputFormat, ReportArgs};
use crate::client::{Client, ClientError};

/// Prints what was found: a table of the last window, and the alarms.
pub(crate) fn show(of: &DriftOf) -> Result<String, ClientError> {
    let body = ask(of)?;
    if of.server.output == OutputFormat::Json {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    let views = views(&body)?;
    Ok(views.iter().map(told).collect::<Vec<_>>().join("\n\n"))
}

/// Writes a page.
pub(crate) fn report(args: &ReportArgs) -> Result<String, ClientError> {
    let views = views(&ask(&args.of)?)?;
    let html = page::page(&args.of.model, &views);
    fs::write(&args.out, &html)
        .with_context(|| args.out.display().to_string())
        .map_err(ClientError::Failed)?;
    Ok(format!("{}: {} bytes", args.out.display(), html.len()))
}

fn ask(of: &DriftOf) -> Result<Vec<u8>, ClientError> {
    let version = of.version.map(|it| format!("/versions/{it}")).unwrap_or_default();
    let path = format!("/v2/models/{}{version}/drift", encoded(&of.model));
    Ok(Client::new(&of.server)?.ask(Method::GET, &path, Vec::new())?.to_vec())
}

/// Of one version, or of all.
fn views(body: &[u8]) -> Result<Vec<Value>, ClientError> {
    let answer: Value =
        serde_json::from_slice(body).context("the server's answer").map_err(ClientError::Failed)?;
    match answer.get("versions") {
        Some(Value::Array(views)) => Ok(views.clone()),
        Some(_) => Err(ClientError::Failed(anyhow!("the server's answer has no list of versions"))),
        None => Ok(vec![answer]),
    }
}

/// Kinds of findings, as the server names them, and what they are called here.
pub(crate) const KINDS: [(&str, &str); 4] = [
    ("drift", "drift"),
    ("prediction_drift", "prediction drift"),
    ("embedding_drift", "embedding drift"),
    ("quality", "data quality"),
];

/// One sentence on where a monitor stands.
pub(crate) fn standing(view: &Value) -> String {
    let (rows, of) = (&view["open"]["rows"], &view["open"]["of"]);
    let open = if of.as_u64() == Some(0) { rows.to_string() } else { format!("{rows} of {of}") };
    if view["state"] == "learning" {
        return format!("learning its reference: {open} rows");
    }
    let reference = &view["reference"];
    let source = match reference["source"].as_str() {
        Some("learned") => "learned from the first requests",
        _ => "data",
    };
    let history = list(&view["history"]).len();
    format!(
        "{} features against {} rows ({source}); {history} windows remembered, {open} rows in the \
         next",
        list(&reference["features"]).len(),
        reference["rows"]
    )
}

/// Alarms, the newest first: when, which, and the words.
pub(crate) fn alarms(view: &Value) -> Vec<(String, &'static str, String)> {
    let mut alarms = Vec::new();
    for window in list(&view["history"]).iter().rev() {
        for (kind, name) in KINDS {
            let found = &window["found"][kind];
            if found["is_alarm"] == true {
                let text = found["text"].as_str().unwrap_or_default().to_owned();
                alarms.push((time::shown(&window["to_s"]), name, text));
            }
        }
    }
    alarms
}

/// The entries of a list, or none.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A feature's name as a column of the log.
pub(crate) fn column(feature: &Value) -> String {
    let side = if feature["role"] == "output" { "out" } else { "in" };
    format!("{side}.{}", feature["name"].as_str().unwrap_or_default())
}

/// What is said of a feature in a word or two.
pub(crate) fn verdict(feature: &Value) -> &'static str {
    let faulty = !list(&feature["faults"]).is_empty();
    match (feature["drifted"] == true, faulty, feature["judged"] == true) {
        (true, true, _) => "DRIFT, FAULTY",
        (true, false, _) => "DRIFT",
        (false, true, _) => "FAULTY",
        (false, false, true) => "same",
        (false, false, false) => "not judged",
    }
}

/// Numbers as people read them.
pub(crate) fn number(value: &Value) -> String {
    match value.as_f64() {
        Some(it) if it != 0.0 && it.abs() < 1e-3 => format!("{it:.1e}"),
        Some(it) => format!("{it:.3}"),
        None => "-".to_owned(),
    }
}

fn told(view: &Value) -> String {
    let mut lines =
        vec![format!("{}/{}: {}", text(&view["model"]), view["version"], standing(view))];
    let last = &view["last"];
    if last.is_object() {
        let when = format!("{} to {}", time::shown(&last["from_s"]), time::shown(&last["to_s"]));
        lines.push(format!("window {}: {} rows, {when}", last["number"], last["rows"]));
        let heads = ["FEATURE", "METHOD", "EFFECT", "P", "PSI", "MISSING", "VERDICT"];
        let mut rows = vec![heads.map(str::to_owned)];
        rows.extend(list(&last["features"]).iter().map(|it| {
            let evidence = &it["evidence"];
            [
                column(it),
                text(&evidence["method"]),
                number(&evidence["effect"]),
                number(&evidence["p"]),
                number(&evidence["statistics"]["psi"]),
                number(&it["missing"]),
                verdict(it).to_owned(),
            ]
        }));
        lines.push(table(&rows));
    }
    let alarms = alarms(view);
    lines.push(if alarms.is_empty() { "no alarms".to_owned() } else { "alarms:".to_owned() });
    lines.extend(alarms.iter().map(|(when, kind, text)| format!("  {when} {kind}: {text}")));
    lines.join("\n")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
