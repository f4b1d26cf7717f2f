//! The whole server in one process, on real sockets, with scripted models.

#[cfg(feature = "rollouts")]
mod bench;
mod house;

mod cancel;
#[cfg(all(feature = "drift", feature = "truth"))]
mod concept;
#[cfg(all(feature = "fleet", feature = "nvml", feature = "rollouts", feature = "tune"))]
mod documents;
mod drain;
#[cfg(feature = "nvml")]
mod gpus;
mod lazy;
mod memory;
#[cfg(feature = "drift")]
mod monitor;
mod overload;
mod peers;
mod plain;
mod proof;
#[cfg(feature = "rollouts")]
mod rollout;
mod swap;
mod traffic;
#[cfg(all(feature = "truth", feature = "rollouts"))]
mod truth;
#[cfg(feature = "triggers")]
mod triggers;
#[cfg(feature = "tune")]
mod tune;
#[cfg(feature = "rollouts")]
mod unasked;
#[cfg(not(feature = "rollouts"))]
mod without_rollouts;
