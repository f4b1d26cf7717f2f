//! `salver models promote|rollback|forget`: says what is wanted, and waits until it is so.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::predict::encoded;
use super::rollout;
use crate::cli::{OrderArgs, OutputFormat, PromoteArgs, RollBackArgs};
use crate::client::{Client, ClientError};

/// A server looks at its rollouts about once a second.
const LOOK: Duration = Duration::from_millis(200);

/// Has a version take over.
pub(crate) fn promote(args: &PromoteArgs) -> Result<String, ClientError> {
    let PromoteArgs { model, to, order } = args;
    let mut body = json!({ "by": order.by, "reason": order.reason });
    match to.parse::<u64>() {
        Ok(version) => body["version"] = json!(version),
        Err(_) => body["digest"] = json!(to),
    }
    carry_out((model, "promote"), &body, order)
}

/// Goes back.
pub(crate) fn roll_back(args: &RollBackArgs) -> Result<String, ClientError> {
    let RollBackArgs { model, order } = args;
    let body = json!({ "by": order.by, "reason": order.reason });
    carry_out((model, "rollback"), &body, order)
}

/// The files decide again: nothing to wait for.
pub(crate) fn forget(args: &RollBackArgs) -> Result<String, ClientError> {
    let RollBackArgs { model, order } = args;
    let body = json!({ "by": order.by, "reason": order.reason }).to_string();
    let path = format!("/v2/models/{}/forget", encoded(model));
    let answer = Client::new(&order.server)?.ask(Method::POST, &path, body.into_bytes())?;
    Ok(match order.server.output {
        OutputFormat::Json => String::from_utf8_lossy(&answer).into_owned(),
        OutputFormat::Text => format!("the files of {model} say again what serves"),
    })
}

fn carry_out(
    (model, verb): (&str, &str),
    body: &Value,
    order: &OrderArgs,
) -> Result<String, ClientError> {
    let client = Client::new(&order.server)?;
    let until = Instant::now() + Duration::from_secs(order.server.timeout);
    let path = format!("/v2/models/{}", encoded(model));
    let answer =
        client.ask(Method::POST, &format!("{path}/{verb}"), body.to_string().into_bytes())?;
    let first = parsed(&answer)?;
    if first["state"]["name"] == "rolled_back" && verb == "rollback" {
        return Ok(shown(&answer, &first, order));
    }
    let (mut answer, mut view) = (answer, first);
    loop {
        let state = view["state"]["name"].as_str().unwrap_or_default().to_owned();
        match state.as_str() {
            "promoted" => return Ok(shown(&answer, &view, order)),
            "running" if Instant::now() < until => {}
            "running" => {
                let text = format!(
                    "version {} of {model} has not taken over within {} s; the server goes on",
                    view["canary"], order.server.timeout
                );
                return Err(ClientError::Failed(anyhow!(text)));
            }
            _ => {
                let words = view["evidence"].as_array().and_then(|it| it.last());
                let words = words.and_then(|it| it["words"].as_str()).unwrap_or(&state);
                return Err(ClientError::Failed(anyhow!("{model}: {words}")));
            }
        }
        thread::sleep(LOOK);
        answer = client.ask(Method::GET, &format!("{path}/rollout"), Vec::new())?;
        view = parsed(&answer)?;
    }
}

fn parsed(body: &Bytes) -> Result<Value, ClientError> {
    serde_json::from_slice(body).map_err(|it| ClientError::Failed(it.into()))
}

fn shown(answer: &Bytes, view: &Value, order: &OrderArgs) -> String {
    match order.server.output {
        OutputFormat::Json => String::from_utf8_lossy(answer).into_owned(),
        OutputFormat::Text => rollout::told(view),
    }
}
