//! `salver rollout start|status|promote|hold|resume|abort`.

use anyhow::anyhow;
use http::Method;
use serde_json::{Map, Value, json};

use super::predict::encoded;
use super::table::table;
use crate::cli::{OutputFormat, RolloutArgs, RolloutOf, ServerArgs};
use crate::client::{Client, ClientError};

/// Begins one.
pub(crate) fn start(args: &RolloutArgs) -> Result<String, ClientError> {
    let mut plan = Map::new();
    plan.extend(args.steps.clone().map(|it| ("steps".to_owned(), Value::String(it))));
    for setting in &args.settings {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| ClientError::Failed(anyhow!("--set {setting:?}: expected KEY=VALUE")))?;
        // Numbers and truth values as they are, everything else as text.
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        plan.insert(key.to_owned(), value);
    }
    let body = json!({ "to": args.to, "from": args.from, "plan": plan }).to_string();
    ask(&args.server, Method::POST, &path(&args.model, ""), body.into_bytes())
}

/// All, or one.
pub(crate) fn status(model: Option<&str>, server: &ServerArgs) -> Result<String, ClientError> {
    let Some(model) = model else {
        let body = Client::new(server)?.ask(Method::GET, "/v2/rollouts", Vec::new())?;
        if server.output == OutputFormat::Json {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        let all: Vec<Value> = parsed(&body)?;
        let mut rows =
            vec![["MODEL", "FROM", "TO", "STATE", "SHARE", "REQUESTS"].map(str::to_owned)];
        rows.extend(all.iter().map(row));
        return Ok(table(&rows));
    };
    ask(server, Method::GET, &path(model, ""), Vec::new())
}

/// Tells one what to do.
pub(crate) fn command(verb: &str, of: &RolloutOf) -> Result<String, ClientError> {
    ask(&of.server, Method::POST, &path(&of.model, &format!("/{verb}")), Vec::new())
}

fn path(model: &str, rest: &str) -> String {
    format!("/v2/models/{}/rollout{rest}", encoded(model))
}

fn ask(
    server: &ServerArgs,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<String, ClientError> {
    let body = Client::new(server)?.ask(method, path, body)?;
    if server.output == OutputFormat::Json {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    Ok(told(&parsed(&body)?))
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|it| ClientError::Failed(it.into()))
}

/// One rollout for people: where it stands, what the tests say, what was decided.
pub(super) fn told(view: &Value) -> String {
    let header = ["MODEL", "FROM", "TO", "STATE", "SHARE", "REQUESTS"].map(str::to_owned);
    let mut lines = vec![table(&[header, row(view)])];
    let words = |list: &str| -> Vec<String> {
        let all = view[list].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|it| Some(format!("  {}", it["words"].as_str()?))).collect()
    };
    for (title, list) in [("tests:", "findings"), ("decisions:", "evidence")] {
        let words = words(list);
        if !words.is_empty() {
            lines.push(title.to_owned());
            lines.extend(words);
        }
    }
    lines.join("\n")
}

fn row(view: &Value) -> [String; 6] {
    let text = |it: &Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    let state = &view["state"];
    // A word, or the name of the phase around what it is at.
    let phase = &state["phase"];
    let name = phase.as_object().and_then(|it| it.keys().next().map(String::as_str));
    let phase = phase.as_str().or(name).map(|it| format!(" ({it})")).unwrap_or_default();
    [
        text(&view["model"]),
        text(&view["stable"]),
        text(&view["canary"]),
        format!("{}{phase}", text(&state["name"])),
        format!("{} %", text(&view["weight"])),
        text(&view["counts"]["canary"]["requests"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_told_to_people() {
        let view = json!({
            "model": "wine", "stable": 1, "canary": 2, "weight": "5",
            "state": { "name": "running", "phase": { "canary": { "step": 1 } } },
            "counts": { "canary": { "requests": 1200 } },
            "findings": [{ "words": "errors: fine" }], "evidence": [],
        });
        let expect = "MODEL  FROM  TO  STATE             SHARE  REQUESTS\n\
                      wine   1     2   running (canary)  5 %    1200\n\
                      tests:\n  errors: fine";
        assert_eq!(told(&view), expect);
    }
}
