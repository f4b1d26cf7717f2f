//! What a request's headers say of where it is to go, whichever protocol brought them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use server_base::VersionChoice;
use server_serving::InferError;

/// Names the version, by number or label, for callers that cannot change the path or the message;
/// in an answer, the version that gave it.
pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("x-salver-version");

/// In an answer that waited for the prediction log: `durable`, or `dropped`.
pub(crate) const LOGGED_HEADER: HeaderName = HeaderName::from_static("x-salver-logged");

/// What an answer's head says beside what every head says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// The version's number, which was made text when it was loaded.
    pub(crate) version: Bytes,
    /// What came of it in the prediction log, if it waited for that.
    pub(crate) logged: Option<&'static str>,
}

impl Notes {
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        // Digits are a header's value.
        if let Ok(version) = HeaderValue::from_maybe_shared(self.version) {
            headers.insert(VERSION_HEADER, version);
        }
        if let Some(logged) = self.logged {
            headers.insert(LOGGED_HEADER, HeaderValue::from_static(logged));
        }
    }
}

/// As many as the plain reader of HTTP/1 takes.
pub(crate) const HEADERS_MAX: usize = 32;

/// A request's headers, as they lie there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Headers<'a> {
    /// None.
    #[default]
    None,
    /// The text of the whole head, which has been read once.
    Text(&'a [u8]),
    /// By name.
    Map(&'a HeaderMap),
}

impl Headers<'_> {
    /// The value of the header of that name, which is in lower case; the first, if there are more.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        match self {
            Headers::None => None,
            Headers::Map(map) => map.get(name).map(|it| it.as_bytes()),
            Headers::Text(text) => {
                // Read again, by the few requests of models that ask for a header.
                let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
                let mut request = httparse::Request::new(&mut headers);
                request.parse(text).ok()?;
                let mut headers = request.headers.iter();
                headers.find(|it| it.name.eq_ignore_ascii_case(name)).map(|it| it.value)
            }
        }
    }

    /// The same of several, with one look at all.
    pub(crate) fn headers(&self, names: [&str; 3]) -> [Option<&[u8]>; 3] {
        let mut found = [None; 3];
        match self {
            Headers::None => {}
            Headers::Map(map) => {
                for (name, value) in *map {
                    note(&mut found, value.as_bytes(), names.map(|it| it == name.as_str()));
                }
            }
            Headers::Text(text) => {
                let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
                let mut request = httparse::Request::new(&mut headers);
                if request.parse(text).is_ok() {
                    for it in request.headers.iter() {
                        note(&mut found, it.value, names.map(|n| n.eq_ignore_ascii_case(it.name)));
                    }
                }
            }
        }
        found
    }
}

/// Puts a header's value where it is that header, unless one has come before.
fn note<'a>(found: &mut [Option<&'a [u8]>; 3], value: &'a [u8], is: [bool; 3]) {
    for (found, is) in found.iter_mut().zip(is) {
        if is && found.is_none() {
            *found = Some(value);
        }
    }
}

/// Which version is asked for: `named` in the path or the message, `said` in the header.
pub(crate) fn choice(
    named: VersionChoice,
    said: Option<&[u8]>,
) -> Result<VersionChoice, InferError> {
    let Some(said) = said else { return Ok(named) };
    let choice = VersionChoice::parse(&String::from_utf8_lossy(said))?;
    if named != VersionChoice::Any && choice != VersionChoice::Any && named != choice {
        let text = format!("{VERSION_HEADER} says version {choice}, the request itself {named}");
        return Err(InferError::Invalid(text));
    }
    Ok(if named == VersionChoice::Any { choice } else { named })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_however_they_lie() {
        let text = "POST / HTTP/1.1\r\nHost: a\r\nX-User: one\r\nx-user: two\r\n\r\n{}";
        let mut map = HeaderMap::new();
        map.append("x-user", "one".parse().expect("ASCII"));
        map.append("x-user", "two".parse().expect("ASCII"));
        for headers in [Headers::Text(text.as_bytes()), Headers::Map(&map)] {
            assert_eq!(headers.header("x-user"), Some(&b"one"[..]), "{headers:?}");
            assert_eq!(headers.header("x-other"), None, "{headers:?}");
            let found = headers.headers(["x-other", "host", "x-user"]);
            let host = headers.header("host");
            assert_eq!(found, [None, host, Some(&b"one"[..])], "{headers:?}");
        }
        assert_eq!(Headers::None.header("x-user"), None);
    }

    #[track_caller]
    fn check(named: &str, said: Option<&str>, expect: Result<&str, &str>) {
        let named = VersionChoice::parse(named).expect("a choice");
        let got = choice(named, said.map(str::as_bytes)).map(|it| it.to_string());
        assert_eq!(
            got.map_err(|it| it.to_string()),
            expect.map(str::to_owned).map_err(str::to_owned)
        );
    }

    #[test]
    fn the_header_speaks_where_the_request_does_not() {
        check("", None, Ok("any"));
        check("", Some("3"), Ok("3"));
        check("", Some("canary"), Ok("canary"));
        check("3", Some("3"), Ok("3"));
        check("3", Some(""), Ok("3"));
        check("3", Some("4"), Err("x-salver-version says version 4, the request itself 3"));
    }
}
