//! What kind of end a request came to, and over which protocol it came.

/// Kind of an error: what a caller can do about it. Callers branch on this, never on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong and will be wrong again.
    Invalid,
    /// No such model, version or label.
    NotFound,
    /// More bytes than a request may have.
    TooLarge,
    /// No room now; worth another try after a pause.
    Overloaded,
    /// The request's time was up before an answer was there.
    Expired,
    /// The caller sent its request too slowly.
    Slow,
    /// The body is encoded in a way that is not served.
    Encoding,
    /// The caller went away.
    Cancelled,
    /// Nothing is ready to answer: loading, draining.
    Unavailable,
    /// Understood, but this server does not do it.
    Unimplemented,
    /// Our fault, or the model's.
    Internal,
}

impl Kind {
    /// All of them, in the order of their numbers as array places.
    pub const ALL: [Kind; 11] = [
        Kind::Invalid,
        Kind::NotFound,
        Kind::TooLarge,
        Kind::Overloaded,
        Kind::Expired,
        Kind::Slow,
        Kind::Encoding,
        Kind::Cancelled,
        Kind::Unavailable,
        Kind::Unimplemented,
        Kind::Internal,
    ];

    /// The value of the `code` label on `/metrics`: names of gRPC, whatever the protocol.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Invalid => "INVALID_ARGUMENT",
            Kind::NotFound => "NOT_FOUND",
            Kind::TooLarge => "RESOURCE_EXHAUSTED",
            Kind::Overloaded => "UNAVAILABLE",
            Kind::Expired | Kind::Slow => "DEADLINE_EXCEEDED",
            Kind::Cancelled => "CANCELLED",
            Kind::Unavailable => "UNAVAILABLE",
            Kind::Unimplemented | Kind::Encoding => "UNIMPLEMENTED",
            Kind::Internal => "INTERNAL",
        }
    }
}

/// How a request came in. Also the value of the `protocol` label on `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// REST over HTTP, JSON or binary.
    Http,
}

impl Protocol {
    /// Both.
    pub const ALL: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http",
        }
    }
}
