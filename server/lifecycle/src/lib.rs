//! Which versions are loaded: the control plane of a local model repository.
//!
//! The modules stand in the order of one turn of the manager: scan the folder, see what has
//! settled, decide what is wanted, take the next action, load or unload on another thread, publish
//! the table. `app` starts it; the frontend holds its [`Lifecycle`] handle for the repository API.

mod scanner;
mod repository;
mod settle;
mod config;
mod contradictions;
mod said;
mod gpu;
mod litert;
mod folder;
mod desired;
mod state;
mod policy;
mod warm;
mod engines;
mod eviction;
mod memory;
mod lazy;
mod fault;
mod load;
mod warmup;
mod asked;
mod shapes;
mod leak;
mod padding;
mod traffic;
mod truth;
mod direction;
mod declared;
#[cfg_attr(not(feature = "rollouts"), path = "no_plan.rs")]
mod plan;
mod probe;
mod proof;
mod prove;
mod replay;
mod digest;
mod logging;
mod monitoring;
mod placement;
mod lacks;
mod loader;
mod manager;
mod models;
mod retries;
mod rooms;
mod shelf;
mod audit;
mod clock;
mod commands;
mod handle;
mod start;
mod single;
#[cfg(test)]
mod house;
#[cfg(test)]
mod command_tests;
#[cfg(test)]
mod gpu_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod lazy_tests;
#[cfg(test)]
mod proof_tests;
#[cfg(test)]
mod retry_tests;
#[cfg(test)]
mod audit_tests;
pub mod metrics;

pub use audit::{Audit, By, Done, Record};
pub use clock::Clock;
pub use config::{Defaults, LoadPolicy, ModelConfig, VersionPolicy};
pub use declared::Declared;
pub use digest::{digest, sha256};
pub use direction::{Directed, Direction};
pub use engines::{Engines, Missing};
pub use handle::{Entry, Lifecycle, LifecycleError, Readiness};
pub use lacks::Lacks;
pub use memory::Gauge;
pub use monitoring::{Monitors, Presence, Watched, plan_of};
pub use placement::{Free, Gpu, Gpus, Survey};
pub use plan::Plan;
pub use policy::Transition;
pub use proof::ProofConfig;
pub use replay::Requests;
pub use single::{Alone, Single, made_up_inputs};
pub use start::{Options, start};
pub use state::State;
pub use truth::truth_of;
