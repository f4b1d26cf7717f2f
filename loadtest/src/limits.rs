//! Every bound of the load generator, each with its reason.

use std::time::Duration;

/// Largest message taken or sent: twice the 128 MiB that a batch of images tends to reach.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// HTTP/2 window of one stream: a small answer never waits for a window update.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 8 << 20;

/// HTTP/2 window of a connection: eight streams may fill theirs before one has to wait.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

const _: () = assert!(CONNECTION_WINDOW_BYTES >= STREAM_WINDOW_BYTES);

/// Largest HTTP/2 frame we accept: large answers cost fewer frames, and 1 MiB still fits a buffer.
pub(crate) const FRAME_BYTES_MAX: u32 = 1 << 20;

/// The histogram's range. Above it a latency counts as the maximum; requests time out earlier.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(120);

/// Significant digits of the histogram: 0.1 % of the value.
pub(crate) const LATENCY_DIGITS: u8 = 3;

/// A longer timeout would not fit the histogram.
pub(crate) const TIMEOUT_MAX: Duration = LATENCY_MAX;

/// The pause after the first failed attempt to connect; it doubles with each further one.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(10);

/// The longest pause between two attempts: a server that returns is found within a second.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Connections of one run: half of what a default limit of file descriptors has room for.
pub(crate) const CONNECTIONS_MAX: usize = 512;

/// Servers that take turns: as many as a picture has lines that can be told apart.
pub(crate) const TARGETS_MAX: usize = 8;

/// Rates of an open loop: once in a quarter of an hour, to beyond what one machine can send.
pub(crate) const RATES_PER_S: std::ops::RangeInclusive<f64> = 1e-3..=1e7;

/// Points of a sweep: as many as a line of a picture can show.
pub(crate) const POINTS_MAX: usize = 64;

/// Requests that a probe of the search should have for its percentile to mean something.
pub(crate) const PROBE_REQUESTS: f64 = 200.0;

/// What a probe may be prolonged to for that: a slow model is searched for minutes, not for hours.
pub(crate) const PROBE_MAX: Duration = Duration::from_secs(30);

/// Parts of a run with a row each: two histograms for every thread, of some 140 KB each, and one
/// more for each kind of failure.
pub(crate) const PHASES_MAX: usize = 100;

/// Requests of one burst: as many as a closed loop may have in flight.
pub(crate) const BURST_REQUESTS_MAX: u32 = 65_536;

/// A trace is read whole.
pub(crate) const TRACE_BYTES_MAX: u64 = 1 << 30;

/// Arrivals of a trace, of 32 bytes each in memory.
pub(crate) const TRACE_LINES_MAX: usize = 20_000_000;

/// Models under load at once: a histogram each for every thread, of some 180 KB.
pub(crate) const MODELS_MAX: usize = 64;

/// Requests in flight of a closed loop: as many tasks, of a few kilobytes each.
pub(crate) const CONCURRENCY_MAX: usize = 65_536;

/// Load threads: above the cores of any client machine.
pub(crate) const THREADS_MAX: usize = 256;

/// Bytes of all distinct requests together; they are built before the run and kept.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 4 << 30;

/// A recording is read whole.
pub(crate) const RECORDING_BYTES_MAX: u64 = 1 << 30;

/// Arrivals sent in one go before the thread looks after its connections again.
pub(crate) const BURST_MAX: usize = 64;

/// The generator's own delay above which its measurements are no longer the server's.
pub(crate) const LATENESS_MAX: Duration = Duration::from_millis(1);

/// The share of a core above which a load thread counts as saturated.
pub(crate) const THREAD_BUSY_MAX: f64 = 0.9;

/// Above this share of the client's ceiling, a result says more about the client.
pub(crate) const CEILING_SHARE_MAX: f64 = 0.9;

/// A load thread that waited so long for a core had neighbours that disturb what it measured.
pub(crate) const THREAD_WAITING_MAX: f64 = 0.1;

/// In flight while the ceiling is measured: enough that neither side ever runs dry.
pub(crate) const CEILING_IN_FLIGHT: usize = 64;

/// Before the ceiling is measured: caches and branch predictors, there is nothing else to warm.
pub(crate) const CEILING_WARMUP: Duration = Duration::from_millis(200);

/// The ceiling of a client is found in seconds.
pub(crate) const CEILING_MAX: Duration = Duration::from_secs(60);

/// Canned answers that the echo server keeps, one per number of rows.
pub(crate) const CANNED_MAX: usize = 64;

/// Bytes of one answer of the echo server; a request that asks for more is refused.
pub(crate) const ECHO_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
