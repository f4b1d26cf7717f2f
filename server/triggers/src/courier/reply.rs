//! What an answer means for a delivery.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use server_registry::Answered;

use crate::event::clipped;
use crate::limits::WORDS_BYTES_MAX;

/// Why something was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It may go well later.
    Again {
        /// Not before, if the target says so.
        after: Option<Duration>,
        /// What was said.
        words: String,
    },
    /// It will not.
    Never(String),
}

impl Trouble {
    pub(super) fn again(words: String) -> Trouble {
        Trouble::Again { after: None, words }
    }
}

/// 2xx, or else what kind of trouble it is: the target's own fault passes, ours does not.
pub(super) fn judged(answered: Answered) -> Result<Answered, Trouble> {
    let said = words(&answered.body);
    sorted(answered, &said)
}

/// The same, without the answer's words: some repeat the password that they were sent.
pub(super) fn good(answered: Answered) -> Result<Answered, Trouble> {
    sorted(answered, "the login was refused")
}

fn sorted(answered: Answered, said: &str) -> Result<Answered, Trouble> {
    let status = answered.status;
    if status.is_success() {
        return Ok(answered);
    }
    let words = format!("{status}: {said}");
    if status.is_redirection() {
        return Err(Trouble::Never(format!("{words} (redirects are not followed)")));
    }
    let passes = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
    );
    if passes || status.is_server_error() {
        return Err(Trouble::Again { after: retry_after(&answered.headers), words });
    }
    Err(Trouble::Never(words))
}

/// Seconds. Dates are left to our own pauses.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// The answer's text in one short line.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * WORDS_BYTES_MAX)]);
    let text: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    clipped(text.trim(), WORDS_BYTES_MAX)
}

/// Null if it is none.
pub(super) fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}
