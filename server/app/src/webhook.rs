//! Hears, on the control port, what registries say of themselves.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use http::StatusCode;
use server_frontend::Webhook;
use server_supply::{Heard, Prepared, WebhookSecrets};

/// A secret is a line.
const SECRET_BYTES_MAX: u64 = 4_096;

/// Who hears them, if there is a secret and a model that they could be about.
pub(crate) fn webhook(
    secret: Option<&Path>,
    prepared: Option<&mut Prepared>,
) -> anyhow::Result<Option<Webhook>> {
    let Some(path) = secret else { return Ok(None) };
    let named = || format!("secret of webhooks {}", path.display());
    let secrets = read(path).with_context(named)?;
    let Some(prepared) = prepared else {
        tracing::warn!("webhooks are not taken: no model comes from a registry");
        return Ok(None);
    };
    let webhooks = prepared.webhooks(secrets);
    Ok(Some(Box::new(move |headers, body| {
        let header = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
        match webhooks.hear(header, body, SystemTime::now()) {
            Heard::Accepted | Heard::Repeated => (StatusCode::OK, ""),
            Heard::Refused(why) => (StatusCode::UNAUTHORIZED, why),
            Heard::Malformed(why) => (StatusCode::BAD_REQUEST, why),
            Heard::Busy => (StatusCode::TOO_MANY_REQUESTS, "too many messages; try again later"),
        }
    })))
}

fn read(path: &Path) -> anyhow::Result<WebhookSecrets> {
    let mut text = String::new();
    File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(anyhow!("more than {SECRET_BYTES_MAX} bytes"));
    }
    WebhookSecrets::parse(&text).map_err(|why| anyhow!(why))
}
