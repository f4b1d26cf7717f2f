//! The binary tensor extension: JSON first, then the bytes of the tensors, in order.

use bytes::Bytes;
use http::HeaderName;
use server_serving::InferError;

/// Tells how long the JSON is; what follows are tensors.
pub(crate) const LENGTH_HEADER: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// A body taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) json: Bytes,
    pub(crate) tensors: Bytes,
    /// The header said 0: the body is one tensor and nothing else.
    pub(crate) raw: bool,
}

/// How many bytes of a body are JSON, as its header says; without the header all of them.
pub(crate) fn json_length(length: Option<&[u8]>, body: usize) -> Result<usize, InferError> {
    let Some(value) = length else { return Ok(body) };
    let text = String::from_utf8_lossy(value);
    let digits = Some(&text).filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
    let length = digits.and_then(|it| it.parse::<usize>().ok()).ok_or_else(|| {
        InferError::Invalid(format!("{LENGTH_HEADER} is {text:?}, expected a number of bytes"))
    })?;
    if length > body {
        return Err(InferError::Invalid(format!(
            "inference header size should be in range (0, {body}), got: {length}"
        )));
    }
    Ok(length)
}

/// Splits a body there.
pub(crate) fn split(length: Option<&[u8]>, body: Bytes) -> Result<Parts, InferError> {
    let (end, raw) = (json_length(length, body.len())?, length.is_some());
    let mut json = body;
    let tensors = json.split_off(end);
    Ok(Parts { json, tensors, raw: raw && end == 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: Option<&str>, expect: Result<(&'static str, &'static str), &str>) {
        let got = split(value.map(str::as_bytes), Bytes::from_static(b"{}abc"));
        let got = got.map(|it| (it.json, it.tensors)).map_err(|it| it.to_string());
        let bytes = |(a, b): (&'static str, &'static str)| {
            (Bytes::from_static(a.as_bytes()), Bytes::from_static(b.as_bytes()))
        };
        assert_eq!(got, expect.map(bytes).map_err(str::to_owned));
    }

    #[test]
    fn the_header_says_where_the_json_ends() {
        check(None, Ok(("{}abc", "")));
        check(Some("2"), Ok(("{}", "abc")));
        check(Some("5"), Ok(("{}abc", "")));
        check(Some("0"), Ok(("", "{}abc")));
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        check(Some("6"), Err("inference header size should be in range (0, 5), got: 6"));
        for value in ["-1", "+2", "", " ", "2.0", "0x2", "99999999999999999999999"] {
            let text =
                format!("inference-header-content-length is {value:?}, expected a number of bytes");
            check(Some(value), Err(&text));
        }
    }
}
