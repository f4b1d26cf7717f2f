//! Drives rollouts: shows them what happens, does what they say, and writes down why.
//!
//! What is decided, and by which statistics, stands in `server-rollout`, which is pure. Here is what it
//! needs of the world: counts of both versions, the lifecycle's hand, a clock, and a disk on which a
//! rollout outlives the process. One thread drives all of them, once a second.

mod files;
mod gauge;
mod listener;
mod world;
#[cfg_attr(not(feature = "truth"), path = "no_truth.rs")]
mod truth;
mod declared;
mod prints;
mod ride;
mod share;
mod shared;
mod driver;
mod handle;
pub mod metrics;

pub use driver::{Kept, Options, read};
pub use handle::{Conductor, ConductorError, Order, View};
pub use listener::Listener;
pub use prints::Contents;
pub use server_replicas::Telling;
pub use share::{ENTRY_BYTES_MAX, Share, Store};
pub use truth::Truth;
pub use world::Beside;
