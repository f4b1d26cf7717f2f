//! Why a request was not answered, in kinds that can be counted.
//!
//! Made by the clients and by `station` (timeouts); counted by `tally`.

use std::fmt;

/// What failures are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FailureKind {
    /// The server answered with this gRPC status code.
    Grpc(u16),
    /// The server answered with this HTTP status.
    Http(u16),
    /// No answer within the time allowed.
    Timeout,
    /// No connection, or it broke before the answer was complete.
    Connection,
    /// An answer that breaks the protocol's framing.
    Malformed,
}

impl FailureKind {
    /// Did the server say that it has too much to do? Such an answer should come at once.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(
            self,
            FailureKind::Grpc(RESOURCE_EXHAUSTED | UNAVAILABLE) | FailureKind::Http(429 | 503)
        )
    }

    /// Did the server say that the request's time was over?
    pub(crate) fn is_expiry(self) -> bool {
        matches!(self, FailureKind::Grpc(DEADLINE_EXCEEDED) | FailureKind::Http(504))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn connection(message: impl fmt::Display) -> Failure {
        Failure { kind: FailureKind::Connection, message: message.to_string() }
    }

    pub(crate) fn malformed(message: impl fmt::Display) -> Failure {
        Failure { kind: FailureKind::Malformed, message: message.to_string() }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FailureKind::Grpc(code) => match GRPC_CODES.get(usize::from(code)) {
                Some(name) => out.write_str(name),
                None => write!(out, "gRPC code {code}"),
            },
            FailureKind::Http(status) => write!(out, "HTTP {status}"),
            FailureKind::Timeout => out.write_str("timeout"),
            FailureKind::Connection => out.write_str("connection"),
            FailureKind::Malformed => out.write_str("malformed answer"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Failure {}

const DEADLINE_EXCEEDED: u16 = 4;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNAVAILABLE: u16 = 14;

/// The names of gRPC's status codes, by number.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
