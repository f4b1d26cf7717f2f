//! Words that every part of the server speaks: names, versions, requests, error kinds, limits.
//!
//! Used by all server crates; uses only the seam. No behaviour beyond checking a value at the door, and writing files.

pub mod calendar;
pub mod files;
mod finding;
mod ids;
mod journal;
mod kept;
mod kind;
pub mod limits;
mod origin;
mod log;
mod record;
mod request;
mod series;
pub mod settings;
mod truth;

pub use finding::{Finding, FindingKind, Findings};
pub use ids::{IdError, ModelName, Version, VersionChoice};
pub use journal::Journal;
pub use kept::{Kept, KeptTensor};
pub use kind::{Kind, Protocol};
pub use log::{
    LogConfig, LogMode, LowConfidence, PredictionLog, Share, Subject, Told, Unlogged, VersionLog,
};
pub use origin::{Content, Origin, Origins};
pub use record::{Drawn, EventId, REQUEST_ID_BYTES_MAX, Reason, Record, Route, Trace};
pub use request::{InferRequest, InferResponse, NamedTensor, NamedTensors, Timing};
pub use series::{LATENCY_BUCKETS, Series, SeriesKind};
pub use truth::{Metric, Task, TruthConfig};
