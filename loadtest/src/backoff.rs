//! The pause between attempts to connect: none at first, then doubling up to a bound.
//!
//! One per connection of `grpc` and `http`.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};

/// Invariant: `pause` is zero or within the limits, and grows only by failures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    pause: Duration,
    not_before: Option<Instant>,
}

impl Backoff {
    /// Returns when the next attempt is due.
    pub(crate) async fn due(&self) {
        if let Some(not_before) = self.not_before {
            tokio::time::sleep_until(not_before).await;
        }
    }

    pub(crate) fn failed(&mut self, now: Instant) {
        self.pause = next_pause(self.pause);
        self.not_before = Some(now + self.pause);
    }
}

pub(crate) fn next_pause(pause: Duration) -> Duration {
    (pause * 2).clamp(BACKOFF_MIN, BACKOFF_MAX)
}
