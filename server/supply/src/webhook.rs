//! Messages by which a registry says that something has changed, checked before they are believed.
//!
//! What is signed is `ID.TIMESTAMP.BODY`, with HMAC-SHA256, as Standard Webhooks has it and as MLflow does under header names of
//! its own. A message that is believed makes its addresses the next to be looked at: it is never told what they name, and
//! a registry hears from us as seldom as without it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use server_base::ModelName;
use server_registry::Uri;
use tokio::sync::mpsc;

use crate::metrics;
use crate::target::Target;

/// So far a message's time may be from ours, either way.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Messages that are remembered, so that none is taken twice: each for twice the tolerance at most. More in that time than
/// any registry has changes are refused.
const SEEN_MAX: usize = 4_096;

/// Messages that wait until they are passed on, which takes no time.
const WAITING_MAX: usize = 64;

/// Signatures of one message that are tried: senders that change their secret sign with both.
const SIGNATURES_MAX: usize = 8;

/// A message's own name.
const ID_BYTES_MAX: usize = 256;

/// Shorter ones can be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// The old and the new, while a secret is changed.
const SECRETS_MAX: usize = 4;

/// How Standard Webhooks write a key that is no text.
const ENCODED: &str = "whsec_";

/// The names of the headers: id, time, signatures.
const STANDARD_HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const MLFLOW_HEADERS: [&str; 3] =
    ["x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"];

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Its addresses are looked at next.
    Accepted,
    /// It came before, and has no effect.
    Repeated,
    /// Nobody who knows the secret has signed it, or not lately: why, in words.
    Refused(&'static str),
    /// It is signed, and says nothing that can be understood.
    Malformed(&'static str),
    /// Too many.
    Busy,
}

/// What has changed, as a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// A registered model of MLflow.
    Registered(String),
    /// A model by its name here.
    Model(String),
    /// An address.
    Source(String),
}

impl Changed {
    /// Does it concern that address of a model?
    pub(crate) fn is_about(&self, target: &Target, uri: &Uri) -> bool {
        match self {
            Changed::Registered(name) => uri.registered_model() == Some(name),
            Changed::Model(name) => target.model.as_str() == name,
            Changed::Source(text) => uri.as_str() == text || uri.to_string() == *text,
        }
    }
}

/// The keys of one secret.
struct Keys {
    mlflow: hmac::Key,
    standard: hmac::Key,
}

/// The secrets that senders of webhooks sign with. Never shown.
pub struct WebhookSecrets(Vec<Keys>);

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WebhookSecrets({})", self.0.len())
    }
}

impl WebhookSecrets {
    /// One in each line. MLflow signs with the text itself; so do others, unless it is `whsec_` and base64.
    pub fn parse(text: &str) -> Result<WebhookSecrets, String> {
        let lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
        let keys = lines.map(keys).collect::<Result<Vec<Keys>, String>>()?;
        match keys.len() {
            1..=SECRETS_MAX => Ok(WebhookSecrets(keys)),
            count => Err(format!("{count} secrets, expected 1 to {SECRETS_MAX}, each on a line")),
        }
    }
}

fn keys(secret: &str) -> Result<Keys, String> {
    let bytes = match secret.strip_prefix(ENCODED) {
        Some(rest) => STANDARD.decode(rest).map_err(|_| "what follows whsec_ is no base64")?,
        None => secret.as_bytes().to_vec(),
    };
    if bytes.len() < SECRET_BYTES_MIN {
        let text =
            format!("a secret of {} bytes, expected {SECRET_BYTES_MIN} at least", bytes.len());
        return Err(text);
    }
    let key = |bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes);
    Ok(Keys { mlflow: key(secret.as_bytes()), standard: key(&bytes) })
}

/// Takes messages. Never waits.
pub struct Webhooks {
    secrets: WebhookSecrets,
    /// Until when each must be remembered.
    seen: Mutex<BTreeMap<String, u64>>,
    changed: mpsc::Sender<Changed>,
}

impl Webhooks {
    pub(crate) fn new(secrets: WebhookSecrets) -> (Webhooks, mpsc::Receiver<Changed>) {
        let (changed, receiver) = mpsc::channel(WAITING_MAX);
        (Webhooks { secrets, seen: Mutex::new(BTreeMap::new()), changed }, receiver)
    }

    /// A message, by its headers and its body.
    pub fn hear<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: SystemTime,
    ) -> Heard {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let heard = self.judged(header, body, now);
        let result = match &heard {
            Heard::Accepted => "accepted",
            Heard::Repeated => "repeated",
            Heard::Refused(_) => "refused",
            Heard::Malformed(_) => "malformed",
            Heard::Busy => "busy",
        };
        metrics::webhook(result);
        heard
    }

    fn judged<'a>(&self, header: impl Fn(&str) -> Option<&'a str>, body: &[u8], now: u64) -> Heard {
        let signed = match self.signed(header, body) {
            Ok(it) => it,
            Err(why) => return Heard::Refused(why),
        };
        if signed.at.abs_diff(now) > TOLERANCE.as_secs() {
            return Heard::Refused("it was signed more than 5 minutes from now");
        }
        let changed = match changed(body) {
            Ok(it) => it,
            Err(why) => return Heard::Malformed(why),
        };
        // Whoever panicked here has left a map that can be added to.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, until| *until >= now);
        if seen.contains_key(signed.id) {
            return Heard::Repeated;
        }
        if seen.len() >= SEEN_MAX || self.changed.try_send(changed).is_err() {
            return Heard::Busy;
        }
        seen.insert(signed.id.to_owned(), signed.at.saturating_add(TOLERANCE.as_secs()));
        Heard::Accepted
    }

    /// Who it is and when it was signed, if somebody has who may.
    fn signed<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
    ) -> Result<Signed<'a>, &'static str> {
        let is_mlflow = MLFLOW_HEADERS.iter().all(|it| header(it).is_some());
        let names = if is_mlflow { MLFLOW_HEADERS } else { STANDARD_HEADERS };
        let [Some(id), Some(at), Some(signatures)] = names.map(&header) else {
            return Err(
                "expected the headers webhook-id, webhook-timestamp, webhook-signature, or those of MLflow",
            );
        };
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err("an id of no or more than 256 bytes");
        }
        let mut content = Vec::with_capacity(id.len() + at.len() + body.len() + 2);
        for part in [id.as_bytes(), b".", at.as_bytes(), b".", body] {
            content.extend_from_slice(part);
        }
        let signatures = signatures.split(' ').take(SIGNATURES_MAX);
        let signatures = signatures.filter_map(|it| STANDARD.decode(it.strip_prefix("v1,")?).ok());
        let keys =
            || self.secrets.0.iter().map(|it| if is_mlflow { &it.mlflow } else { &it.standard });
        // In a time that says nothing of the signature.
        let fits = |tag: Vec<u8>| keys().any(|it| hmac::verify(it, &content, &tag).is_ok());
        if !signatures.into_iter().any(fits) {
            return Err("no signature of it fits");
        }
        let at = at.parse().map_err(|_| "its time is no number of seconds")?;
        Ok(Signed { id, at })
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.secrets.fmt(out)
    }
}

struct Signed<'a> {
    id: &'a str,
    /// In seconds since 1970.
    at: u64,
}

/// `{"model": NAME}`, `{"source": URI}`, or what MLflow says of a registered model: `{"entity": .., "data": {"name": ..}}`.
fn changed(body: &[u8]) -> Result<Changed, &'static str> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "the body is no JSON")?;
    let text = |it: &Value| it.as_str().filter(|it| !it.is_empty()).map(str::to_owned);
    let registered =
        || text(value.get("data").filter(|_| value.get("entity").is_some())?.get("name")?);
    let model = || text(value.get("model")?).filter(|it| ModelName::new(it).is_ok());
    let source = || text(value.get("source")?);
    let said = registered().map(Changed::Registered).or_else(|| model().map(Changed::Model));
    said.or_else(|| source().map(Changed::Source)).ok_or(
        "expected {\"model\": NAME}, {\"source\": URI}, or a message of MLflow's model registry",
    )
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
