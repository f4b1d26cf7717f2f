//! Is an answer the file that was asked for? What servers get wrong, or lie about, in one place.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, StatusCode};
use url::Url;

use super::shown;
use crate::error::RegistryError;

/// What is known of a file before it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Want<'a> {
    /// First byte asked for.
    pub(crate) from: u64,
    /// Length of the whole.
    pub(crate) size: Option<u64>,
    /// Its strong ETag.
    pub(crate) validator: Option<&'a str>,
    /// May it be a web page?
    pub(crate) html: bool,
}

/// What an accepted answer brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// First byte that comes.
    pub(crate) from: u64,
    /// Length of the whole.
    pub(crate) size: Option<u64>,
}

/// Judges the head of an answer.
///
/// A 206 counts only with exactly the range that was asked for and the validator that was seen; a 200 is
/// the whole file from its beginning.
pub(crate) fn accept(
    status: StatusCode,
    headers: &HeaderMap,
    url: &Url,
    want: Want<'_>,
) -> Result<Accepted, RegistryError> {
    let wrong = |why: String| Err(RegistryError::Answer(format!("{}: {why}", shown(url))));
    if status != StatusCode::OK && status != StatusCode::PARTIAL_CONTENT {
        return Err(refusal(status, url, b""));
    }
    if let Some(encoding) = text(headers, CONTENT_ENCODING).filter(|it| *it != "identity") {
        return wrong(format!("encoded as {encoding:?}, which was not asked for"));
    }
    let kind = text(headers, CONTENT_TYPE).unwrap_or_default();
    if !want.html && kind.trim_start().to_ascii_lowercase().starts_with("text/html") {
        return wrong("a web page came instead of the file".to_owned());
    }
    if let (Some(expected), Some(found)) = (want.validator, text(headers, ETAG))
        && expected != found
    {
        return wrong(format!("it changed: ETag {found} where {expected} was seen"));
    }
    let length = length(headers, url)?;
    let accepted = match status {
        StatusCode::PARTIAL_CONTENT => {
            let range = text(headers, CONTENT_RANGE).unwrap_or_default();
            let Some((start, end, size)) = content_range(range) else {
                return wrong(format!("206 with the range {range:?}"));
            };
            if start != want.from || want.from == 0 || end + 1 != size {
                return wrong(format!("206 with the range {range:?}, asked from {}", want.from));
            }
            if length.is_some_and(|it| it != size - start) {
                return wrong(format!("206 with {length:?} bytes for the range {range:?}"));
            }
            // Who does not say what the rest is of may have overlooked that it is of something else.
            if let (Some(expected), None) = (want.validator, text(headers, ETAG)) {
                return wrong(format!("206 without an ETag, where {expected} was seen"));
            }
            Accepted { from: start, size: Some(size) }
        }
        _ => Accepted { from: 0, size: length },
    };
    if let (Some(expected), Some(found)) = (want.size, accepted.size)
        && expected != found
    {
        return wrong(format!("{found} bytes where {expected} were declared"));
    }
    Ok(Accepted { size: accepted.size.or(want.size), ..accepted })
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|it| it.to_str().ok())
}

fn length(headers: &HeaderMap, url: &Url) -> Result<Option<u64>, RegistryError> {
    let wrong =
        |it: &str| RegistryError::Answer(format!("{}: Content-Length is {it:?}", shown(url)));
    let parse = |it| str::parse(it).map_err(|_| wrong(it));
    text(headers, CONTENT_LENGTH).map(parse).transpose()
}

/// `bytes 10-19/20` as (10, 19, 20).
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end, size) = (start.parse().ok()?, end.parse().ok()?, size.parse().ok()?);
    (start <= end && end < size).then_some((start, end, size))
}

/// What a status that is no success means, with the server's words.
pub(crate) fn refusal(status: StatusCode, url: &Url, body: &[u8]) -> RegistryError {
    let words = words(body);
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    let text = format!("{} answers {status}{said}", shown(url));
    match status.as_u16() {
        401 | 403 | 407 => RegistryError::Refused(text),
        404 | 410 => RegistryError::NotFound(text),
        413 => RegistryError::TooLarge(text),
        408 | 425 | 429 | 500..=599 => RegistryError::Unavailable(text),
        _ => RegistryError::Answer(text),
    }
}

/// What a body says about an error: the usual fields of JSON, or a short text that is no web page.
fn words(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let told = json.as_ref().and_then(|it| {
        let nested = it.pointer("/errors/0/message");
        let said = it.get("message").or_else(|| it.get("error")).or(nested);
        said.and_then(|it| it.as_str()).map(str::to_owned)
    });
    let plain = || {
        let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        if text.trim_start().starts_with('<') || json.is_some() { String::new() } else { text }
    };
    let text: String = told.unwrap_or_else(plain);
    text.chars().filter(|it| !it.is_control()).take(200).collect::<String>().trim().to_owned()
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
