//! Memory that clients share with the server: regions by name, out of which inputs are read and into which
//! outputs are written.
//!
//! Used by `server-frontend`, which knows the protocols' words for it. Clients are not trusted: what they name is
//! checked (`key`), kept within limits (`regions`), and read and written by calls to the system, never through a
//! mapping, which a client could pull away under a thread that reads it (`object`).

mod regions;
mod region;
mod span;
mod object;
#[cfg_attr(not(feature = "cuda"), path = "no_gpu.rs")]
mod gpu;
mod key;
mod error;
pub mod metrics;

pub use error::RegionError;
pub use gpu::{Gpus, Ticket};
pub use region::{Place, Region};
pub use regions::{DriverWork, Limits, RegionKind, Regions};
pub use span::Span;
