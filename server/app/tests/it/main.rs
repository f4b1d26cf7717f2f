//! The whole server in one process, on real sockets, with scripted models.

mod house;

mod cancel;
mod concept;
mod documents;
mod drain;
#[cfg(feature = "nvml")]
mod gpus;
mod lazy;
mod memory;
mod monitor;
mod overload;
mod peers;
mod plain;
mod proof;
mod rollout;
mod swap;
mod truth;
mod triggers;
mod tune;
