//! What headers, trailers and broken streams say about a call.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;

use crate::failure::{Failure, FailureKind};

/// Names that are parsed once, not for each answer.
static STATUS: HeaderName = HeaderName::from_static("grpc-status");
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The status in these headers; `None` if they carry none.
pub(super) fn of_headers(headers: &HeaderMap) -> Option<Result<(), Failure>> {
    let code = headers.get(&STATUS)?;
    if code == "0" {
        return Some(Ok(()));
    }
    let message = headers.get(&MESSAGE).map(HeaderValue::as_bytes).unwrap_or_default();
    let message = percent_decode(message).decode_utf8_lossy().into_owned();
    let code = code.to_str().ok().and_then(|it| it.parse().ok());
    Some(Err(match code {
        Some(code) => Failure { kind: FailureKind::Grpc(code), message },
        None => Failure::malformed("grpc-status is not a number"),
    }))
}

/// A stream that ended without a status.
///
/// # Source
/// gRPC over HTTP/2, "Errors": how the codes of RST_STREAM map to gRPC's.
pub(super) fn of_stream(error: &h2::Error) -> Failure {
    let reason = error.reason().filter(|_| error.is_reset());
    let Some(reason) = reason else { return Failure::connection(error) };
    let code = match reason {
        h2::Reason::REFUSED_STREAM => 14,
        h2::Reason::CANCEL => 1,
        h2::Reason::ENHANCE_YOUR_CALM => 8,
        h2::Reason::INADEQUATE_SECURITY => 7,
        _ => 13,
    };
    Failure { kind: FailureKind::Grpc(code), message: error.to_string() }
}
