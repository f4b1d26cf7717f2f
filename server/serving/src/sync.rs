//! The concurrency words of the lane: std's and tokio's, or loom's when its interleavings are
//! enumerated.

#[cfg(not(feature = "loom"))]
pub(crate) use real::*;

#[cfg(feature = "loom")]
pub(crate) use enumerated::*;

#[cfg(not(feature = "loom"))]
mod real {
    use std::time::Instant;

    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use tokio::task::yield_now;

    /// Ends when `other` does, or then.
    pub(crate) async fn sleep_until(until: Instant, other: impl Future<Output = ()>) {
        let _ = tokio::time::timeout_at(until.into(), other).await;
    }
}

#[cfg(feature = "loom")]
mod enumerated {
    use std::time::Instant;

    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    /// There is no runtime whose tasks could go first.
    pub(crate) async fn yield_now() {}

    /// Time stands still.
    pub(crate) async fn sleep_until(_until: Instant, other: impl Future<Output = ()>) {
        other.await;
    }
}
