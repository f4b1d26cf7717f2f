//! `salver models list|load|unload`.

use http::Method;
use serde::Deserialize;

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
}

/// A table, or the server's own JSON.
pub(crate) fn list(server: &ServerArgs) -> Result<String, ClientError> {
    let body = Client::new(server)?.ask(Method::POST, "/v2/repository/index", b"{}".to_vec())?;
    if server.output == OutputFormat::Json {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    let lines: Vec<Line> =
        serde_json::from_slice(&body).map_err(|it| ClientError::Failed(it.into()))?;
    let mut rows = vec![["MODEL", "VERSION", "STATE", "REASON"].map(str::to_owned)];
    rows.extend(lines.into_iter().map(|it| [it.name, it.version, it.state, it.reason]));
    Ok(table(&rows))
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
