//! The one place that knows both vocabularies: kinds of errors as gRPC codes and HTTP statuses.

use http::StatusCode;
use server_base::Kind;
use tonic::Code;

use crate::options::ERROR_BYTES_MAX;

/// The gRPC code and the HTTP status of a kind. A client's mistake is always 4xx.
pub(crate) fn status(kind: Kind) -> (Code, StatusCode) {
    match kind {
        Kind::Invalid => (Code::InvalidArgument, StatusCode::BAD_REQUEST),
        Kind::NotFound => (Code::NotFound, StatusCode::NOT_FOUND),
        Kind::TooLarge => (Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE),
        // As Triton answers; clients of KServe retry UNAVAILABLE alone.
        Kind::Overloaded | Kind::Unavailable => {
            (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE)
        }
        Kind::Expired => (Code::DeadlineExceeded, StatusCode::GATEWAY_TIMEOUT),
        Kind::Slow => (Code::DeadlineExceeded, StatusCode::REQUEST_TIMEOUT),
        Kind::Encoding => (Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        Kind::Cancelled => (Code::Cancelled, StatusCode::BAD_REQUEST),
        Kind::Unimplemented => (Code::Unimplemented, StatusCode::NOT_IMPLEMENTED),
        Kind::Internal => (Code::Internal, StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Is it worth trying again after a pause?
pub(crate) fn is_retriable(kind: Kind) -> bool {
    matches!(kind, Kind::Overloaded | Kind::Unavailable)
}

/// An error's text, cut to what is worth sending: it may quote what the caller sent. Measured as
/// JSON writes it, where a control character takes six bytes.
pub(crate) fn clipped(mut text: String) -> String {
    let mut written = 0;
    let cut = text.char_indices().find_map(|(at, character)| {
        written += match character {
            '"' | '\\' => 2,
            it if it.is_ascii_control() => 6,
            it => it.len_utf8(),
        };
        (written > ERROR_BYTES_MAX).then_some(at)
    });
    if let Some(at) = cut {
        text.truncate(at);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_pair() {
        let table: Vec<(&str, i32, u16)> = Kind::ALL
            .into_iter()
            .map(|kind| (kind.label(), status(kind).0 as i32, status(kind).1.as_u16()))
            .collect();
        assert_eq!(
            table,
            [
                ("INVALID_ARGUMENT", 3, 400),
                ("NOT_FOUND", 5, 404),
                ("RESOURCE_EXHAUSTED", 8, 413),
                ("UNAVAILABLE", 14, 503),
                ("DEADLINE_EXCEEDED", 4, 504),
                ("DEADLINE_EXCEEDED", 4, 408),
                ("UNIMPLEMENTED", 12, 415),
                ("CANCELLED", 1, 400),
                ("UNAVAILABLE", 14, 503),
                ("UNIMPLEMENTED", 12, 501),
                ("INTERNAL", 13, 500),
            ]
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = clipped("ä".repeat(1_000));
        assert!(text.len() <= ERROR_BYTES_MAX + 3 && text.ends_with("ä..."), "{}", text.len());
        assert_eq!(clipped("short".to_owned()), "short");
        for long in ["\0", "\"", "\u{7f}"] {
            let json = serde_json::to_string(&clipped(long.repeat(5_000))).expect("text");
            assert!(json.len() <= 1_000, "{} bytes", json.len());
        }
    }
}
