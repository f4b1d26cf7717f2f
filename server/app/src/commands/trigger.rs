//! `salver trigger list|fire|test|mute|unmute`.

use http::Method;
use serde_json::{Value, json};

use super::predict::encoded;
use super::table::table;
use crate::cli::{FireArgs, OutputFormat, ServerArgs, TriggerOf};
use crate::client::{Client, ClientError};

/// All of them.
pub(crate) fn list(server: &ServerArgs) -> Result<String, ClientError> {
    let body = Client::new(server)?.ask(Method::GET, "/v2/triggers", Vec::new())?;
    if server.output == OutputFormat::Json {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    let all: Vec<Value> = parsed(&body)?;
    Ok(listed(&all))
}

/// Fires one, or shows what that would send.
pub(crate) fn fire(args: &FireArgs, is_test: bool) -> Result<String, ClientError> {
    let body = json!({
        "model": args.model, "version": args.version, "id": args.id, "reason": args.reason,
        "dry_run": is_test,
    });
    let answer = ask(&args.of, "fire", &body)?;
    if args.of.server.output == OutputFormat::Json {
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    let fired: Value = parsed(&answer)?;
    if is_test {
        return Ok(format!("{:#}", fired["event"]));
    }
    let of = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let (result, target) = (of(&fired["result"]), of(&fired["target"]));
    Ok(format!("{result}: {target} is told {}", of(&fired["event"]["key"])))
}

/// Silences one for so many hours, or no longer.
pub(crate) fn mute(of: &TriggerOf, hours: Option<u64>) -> Result<String, ClientError> {
    let answer = match hours {
        Some(hours) => ask(of, "mute", &json!({ "for_s": hours * 3600 }))?,
        None => ask(of, "unmute", &json!({}))?,
    };
    if of.server.output == OutputFormat::Json {
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    Ok(listed(&[parsed(&answer)?]))
}

fn ask(of: &TriggerOf, verb: &str, body: &Value) -> Result<bytes::Bytes, ClientError> {
    let path = format!("/v2/triggers/{}/{verb}", encoded(&of.trigger));
    Client::new(&of.server)?.ask(Method::POST, &path, body.to_string().into_bytes())
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|it| ClientError::Failed(it.into()))
}

/// A row for each trigger and model that it has something to say about.
fn listed(all: &[Value]) -> String {
    let header = ["TRIGGER", "MODEL", "TARGET", "ON", "ALARMS", "STATE", "PENDING"];
    let mut rows = vec![header.map(str::to_owned)];
    for view in all {
        let models = view["models"].as_array().map(Vec::as_slice).unwrap_or_default();
        rows.extend(models.iter().map(|it| row(view, it)));
        if models.is_empty() {
            rows.push(row(view, &json!({ "model": view["model"] })));
        }
    }
    table(&rows)
}

fn row(view: &Value, model: &Value) -> [String; 7] {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let list = |it: &Value| it.as_array().map(Vec::as_slice).unwrap_or_default().to_vec();
    let alarms = list(&model["alarms"]);
    let alarms =
        alarms.iter().map(|it| format!("{} {}/{}", text(&it["kind"]), it["alarms"], it["windows"]));
    let state = [
        (view["dry_run"] == true, "dry run"),
        (!view["muted_until"].is_null(), "muted"),
        (model["run"].is_object(), "under way"),
        (!model["cooldown_until"].is_null(), "cooling down"),
    ];
    let state: Vec<&str> = state.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    let on: Vec<String> = list(&view["on"]).iter().map(text).collect();
    [
        text(&view["name"]),
        text(&model["model"]),
        format!("{} ({})", text(&view["target"]), text(&view["target_kind"])),
        if on.is_empty() { "-".to_owned() } else { on.join(",") },
        alarms.collect::<Vec<_>>().join(" "),
        if state.is_empty() { "ready".to_owned() } else { state.join(", ") },
        view["pending"].to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_told_to_people() {
        let view = json!({
            "name": "drift", "model": "wine-*", "target": "train", "target_kind": "airflow",
            "on": ["drift"], "dry_run": false, "muted_until": null, "pending": 1,
            "models": [{
                "model": "wine-red", "run": { "key": "ab" }, "cooldown_until": 5,
                "alarms": [{ "version": 1, "kind": "drift", "alarms": 2, "windows": 3 }],
            }],
        });
        let mut idle = view.clone();
        (idle["models"], idle["on"], idle["pending"]) = (json!([]), json!([]), json!(0));
        let expect = "\
TRIGGER  MODEL     TARGET           ON     ALARMS     STATE                    PENDING
drift    wine-red  train (airflow)  drift  drift 2/3  under way, cooling down  1
drift    wine-*    train (airflow)  -                 ready                    0";
        assert_eq!(listed(&[view, idle]), expect);
    }
}
