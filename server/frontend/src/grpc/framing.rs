//! The five bytes in front of a gRPC message.
//!
//! # Source
//! gRPC over HTTP/2, "Length-Prefixed-Message → Compressed-Flag Message-Length Message".

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use server_serving::InferError;

/// A flag and the message's length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Bytes beside the payload that a request within the limit may have: the prefix and the names
/// and shapes around the tensors.
const ENVELOPE_BYTES: usize = 64 << 10;

/// How many bytes a body may have if its payload may have so many.
pub(crate) fn bytes_max(payload_max: usize) -> usize {
    payload_max.saturating_add(ENVELOPE_BYTES)
}

/// The one message of a unary call's body, whose payload may have so many bytes.
pub(crate) fn message(
    headers: &HeaderMap,
    mut body: Bytes,
    payload_max: usize,
) -> Result<Bytes, InferError> {
    let got = body.len();
    if got < PREFIX_BYTES {
        let text = format!("the call has {got} bytes, a message has at least {PREFIX_BYTES}");
        return Err(InferError::Invalid(text));
    }
    let compressed = body.get_u8();
    let length = usize::try_from(body.get_u32()).unwrap_or(usize::MAX);
    if length > bytes_max(payload_max) {
        return Err(InferError::TooLarge { bytes_max: payload_max });
    }
    if compressed != 0 {
        let encoding = headers.get("grpc-encoding").and_then(|it| it.to_str().ok());
        let encoding = encoding.unwrap_or("unknown").chars().take(32).collect();
        return Err(InferError::Encoding { encoding });
    }
    if body.len() != length {
        let text = format!(
            "the message's prefix says {length} bytes, {} came; a call has one message",
            body.len()
        );
        return Err(InferError::Invalid(text));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &'static [u8], expect: Result<&'static [u8], &str>) {
        let got =
            message(&HeaderMap::new(), Bytes::from_static(body), 8).map_err(|it| it.to_string());
        assert_eq!(got, expect.map(Bytes::from_static).map_err(str::to_owned));
    }

    #[test]
    fn a_body_is_one_message() {
        check(b"\0\0\0\0\x02ab", Ok(b"ab"));
        check(b"\0\0\0\0\0", Ok(b""));
        check(b"\0\0\0", Err("the call has 3 bytes, a message has at least 5"));
        let text = |length: usize, came: usize| {
            format!("the message's prefix says {length} bytes, {came} came; a call has one message")
        };
        check(b"\0\0\0\0\x02a", Err(&text(2, 1)));
        check(b"\0\0\0\0\x01a\0\0\0\0\x01a", Err(&text(1, 7)));
        check(
            b"\0\xff\xff\xff\xffabc",
            Err("request has more than 8 bytes, the limit that --request-bytes-max sets"),
        );
        check(
            b"\x01\0\0\0\x01a",
            Err("content encoding 'unknown' is not served, send the body as it is"),
        );
    }
}
