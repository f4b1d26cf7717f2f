//! What a call says about itself in its headers.

use std::time::Duration;

use http::HeaderMap;

/// The time the caller gives, from `grpc-timeout`: at most eight digits and a unit.
/// A value that is none is no limit: gRPC leaves that to the server, whose own limits hold.
///
/// # Source
/// gRPC over HTTP/2, "Timeout → TimeoutValue TimeoutUnit".
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart() {
        let parse = |it: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", it.parse().expect("ASCII"));
            timeout(&headers)
        };
        assert_eq!(parse("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parse("2M"), Some(Duration::from_secs(120)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(359_999_996_400)));
        for text in ["", "5", "m", "-5m", "5x", "123456789m", "5 m"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
