//! HTTP and gRPC in front of the hot path. The only crate that knows tonic, hyper and JSON.
//!
//! The modules stand in the order in which a connection meets them: it is accepted, driven,
//! guarded; a request's body is metered; the dispatcher sees which protocol it speaks; that
//! protocol's folder turns bytes into tensors, asks `server-serving`, and turns tensors into bytes.

mod listener;
mod connection;
mod http1;
mod http2;
mod activity;
mod stream;
mod body;
mod dispatch;

mod grpc;
mod headers;
mod http;
mod memory;

mod webhook;
mod control;
mod index;
mod metadata;
pub mod metrics;
mod options;
mod status;
#[cfg(feature = "truth")]
mod truth;
#[cfg(not(all(feature = "drift", feature = "truth", feature = "triggers", feature = "rollouts")))]
mod absent;
mod present;
#[cfg(all(feature = "drift", feature = "truth", feature = "triggers"))]
mod watching;

pub use control::Control;
pub use dispatch::{Frontend, Shared};
pub use grpc::ReflectionError;
pub use listener::{Bound, Drain, Handler, Serving as Listening};
pub use options::{ConnectionLimits, Options};
pub use present::{Conductor, Monitors, Triggers, Truth};
#[cfg(all(feature = "drift", feature = "truth", feature = "triggers"))]
pub use watching::{IsReady, Performance, Watching};
pub use webhook::Webhook;
