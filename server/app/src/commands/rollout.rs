//! `salver rollout start|status|promote|hold|resume|abort`.

use std::time::Duration;

use anyhow::anyhow;
use http::Method;
use serde_json::{Map, Value, json};

use super::predict::encoded;
use super::table::table;
use crate::cli::{OrderArgs, OutputFormat, RolloutArgs, RolloutOf, ServerArgs};
use crate::client::{Client, ClientError};

/// Of a digest: enough to tell it from others.
const DIGEST_CHARS: usize = 19;

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
    let OrderArgs { by, reason, server } = &args.order;
    let body =
        json!({ "to": args.to, "from": args.from, "plan": plan, "by": by, "reason": reason });
    ask(server, Method::POST, &path(&args.model, ""), body.to_string().into_bytes())
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
    let OrderArgs { by, reason, server } = &of.order;
    let body = json!({ "by": by, "reason": reason }).to_string();
    ask(server, Method::POST, &path(&of.model, &format!("/{verb}")), body.into_bytes())
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
    lines.extend(replicas(&view["shared"]));
    lines.join("\n")
}

/// Who takes part, with which bytes.
fn replicas(shared: &Value) -> Vec<String> {
    let Some(all) = shared["replicas"].as_array() else { return Vec::new() };
    let mut rows = vec![["REPLICA", "VERSION", "DIGEST", "LAST SEEN", ""].map(str::to_owned)];
    for it in all {
        let name = it["replica"].as_str().unwrap_or_default();
        let notes = [
            (it["replica"] == shared["leader"], "leads"),
            (it["digest_differs"] == true, "other bytes than the leader"),
        ];
        let notes: Vec<&str> =
            notes.iter().filter(|(is_so, _)| *is_so).map(|(_, note)| *note).collect();
        let seen = Duration::from_millis(it["seen_ago_ms"].as_u64().unwrap_or_default());
        let ready = it["ready"].as_array().map(Vec::as_slice).unwrap_or_default();
        let digest = |version: &Value| it["digests"][version.to_string()].as_str().unwrap_or("-");
        let mut row = |version: String, digest: &str| {
            let digest = digest.chars().take(DIGEST_CHARS).collect();
            let seen = format!("{:.1} s ago", seen.as_secs_f64());
            rows.push([name.to_owned(), version, digest, seen, notes.join(", ")]);
        };
        ready.iter().for_each(|it| row(it.to_string(), digest(it)));
        if ready.is_empty() {
            row("-".to_owned(), "-");
        }
    }
    let words = [("they differ", &shared["differs"]), ("not shared now", &shared["fault"])];
    let words =
        words.into_iter().filter_map(|(what, it)| Some(format!("{what}: {}", it.as_str()?)));
    [table(&rows)].into_iter().chain(words).collect()
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

    #[test]
    fn replicas_are_told_with_their_bytes() {
        let shared = json!({
            "leader": "a-1", "term": 1, "differs": "a-1 has x, b-2 has y", "replicas": [
                { "replica": "a-1", "ready": [1, 2], "seen_ago_ms": 40, "digest_differs": false,
                  "digests": { "1": "sha256:0123456789abcdef", "2": "sha256:11" } },
                { "replica": "b-2", "ready": [2], "seen_ago_ms": 1_250, "digest_differs": true,
                  "digests": { "2": "sha256:22" } },
                { "replica": "c-3", "ready": [], "seen_ago_ms": 0, "digest_differs": false,
                  "digests": {} },
            ],
        });
        let expect = "\
REPLICA  VERSION  DIGEST               LAST SEEN
a-1      1        sha256:0123456789ab  0.0 s ago  leads
a-1      2        sha256:11            0.0 s ago  leads
b-2      2        sha256:22            1.2 s ago  other bytes than the leader
c-3      -        -                    0.0 s ago
they differ: a-1 has x, b-2 has y";
        let got = replicas(&shared).join("\n");
        let got: Vec<&str> = got.lines().map(str::trim_end).collect();
        assert_eq!(got.join("\n"), expect);
        let fault = json!({ "replicas": [], "fault": "the shared state cannot be reached" });
        let last = replicas(&fault).pop();
        assert_eq!(last.as_deref(), Some("not shared now: the shared state cannot be reached"));
        assert!(replicas(&Value::Null).is_empty(), "it is nobody's but this one's");
    }
}
