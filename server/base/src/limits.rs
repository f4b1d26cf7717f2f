//! Every bound of the process that is not a bound of one file's own. Each says where it comes
//! from; those that depend on one another are held together at the end.

use std::time::Duration;

/// Longest name of a model: what a file system allows for a folder.
pub const MODEL_NAME_BYTES_MAX: usize = 255;

/// Largest request, unless configured: what Triton's HTTP frontend allows.
pub const REQUEST_BYTES: usize = 64 << 20;

/// Largest request that can be configured: a protobuf message ends at 2 GiB.
pub const REQUEST_BYTES_MAX: usize = (1 << 31) - 1;

/// Bytes of all requests and answers in the house at a time, unless configured: sixteen of the
/// largest requests.
pub const IN_FLIGHT_BYTES: usize = 16 * REQUEST_BYTES;

/// Requests in the house at a time, unless configured: 1 KiB of bookkeeping each is 16 MiB.
pub const IN_FLIGHT_REQUESTS: usize = 16_384;

/// Requests that wait in one lane, unless configured: at 50 µs each, 50 ms of work.
pub const QUEUE_REQUESTS: usize = 1_024;

/// Longest lane that can be configured. A sweep of the queue stays under a millisecond.
pub const QUEUE_REQUESTS_MAX: usize = 65_536;

/// Rows of a batch, unless configured: enough to fill vector units, short enough that a batch of
/// a large model stays under a few seconds on one core.
pub const BATCH_ROWS: usize = 32;

/// Most rows of a batch that can be configured.
pub const BATCH_ROWS_MAX: usize = 65_536;

/// Most elements of a batch that can be configured: beyond what a machine's memory holds.
pub const BATCH_ELEMENTS_MAX: usize = 1 << 40;

/// Axes of a model that can be padded: pictures have two, volumes three.
pub const PADDED_AXES_MAX: usize = 8;

/// Lengths that an axis, or a batch, can be padded to. Each may cost an engine a plan, and at load
/// a run.
pub const PADDED_SIZES_MAX: usize = 64;

/// Longest that an axis can be padded to: a million tokens.
pub const PADDED_LENGTH_MAX: usize = 1 << 20;

/// Longest that a request may be held back to let a batch fill. Longer, and no caller is there.
pub const QUEUE_DELAY_MAX: Duration = Duration::from_secs(1);

/// How long a request may take, unless the model or the caller says less.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time a request may be given at all: never infinite.
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// How long the instances of a version may take to be made and to warm up: a large model's first
/// runs take minutes, not hours.
pub const START_MAX: Duration = Duration::from_secs(1_800);

/// How long a retired version or a stopping server waits for running requests, unless configured.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Instances of one version that can be configured. Each is a thread.
pub const INSTANCES_MAX: usize = 256;

/// Threads inside an operator that can be configured.
pub const THREADS_MAX: usize = 256;

/// Inputs that a request may name, and outputs that it may ask for. Models have a few dozen.
pub const TENSORS_MAX: usize = 1_024;

const _: () = assert!(REQUEST_BYTES <= REQUEST_BYTES_MAX);
const _: () = assert!(REQUEST_BYTES <= IN_FLIGHT_BYTES);
const _: () = assert!(QUEUE_REQUESTS <= QUEUE_REQUESTS_MAX);
const _: () = assert!(BATCH_ROWS <= BATCH_ROWS_MAX);
const _: () = assert!(QUEUE_DELAY_MAX.as_millis() < REQUEST_TIMEOUT.as_millis());
const _: () = assert!(QUEUE_DELAY_MAX.as_millis() < DRAIN.as_millis());
const _: () = assert!(REQUEST_TIMEOUT.as_millis() <= REQUEST_TIMEOUT_MAX.as_millis());
