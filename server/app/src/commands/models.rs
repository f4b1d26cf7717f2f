//! `salver models list|show|load|unload`.

use anyhow::anyhow;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::table::table;
use crate::cli::{OutputFormat, ServerArgs};
use crate::client::{Client, ClientError};

#[derive(Deserialize)]
struct Line {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    digest: String,
    share: Option<f64>,
    #[serde(default)]
    warm: bool,
}

/// What people read of a version that stays loaded.
const WARM: &str = "kept warm for a rollback";

/// A table, or the server's own JSON.
pub(crate) fn list(server: &ServerArgs) -> Result<String, ClientError> {
    let body = index(server)?;
    if server.output == OutputFormat::Json {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    let lines: Vec<Line> = parsed(&body)?;
    let head = ["MODEL", "VERSION", "STATE", "SOURCE", "DIGEST", "REASON"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(lines.into_iter().map(|it| {
        let (digest, why) = (short(&it.digest), why(&it));
        [it.name, it.version, it.state, it.source, digest, why]
    }));
    // Columns of which nothing is known would only make it harder to read.
    if rows.iter().skip(1).all(|it| it[3].is_empty()) {
        let rows = rows
            .into_iter()
            .map(|[name, version, state, _, _, reason]| [name, version, state, reason]);
        return Ok(table(&rows.collect::<Vec<_>>()));
    }
    Ok(table(&rows))
}

/// All that is known of one model.
pub(crate) fn show(model: &str, server: &ServerArgs) -> Result<String, ClientError> {
    let body = index(server)?;
    let unknown = || ClientError::Failed(anyhow!("unknown model '{model}'"));
    if server.output == OutputFormat::Json {
        let lines: Vec<serde_json::Value> = parsed(&body)?;
        let lines: Vec<_> = lines.into_iter().filter(|it| it["name"] == model).collect();
        let lines = if lines.is_empty() { Err(unknown()) } else { Ok(lines) }?;
        return Ok(serde_json::json!({ "name": model, "versions": lines }).to_string());
    }
    let lines: Vec<Line> = parsed(&body)?;
    let lines: Vec<Line> = lines.into_iter().filter(|it| it.name == model).collect();
    if lines.is_empty() {
        return Err(unknown());
    }
    Ok(lines.iter().map(told).collect::<Vec<_>>().join("\n"))
}

/// One version in words.
fn told(line: &Line) -> String {
    let version = if line.version.is_empty() { "-" } else { &line.version };
    let share = line.share.map(|it| format!(", {:.0} % of requests", it * 100.0));
    let mut words = format!("{} {version}: {}{}", line.name, line.state, share.unwrap_or_default());
    let why = why(line);
    for (what, text) in [("from", &line.source), ("digest", &line.digest), ("why", &why)] {
        if !text.is_empty() {
            words.push_str(&format!("\n  {what}: {text}"));
        }
    }
    words
}

/// Why it is not what answers everybody.
fn why(line: &Line) -> String {
    match (line.warm, line.reason.as_str()) {
        (false, reason) => reason.to_owned(),
        (true, "") => WARM.to_owned(),
        (true, reason) => format!("{WARM}; {reason}"),
    }
}

fn index(server: &ServerArgs) -> Result<bytes::Bytes, ClientError> {
    Client::new(server)?.ask(Method::POST, "/v2/repository/index", b"{}".to_vec())
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|it| ClientError::Failed(it.into()))
}

/// Enough of a digest to tell it from others.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// Loads or unloads.
pub(crate) fn change(verb: &str, model: &str, server: &ServerArgs) -> Result<String, ClientError> {
    let path = format!("/v2/repository/models/{}/{verb}", super::predict::encoded(model));
    Client::new(server)?.ask(Method::POST, &path, b"{}".to_vec())?;
    Ok(match server.output {
        OutputFormat::Text => format!("{model} {verb}ed"),
        OutputFormat::Json => serde_json::json!({ "model": model, "done": verb }).to_string(),
    })
}
