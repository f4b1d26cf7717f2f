//! What the headers of an infer request say, as far as it means something.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use server_base::VersionChoice;
use server_serving::InferError;

use super::binary::LENGTH_HEADER;
use crate::headers::{self, Headers, VERSION_HEADER};

/// The caller's patience in milliseconds, for callers that can set a header more easily than a
/// parameter.
pub(crate) const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-request-timeout-ms");

/// Values as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    /// How long the JSON is in front of the tensors' bytes.
    pub(crate) json_length: Option<&'a [u8]>,
    /// How long the caller waits.
    pub(crate) timeout: Option<&'a [u8]>,
    /// Which version the caller wants.
    pub(crate) version: Option<&'a [u8]>,
    /// All of them.
    pub(crate) headers: Headers<'a>,
}

impl<'a> Said<'a> {
    /// Refuses what would have to be understood in two ways, or cannot be.
    pub(crate) fn new(headers: &'a HeaderMap) -> Result<Said<'a>, InferError> {
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && encoding != "identity"
        {
            let text = String::from_utf8_lossy(encoding.as_bytes());
            return Err(InferError::Encoding { encoding: text.chars().take(32).collect() });
        }
        let mut lengths = headers.get_all(LENGTH_HEADER).iter();
        let json_length = lengths.next().map(|it| it.as_bytes());
        if lengths.next().is_some() {
            return Err(InferError::Invalid(format!("{LENGTH_HEADER} is given twice")));
        }
        let value = |name| headers.get(name).map(|it: &http::HeaderValue| it.as_bytes());
        let (timeout, version) = (value(TIMEOUT_HEADER), value(VERSION_HEADER));
        Ok(Said { json_length, timeout, version, headers: Headers::Map(headers) })
    }

    /// Which version is asked for, if the path says this.
    pub(crate) fn choice(&self, path: &str) -> Result<VersionChoice, InferError> {
        headers::choice(VersionChoice::parse(path)?, self.version)
    }

    /// Is the body one tensor and nothing else? As `binary::split` reads it.
    pub(crate) fn is_raw(&self) -> bool {
        let zeros = |it: &[u8]| !it.is_empty() && it.iter().all(|it| *it == b'0');
        self.json_length.is_some_and(zeros)
    }

    /// How long the caller waits.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, InferError> {
        let Some(value) = self.timeout else { return Ok(None) };
        let text = String::from_utf8_lossy(value);
        let millis = text.parse::<u64>().map_err(|_| {
            InferError::Invalid(format!("{TIMEOUT_HEADER} is {text:?}, expected milliseconds"))
        })?;
        Ok(Some(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(HeaderName, &str)], expect: Result<(Option<&str>, Option<u64>), &str>) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a header")))
            .collect();
        let got = Said::new(&headers).and_then(|it| {
            let length = it.json_length.map(|it| String::from_utf8_lossy(it).into_owned());
            Ok((length, it.timeout()?.map(|it| it.as_secs())))
        });
        let got = got.map_err(|it| it.to_string());
        let expect = expect.map(|(length, timeout)| (length.map(str::to_owned), timeout));
        assert_eq!(got, expect.map_err(str::to_owned));
    }

    #[test]
    fn headers_are_read_or_refused() {
        check(&[], Ok((None, None)));
        check(&[(LENGTH_HEADER, "7"), (TIMEOUT_HEADER, "2000")], Ok((Some("7"), Some(2))));
        check(
            &[(LENGTH_HEADER, "2"), (LENGTH_HEADER, "2")],
            Err("inference-header-content-length is given twice"),
        );
        check(
            &[(TIMEOUT_HEADER, "soon")],
            Err("x-request-timeout-ms is \"soon\", expected milliseconds"),
        );
        check(
            &[(header::CONTENT_ENCODING, "gzip")],
            Err("content encoding 'gzip' is not served, send the body as it is"),
        );
    }
}
