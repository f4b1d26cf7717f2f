//! Where models come from, and the verified cache they are kept in.
//!
//! An address is parsed (`Uri`), a `Source` behind it resolves what it names now and fetches bytes, a
//! `Watch` looks whether that has changed, and a `Puller` brings it into the `Cache`, every byte hashed
//! before anything parses it. For the lifecycle and the command line; knows neither engines nor the hot
//! path. Everything that a registry says is taken as written by a stranger.

// Without `remotes` much of what is shared has one user less, and some of it none.
#![cfg_attr(not(feature = "remotes"), allow(dead_code))]

mod limits;
mod error;
mod digest;
mod path;
mod secret;
mod uri;
mod source;
mod thread;
mod versions;
mod verdict;
mod http;
mod outbound;
mod sources;
mod schedule;
mod progress;
mod cache;
mod download;
mod early;
mod archive;
mod lock;
mod signature;
mod cosign;
mod judge;
mod pull;
mod vouch;
mod watch;
mod rounds;

pub use cache::{Cache, Fact, Fault, Lease, Listing, Record, Swept, replace};
pub use cosign::Voucher;
pub use digest::Digest;
pub use error::{ErrorKind, RegistryError};
pub use http::AddressPolicy;
pub use judge::Judge;
pub use limits::Limits;
pub use lock::{Lock, Pinned};
pub use outbound::{Answered, Call, Outbound};
pub use path::RelativePath;
pub use progress::{Progress, Silent};
pub use pull::{Pulled, Puller};
pub use rounds::Rounds;
pub use secret::{Environment, Secret};
pub use signature::{PublicKey, SignaturePolicy};
pub use source::{Fetched, Form, Manifest, Remote, Resolution, Source};
#[cfg(feature = "remotes")]
pub use sources::{Collection, Deposit, Objects, Stored};
pub use sources::{Receiver, Registries};
pub use uri::{FORMS, Uri};
pub use verdict::{Alias, Told, Verdict};
pub use watch::{Seen, Watch};
