//! CloudEvents 1.0 over HTTP, signed as Standard Webhooks says.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use ring::hmac;
use serde_json::json;

use super::secrets::Secret;
use super::shape::{Shape, told};
use crate::event::Event;
use crate::moment::{Moment, rfc3339};

/// The event itself: attributes in the body, or in headers.
pub(super) fn event(is_binary: bool, event: &Event) -> Shape {
    let kind = match event.cause.is_alert() {
        true => "dev.salver.alert.raised.v1",
        false => "dev.salver.retraining.requested.v1",
    };
    let source = format!("/salver/triggers/{}", event.rule);
    let mut shape = Shape { method: Method::POST, headers: Vec::new(), ..Shape::get(&[]) };
    if !is_binary {
        let body = json!({
            "specversion": "1.0",
            "id": event.key,
            "source": source,
            "type": kind,
            "subject": event.model,
            "time": rfc3339(event.at),
            "datacontenttype": "application/json",
            "data": told(event),
        });
        shape.headers.push(("content-type", "application/cloudevents+json".to_owned()));
        shape.body = body.to_string().into_bytes();
        return shape;
    }
    shape.headers = vec![
        ("content-type", "application/json".to_owned()),
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", event.key.clone()),
        ("ce-source", source),
        ("ce-type", kind.to_owned()),
        ("ce-subject", encoded(&event.model)),
        ("ce-time", rfc3339(event.at)),
    ];
    shape.body = told(event).to_string().into_bytes();
    shape
}

/// As CloudEvents' HTTP binding wants header values: what is not printable ASCII, and space, quote and
/// percent, as the percent-encoded bytes.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' | b'"' | b'%' => drop(write!(out, "%{byte:02X}")),
            0x21..=0x7e => out.push(char::from(byte)),
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// `webhook-id`, `webhook-timestamp` and `webhook-signature` over both and the body. Each line of the
/// secret is a key of its own, so that a receiver may change its key without missing anything.
pub(super) fn signed(
    mut shape: Shape,
    keys: &Secret,
    id: &str,
    at: Moment,
) -> Result<Shape, String> {
    let seconds = (at.0 / 1_000).to_string();
    let mut content = format!("{id}.{seconds}.").into_bytes();
    content.extend_from_slice(&shape.body);
    let lines = keys.expose().lines().map(str::trim).filter(|it| !it.is_empty()).take(4);
    let signatures: Vec<String> = lines
        .map(|line| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &key(line)?);
            Ok(format!("v1,{}", STANDARD.encode(hmac::sign(&key, &content))))
        })
        .collect::<Result<_, String>>()?;
    shape.headers.push(("webhook-id", id.to_owned()));
    shape.headers.push(("webhook-timestamp", seconds));
    shape.headers.push(("webhook-signature", signatures.join(" ")));
    Ok(shape)
}

/// `whsec_` and base64, as Standard Webhooks writes keys, or the bytes as they are.
fn key(line: &str) -> Result<Vec<u8>, String> {
    match line.strip_prefix("whsec_") {
        None => Ok(line.as_bytes().to_vec()),
        Some(text) => {
            STANDARD.decode(text).map_err(|_| "a secret begins with whsec_ and is no base64".into())
        }
    }
}
