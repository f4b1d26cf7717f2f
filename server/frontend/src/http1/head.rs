//! The head of a request, if it is one of those that are answered without ceremony.
//!
//! Strict on purpose: whatever is unusual, doubtful or not yet whole is somebody else's (hyper's).
//! So there is no second reading of HTTP/1 here, only the recognition of its plainest form.

use std::ops::Range;

use bytes::Bytes;

use crate::headers::{HEADERS_MAX, Headers, VERSION_HEADER};
use crate::http::{LENGTH_HEADER, Said, TIMEOUT_HEADER};

/// A prediction that is wholly in the buffer. Ranges are of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) model: Range<usize>,
    /// Empty if none is named.
    pub(crate) version: Range<usize>,
    json_length: Option<Range<usize>>,
    timeout: Option<Range<usize>>,
    /// What the header says of the version.
    wanted: Option<Range<usize>>,
    pub(crate) body: Range<usize>,
}

impl Head {
    /// Reads the first request in `buffer`.
    pub(crate) fn parse(buffer: &[u8]) -> Option<Head> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(begin) = request.parse(buffer).ok()? else { return None };
        if request.method != Some("POST") || request.version != Some(1) {
            return None;
        }
        let (model, version) = names(request.path?)?;
        let place = |part: &[u8]| place(buffer, part);
        let mut head = Head {
            model: place(model.as_bytes()),
            version: place(version.as_bytes()),
            json_length: None,
            timeout: None,
            wanted: None,
            body: 0..0,
        };
        let mut length = None;
        for header in request.headers.iter() {
            let value = header.value;
            let once = |place: &mut Option<Range<usize>>| {
                place.replace(self::place(buffer, value)).is_none().then_some(())
            };
            match Known::of(header.name) {
                Known::Length => {
                    let text = std::str::from_utf8(value).ok()?;
                    let digits = text.bytes().all(|it| it.is_ascii_digit());
                    let parsed = text.parse::<usize>().ok().filter(|_| digits)?;
                    length.replace(parsed).is_none().then_some(())?;
                }
                Known::JsonLength => once(&mut head.json_length)?,
                Known::Timeout => once(&mut head.timeout)?,
                Known::Version => once(&mut head.wanted)?,
                Known::Type if value.starts_with(b"application/grpc") => return None,
                Known::Connection if !value.eq_ignore_ascii_case(b"keep-alive") => return None,
                Known::Type | Known::Connection | Known::Other => {}
                Known::Unusual => return None,
            }
        }
        let end = begin.checked_add(length?)?;
        if end > buffer.len() {
            return None;
        }
        head.body = begin..end;
        Some(head)
    }

    /// Model and version, and what goes with the body, of the buffer that the head was read in.
    pub(crate) fn parts<'a>(&self, buffer: &'a Bytes) -> ((&'a str, &'a str), (Said<'a>, Bytes)) {
        let text = |it: &Range<usize>| {
            buffer.get(it.clone()).and_then(|it| std::str::from_utf8(it).ok()).unwrap_or_default()
        };
        let address = (text(&self.model), text(&self.version));
        (address, (self.said(buffer), buffer.slice(self.body.clone())))
    }

    /// What the headers say.
    fn said<'a>(&self, buffer: &'a [u8]) -> Said<'a> {
        let value = |it: &Option<Range<usize>>| buffer.get(it.clone()?);
        let headers = buffer.get(..self.body.start).map_or(Headers::None, Headers::Text);
        let (json_length, timeout) = (value(&self.json_length), value(&self.timeout));
        Said { json_length, timeout, version: value(&self.wanted), headers }
    }
}

/// What a header means here.
enum Known {
    Length,
    JsonLength,
    Timeout,
    Version,
    Type,
    Connection,
    /// Changes how the message is to be read, or asks for something.
    Unusual,
    Other,
}

impl Known {
    fn of(name: &str) -> Known {
        let is = |it: &str| name.eq_ignore_ascii_case(it);
        // By length first: most headers are none of these.
        match name.len() {
            14 if is("content-length") => Known::Length,
            31 if is(LENGTH_HEADER.as_str()) => Known::JsonLength,
            20 if is(TIMEOUT_HEADER.as_str()) => Known::Timeout,
            12 if is("content-type") => Known::Type,
            10 if is("connection") => Known::Connection,
            17 if is("transfer-encoding") => Known::Unusual,
            16 if is(VERSION_HEADER.as_str()) => Known::Version,
            16 if is("content-encoding") || is("proxy-connection") => Known::Unusual,
            6 if is("expect") => Known::Unusual,
            7 if is("upgrade") || is("trailer") => Known::Unusual,
            _ => Known::Other,
        }
    }
}

/// Model and version of the path of a prediction.
fn names(path: &str) -> Option<(&str, &str)> {
    if path.bytes().any(|it| matches!(it, b'%' | b'?' | b'#')) {
        return None;
    }
    let rest = path.strip_prefix("/v2/models/")?.strip_suffix("/infer")?;
    let (model, version) = match rest.split_once('/') {
        None => (rest, &rest[rest.len()..]),
        Some((model, rest)) => (model, rest.strip_prefix("versions/")?),
    };
    let plain = !model.is_empty() && !version.contains('/');
    // An empty version after `versions/` is none of ours to understand.
    (plain && (rest.len() == model.len() || !version.is_empty())).then_some((model, version))
}

/// Where `part` lies in `whole`, of which it is a slice.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let begin = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    begin..begin + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, as `model/version/json length/timeout/body`.
    #[track_caller]
    fn check(line: &str, headers: &str, body: &str, expect: Option<&str>) {
        let text = format!("{line}\r\n{headers}\r\n{body}");
        let buffer = text.as_bytes();
        let got = Head::parse(buffer).map(|it| {
            let said = it.said(buffer);
            let part =
                |it: &Range<usize>| String::from_utf8_lossy(&buffer[it.clone()]).into_owned();
            let value =
                |it: Option<&[u8]>| String::from_utf8_lossy(it.unwrap_or(b"-")).into_owned();
            let (length, timeout) = (value(said.json_length), value(said.timeout));
            [part(&it.model), part(&it.version), length, timeout, part(&it.body)].join("/")
        });
        assert_eq!(got.as_deref(), expect, "{text}");
    }

    const LINE: &str = "POST /v2/models/m/infer HTTP/1.1";

    #[test]
    fn the_plain_form_is_recognised() {
        check(LINE, "Host: x\r\nContent-Length: 2\r\n", "{}", Some("m//-/-/{}"));
        check(LINE, "content-length: 2\r\nConnection: Keep-Alive\r\n", "{}POST", Some("m//-/-/{}"));
        check(
            "POST /v2/models/m/versions/3/infer HTTP/1.1",
            "Content-Length: 4\r\nInference-Header-Content-Length: 2\r\nX-Request-Timeout-Ms: 9\r\n",
            "{}ab",
            Some("m/3/2/9/{}ab"),
        );
    }

    #[test]
    fn the_rest_is_left_to_others() {
        let length = "Content-Length: 2\r\n";
        for line in [
            "GET /v2/models/m/infer HTTP/1.1",
            "POST /v2/models/m/infer HTTP/1.0",
            "POST /v2/models/m%20n/infer HTTP/1.1",
            "POST /v2/models/m/infer?x HTTP/1.1",
            "POST /v2/models//infer HTTP/1.1",
            "POST /v2/models/m/versions//infer HTTP/1.1",
            "POST /v2/models/m/versions/1/2/infer HTTP/1.1",
            "POST /v2/models/m HTTP/1.1",
            "POST http://host/v2/models/m/infer HTTP/1.1",
        ] {
            check(line, length, "{}", None);
        }
        for more in [
            "Content-Length: 2\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\n",
            "Connection: close\r\n",
            "Connection: upgrade\r\n",
            "Content-Encoding: gzip\r\n",
            "Content-Type: application/grpc+proto\r\n",
            "Inference-Header-Content-Length: 1\r\nInference-Header-Content-Length: 2\r\n",
            "Bad Name: x\r\n",
        ] {
            check(LINE, &format!("{length}{more}"), "{}", None);
        }
        check(LINE, "Content-Length: +2\r\n", "{}", None);
        check(LINE, "Content-Length: 99999999999999999999\r\n", "{}", None);
        check(LINE, "", "{}", None);
        check(LINE, length, "{", None);
    }
}
