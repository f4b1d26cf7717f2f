//! What replicas share of their rollouts: one decides, all follow, anybody takes over.
//!
//! Replicas meet in a [`Store`], such as a folder that all of them see. It can do one thing that matters: create
//! an entry that is not there yet, for one of several that try at once.
//!
//! - **Log.** Each model has a log of numbered [`Record`]s. A decision is the creation of the next number by
//!   somebody who has read the last one, so two never decide on the same ground: the later finds the number
//!   taken, and reads. A decision that is not in the log is not done by anybody, its author included.
//! - **Reports.** Each replica says once a turn what it has counted and how far it is ([`Report`]), under its own
//!   name. Counts are sufficient statistics; whoever decides adds them up ([`merge()`]).
//! - **Lease.** The last record names who leads. Whoever has not seen a new report of the leader for the time of
//!   the lease, which is never less than some of its own turns, on its own clock, may write the next record with itself as leader and a term higher by one, which
//!   is the fencing token. That two take themselves for the leader does no harm: see the log. Clocks are never
//!   compared.
//!
//! The modules stand in the order of a turn. [`Member`] has all of it; it knows no thread and no clock.

#![forbid(unsafe_code)]

mod id;
mod store;
mod folder;
mod record;
mod digests;
mod report;
mod merge;
mod lease;
mod log;
mod ledger;
mod peers;
mod shown;
mod member;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod simulation_tests;

pub use folder::Folder;
pub use id::{ReplicaId, ReplicaIdError};
pub use lease::Standing;
pub use ledger::News;
pub use log::ShareError;
pub use member::{Decision, Member, Now};
pub use merge::merge;
pub use record::{Record, Saved, Telling, Untold, Wish};
pub use report::{Report, Seen};
pub use shown::{ReplicaShown, Shown};
pub use store::{ENTRY_BYTES_MAX, READS_MAX, Store, conformance};
