//! What time it is for decisions about models that are loaded on demand.
//!
//! Their waits are seconds and minutes; tests stop the clock and set it forward instead of
//! sleeping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The system's clock, or one that stands. Clones are set together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Where it stands, before it is set forward.
    stopped: Option<Instant>,
    ahead_ms: Arc<AtomicU64>,
}

impl Clock {
    /// Stands until it is set forward.
    pub fn stopped() -> Clock {
        Clock { stopped: Some(Instant::now()), ..Clock::default() }
    }

    pub(crate) fn now(&self) -> Instant {
        let now = self.stopped.unwrap_or_else(Instant::now);
        now + Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Lets so much time pass at once.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(by, Ordering::Relaxed);
    }
}
