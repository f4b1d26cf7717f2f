//! How a server is told until when an answer is of use.
//!
//! Used by the clients. What is said is the time that is left, so it is written for each request.

use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};

/// Salver's own: plain HTTP has no such header.
pub(crate) static HTTP: HeaderName = HeaderName::from_static("x-request-timeout-ms");
pub(crate) static GRPC: HeaderName = HeaderName::from_static("grpc-timeout");

/// The digits that `grpc-timeout` may have.
const GRPC_DIGITS: u32 = 8;

/// In whole milliseconds, at least one: 0 would be no time at all.
pub(crate) fn http(by: Instant) -> HeaderValue {
    HeaderValue::from(millis(left(by)))
}

/// In µs where they fit, in ms otherwise.
pub(crate) fn grpc(by: Instant) -> HeaderValue {
    // Digits and a letter are always a valid value; without one, the server has its own limit.
    HeaderValue::try_from(grpc_text(left(by))).unwrap_or(HeaderValue::from_static("99999999S"))
}

pub(crate) fn grpc_text(left: Duration) -> String {
    let micros = left.as_micros().max(1);
    if micros < 10_u128.pow(GRPC_DIGITS) {
        format!("{micros}u")
    } else {
        format!("{}m", millis(left))
    }
}

pub(crate) fn millis(left: Duration) -> u64 {
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn left(by: Instant) -> Duration {
    by.saturating_duration_since(Instant::now())
}
