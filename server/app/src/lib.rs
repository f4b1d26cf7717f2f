//! Composition: from settings to a running server, and the command line around it.
//!
//! The only crate that reads flags, files and the environment, and the only one that knows all the
//! others. `serve` is the whole server in one function; `commands` are clients of a running one.

mod audit;
pub mod cli;
mod client;
mod commands;
mod engines;
mod findings;
#[cfg(feature = "drift")]
mod fleet;
#[cfg(feature = "drift")]
#[cfg_attr(not(feature = "registries"), path = "no_fleet_store.rs")]
mod fleet_store;
#[cfg(feature = "drift")]
mod fleet_settings;
#[cfg_attr(not(feature = "nvml"), path = "no_gpus.rs")]
mod gpus;
mod inspect;
mod loaded;
#[cfg_attr(not(feature = "registries"), path = "no_objects.rs")]
mod objects;
mod compared;
#[cfg_attr(not(feature = "kafka"), path = "no_kafka.rs")]
mod kafka;
#[cfg_attr(not(feature = "registries"), path = "no_log_sinks.rs")]
mod log_sinks;
mod prediction_log;
mod process;
pub mod recorder;
pub mod serve;
pub mod settings;
pub mod share;
mod stock;
pub mod telemetry;
mod triggers;
mod verdicts;
mod wanted;
mod webhook;

pub use commands::run;
