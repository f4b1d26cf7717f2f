//! The prediction log: what was asked and answered, written down beside the path of requests.
//!
//! The modules stand in the order in which a record meets them. A request offers a record and goes on;
//! the log's own thread makes rows of it and writes them to segments on the disk; each sink, on a thread of its
//! own, reads the segments and delivers them: here, as Parquet files and as lines of JSON. Nothing here
//! knows a protocol or the hot path: records come in by the traits of `server_base`.

mod version;
mod weight;
mod copies;
mod parcel;
mod list;
mod queue;
mod schema;
mod rows;
mod values;
mod marks;
mod redact;
mod writer;
mod batch;
mod segment;
mod frame;
mod files;
mod recover;
mod catalogue;
mod recent;
mod delivery;
mod sink;
#[cfg(feature = "parquet")]
mod place;
#[cfg(feature = "parquet")]
mod parquet;
mod hive;
#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
mod retention;
mod jsonlines;
mod keys;
mod objects;
mod past;
#[cfg(feature = "parquet")]
pub mod source;
#[cfg(feature = "parquet")]
mod archive;
#[cfg(feature = "parquet")]
mod export;
#[cfg(feature = "parquet")]
mod reader;
#[cfg(feature = "parquet")]
mod again;
#[cfg(feature = "parquet")]
mod input;
#[cfg(feature = "parquet")]
mod labels;
mod json;
mod event_batch;
mod cloudevents;
mod manifest;
mod messages;
#[cfg(feature = "parquet")]
mod label_events;
#[cfg(feature = "parquet")]
mod label_messages;
#[cfg(feature = "parquet")]
mod unpacked;
mod log;
pub mod metrics;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;

#[cfg(feature = "parquet")]
pub use again::{rows_of_last, rows_of_whole};
#[cfg(feature = "parquet")]
pub use archive::{Found, Newest, Wanted, files, open, read};
pub use catalogue::Position;
pub use cloudevents::{CloudEvents, Event, Events, Post, ROW, source_of, source_of_model};
#[cfg(feature = "parquet")]
pub use export::{Columns, Export};
pub use files::{Append, Disk, Files};
pub use hive::{hour_folder, hour_of, version_folder};
pub use json::tensor_json;
pub use jsonlines::JsonLines;
#[cfg(feature = "parquet")]
pub use label_events::{LABEL, LABELS_TOPIC_SUFFIX, LabelEvents, LabelMessages};
#[cfg(feature = "parquet")]
pub use label_messages::label_of;
#[cfg(feature = "parquet")]
pub use labels::{
    LABELS_SUFFIX, LabelFiles, LabelRow, LabelValue, label_hour, labels_folder, read_labels,
};
pub use log::{Log, MakeSinks, Options, StartError};
pub use manifest::columns_of;
pub use messages::{
    COLUMNS, MESSAGE_BYTES_MAX, Message, Messages, Produce, WAITING_BYTES_MAX, WAITING_MAX,
};
#[cfg(feature = "parquet")]
pub use parquet::ParquetSink;
pub use past::{Gap, Past, requests};
#[cfg(feature = "parquet")]
pub use place::{Place, Whole};
#[cfg(feature = "parquet")]
pub use reader::LogFile;
pub use redact::Key;
pub use retention::Keep;
pub use schema::{FORM, schema};
pub use sink::{LeftOut, Rows, Sink};
#[cfg(feature = "parquet")]
pub use unpacked::rows_of;
