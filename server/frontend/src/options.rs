//! What the frontend allows its peers. Every number says where it comes from.

use std::time::Duration;

use server_base::limits;

/// Bounds on connections and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Largest request, as JSON, as binary tensors or as a message.
    pub request_bytes_max: usize,
    /// Bounds on what a connection may do.
    pub connections: ConnectionLimits,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            request_bytes_max: limits::REQUEST_BYTES,
            connections: ConnectionLimits::default(),
        }
    }
}

/// Bounds on connections of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open at a time; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// From the accept to the first byte.
    pub first_byte: Duration,
    /// From a request's first byte to the end of its header (HTTP/1).
    pub header: Duration,
    /// Without any request.
    pub idle: Duration,
    /// While nothing of an answer can be written.
    pub write_stall: Duration,
    /// A body may be as slow as it likes for so long; from then on `body_rate_min` counts.
    pub body_grace: Duration,
    /// Bytes per second of a body behind its grace.
    pub body_rate_min: u64,
    /// Requests in flight on one HTTP/2 connection.
    pub streams_max: u32,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            // 8 KiB of buffers each: 64 MiB. The usual limit of 1,024 descriptors is raised at the
            // start; what cannot be raised shows as accept errors, which are survived.
            connections_max: 8_192,
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            // Longer than the idle time of common balancers, so that they close first.
            idle: Duration::from_secs(300),
            write_stall: Duration::from_secs(30),
            body_grace: Duration::from_secs(10),
            body_rate_min: 1_024,
            // Above the 100 that HTTP/2 recommends at least; bounds what one peer can hold.
            streams_max: 256,
        }
    }
}

/// Data of one stream, and of one connection, that may be under way unread: large enough to keep
/// a fast link busy with image-sized tensors.
pub(crate) const STREAM_WINDOW: u32 = 8 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 32 << 20;

/// Largest HTTP/2 frame we take: larger than the minimum of 16 KiB, so that a tensor is fewer frames.
pub(crate) const FRAME_BYTES_MAX: u32 = 1 << 20;

/// What is buffered of an HTTP/1 connection in each direction, a request's header whole.
pub(crate) const HTTP1_BUFFER_BYTES: usize = 64 << 10;

/// Headers of one request.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Streams that we reset because of the peer's faults before the connection is closed.
pub(crate) const RESETS_MAX: usize = 1_024;

/// How often an HTTP/2 peer is asked whether it lives, and how long it may take to say so.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Bodies of requests other than predictions: commands, a few hundred bytes.
pub(crate) const COMMAND_BYTES_MAX: usize = 1 << 20;

/// Longest error text that is sent.
pub(crate) const ERROR_BYTES_MAX: usize = 900;

const _: () = assert!(STREAM_WINDOW <= CONNECTION_WINDOW);
