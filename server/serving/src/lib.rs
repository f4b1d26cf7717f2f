//! The hot path: from a decoded request to its answer.
//!
//! The modules stand in the order in which a request meets them. Nothing here knows a protocol,
//! a folder or a registry: the frontend calls [`Serving::infer`], the lifecycle starts
//! [`Servable`]s and publishes a [`Table`] of them, and the two meet in that table alone.

mod sync;

mod admission;
mod infer;
mod table;
mod traffic;
mod tally;
mod compare;
mod shadow;
mod shadows;
pub mod copies;
mod demand;
mod wake;
mod check;
mod extent;
mod padding;
mod sizes;
pub mod lane;
pub mod policy;
mod pending;
mod reply;
mod draft;
mod sheet;
mod dispute;
mod confidence;
mod batch;
mod pack;
mod block;
mod instance;
mod busy;
mod seat;
mod cores;
mod priority;
mod cost;
mod pace;
mod patience;
mod ledger;
mod loss;
mod plan;
mod servable;

mod error;
pub mod metrics;
mod trip;

pub use admission::{Admission, AdmissionLimits, Permit};
pub use cores::Cores;
pub use demand::{Bell, Demand, OnDemand, Prospect, Scarce};
pub use draft::REPLAY_HEADER;
pub use error::InferError;
pub use extent::row_elements;
pub use infer::{Serving, Submitted};
pub use loss::OnLoss;
pub use padding::{Padded, Padding};
pub use plan::Plan;
pub use policy::Batching;
pub use priority::give_way;
pub use reply::{Answer, Mailbox, Place, Reply};
pub use servable::{Servable, StartError, WarmUp, Workers};
pub use shadow::{Pairs, Shadow};
pub use sizes::Sizes;
pub use table::{ModelEntry, Table};
pub use tally::Counts;
pub use traffic::{Caller, Parameter, Sticky, Traffic};
pub use trip::{Finished, Trip};
