//! Keeps a repository folder filled with the models of registries.
//!
//! For the lifecycle a model of a registry is a folder like any other: `<model>/<version>/` with a
//! `model.toml` that says which versions are wanted. This crate makes that folder true: it watches each
//! address, pulls what it names into the verified cache, links it into the folder, and only then says
//! that it is wanted. Nothing here can touch what serves: a registry that is down, slow or lying changes
//! nothing but a metric, a line of the log and what operators are told.

mod target;
mod numbers;
mod house;
mod facts;
mod asked;
mod file;
mod book;
mod folder;
mod trail;
mod desk;
mod keeper;
mod verdicts;
mod webhook;
mod hurry;
mod supply;
#[cfg(test)]
mod fixture;
pub mod metrics;

pub use supply::{Fate, Prepared, Stock, Stopped, Supply, World};
pub use target::Target;
pub use verdicts::{Decided, Verdicts};
pub use webhook::{Heard, WebhookSecrets, Webhooks};
