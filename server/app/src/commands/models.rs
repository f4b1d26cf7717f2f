//! `salver models list|load|unload`.

use http::Method;
use serde::Deserialize;

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

/// Columns as wide as their widest entry.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|it| it[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows =
            [row(["MODEL", "V", "WHY"]), row(["wine", "12", ""]), row(["größe", "1", "bad"])];
        assert_eq!(table(&rows), "MODEL  V   WHY\nwine   12\ngröße  1   bad");
    }
}
