//! A request as an interface wants it, before it has an address and credentials.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use url::Url;

use crate::event::Event;
use crate::moment::rfc3339;
use crate::target::PLACES;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) method: Method,
    /// Parts of the path behind the target's address.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Shape {
    pub(super) fn get(path: &[&str]) -> Shape {
        Shape {
            method: Method::GET,
            path: path.iter().map(|it| (*it).to_owned()).collect(),
            query: Vec::new(),
            headers: vec![("accept", "application/json".to_owned())],
            body: Vec::new(),
        }
    }

    pub(super) fn post(path: &[&str], body: &Value) -> Shape {
        let json = ("content-type", "application/json".to_owned());
        let mut shape = Shape { method: Method::POST, ..Shape::get(path) };
        shape.headers.push(json);
        shape.body = body.to_string().into_bytes();
        shape
    }

    pub(super) fn url(&self, base: &Url) -> Result<Url, String> {
        let mut url = base.clone();
        if !self.path.is_empty() {
            let mut parts = url.path_segments_mut().map_err(|()| "no address of the web")?;
            parts.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

/// All that is known, for those who take it whole.
pub(super) fn told(event: &Event) -> Value {
    let window = event
        .window
        .as_ref()
        .map(|it| json!({ "from": rfc3339(it.from), "to": rfc3339(it.to), "rows": it.rows }));
    json!({
        "key": event.key,
        "rule": event.rule,
        "model": event.model,
        "version": event.version,
        "cause": event.cause,
        "at": rfc3339(event.at),
        "window": window,
        "alarms": event.alarms.map(|it| json!({ "count": it.0, "windows": it.1 })),
        "evidence": event.evidence,
    })
}

/// The same with what an operator has added.
pub(super) fn told_with(event: &Event, given: &BTreeMap<String, String>) -> Value {
    let mut told = told(event);
    if !given.is_empty() {
        told["parameters"] = json!(given);
    }
    told
}

/// The operator's texts with the event's values in them.
pub(super) fn parameters(
    texts: &BTreeMap<String, String>,
    event: &Event,
) -> BTreeMap<String, String> {
    texts.iter().map(|(name, text)| (name.clone(), filled(text, event))).collect()
}

/// In one pass: what a value holds is no placeholder.
fn filled(text: &str, event: &Event) -> String {
    let mut full = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        full.push_str(before);
        let place = after.split_once('}').filter(|(name, _)| PLACES.contains(name));
        let Some((name, behind)) = place else {
            full.push('{');
            rest = after;
            continue;
        };
        full.push_str(&value(name, event));
        rest = behind;
    }
    full.push_str(rest);
    full
}

fn value(place: &str, event: &Event) -> String {
    let window = event.window.as_ref();
    match place {
        "model" => event.model.clone(),
        "version" => event.version.to_string(),
        "rule" => event.rule.clone(),
        "cause" => event.cause.to_string(),
        "key" => event.key.clone(),
        "window_from" => window.map(|it| rfc3339(it.from)).unwrap_or_default(),
        "window_to" => window.map(|it| rfc3339(it.to)).unwrap_or_default(),
        _ => told(event).to_string(),
    }
}
