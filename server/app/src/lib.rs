//! Composition: from settings to a running server, and the command line around it.
//!
//! The only crate that reads flags, files and the environment, and the only one that knows all the
//! others. `serve` is the whole server in one function; `commands` are clients of a running one.

mod audit;
pub mod cli;
mod client;
mod commands;
mod control;
mod engines;
#[cfg(feature = "rollouts")]
mod evidence;
mod findings;
#[cfg(feature = "fleet")]
mod fleet;
#[cfg(feature = "fleet")]
mod fleet_settings;
#[cfg_attr(not(feature = "nvml"), path = "no_gpus.rs")]
mod gpus;
mod inspect;
mod loaded;
#[cfg(feature = "rollouts")]
#[cfg_attr(not(feature = "registries"), path = "no_objects.rs")]
mod objects;
#[cfg(feature = "parquet")]
#[cfg_attr(not(feature = "registries"), path = "no_log_source.rs")]
mod log_source;
#[cfg(feature = "parquet")]
mod log_reader;
#[cfg_attr(not(feature = "parquet"), path = "no_logged.rs")]
mod logged;
#[cfg(feature = "parquet")]
mod wire;
#[cfg_attr(not(feature = "kafka"), path = "no_kafka.rs")]
mod kafka;
mod built;
#[cfg_attr(not(all(feature = "registries", feature = "parquet")), path = "no_log_stores.rs")]
mod log_stores;
mod log_sinks;
#[cfg_attr(not(all(feature = "truth", feature = "parquet")), path = "no_label_log.rs")]
mod label_log;
#[cfg_attr(not(feature = "drift"), path = "no_monitors.rs")]
mod monitors;
mod prediction_log;
mod process;
pub mod recorder;
#[cfg_attr(not(feature = "rollouts"), path = "no_rollouts.rs")]
pub mod rollouts;
pub mod serve;
pub mod settings;
#[cfg(feature = "rollouts")]
mod share;
mod sourced;
mod stock;
pub mod telemetry;
#[cfg_attr(not(feature = "triggers"), path = "no_triggers.rs")]
mod triggers;
#[cfg_attr(not(feature = "truth"), path = "no_truth.rs")]
mod truth;
#[cfg(feature = "rollouts")]
mod verdicts;
mod wanted;
mod webhook;

pub use commands::run;
