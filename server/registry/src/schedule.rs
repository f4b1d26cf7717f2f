//! When to look at a registry again.
//!
//! Pure: no clock, no randomness of its own. The caller sleeps for what it is told.

use std::time::Duration;

/// First pause after a failure, so that a registry in trouble hears from a model once a minute at most.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// Longest pause: what a registry that came back may have to wait for us.
const RETRY_MAX: Duration = Duration::from_secs(15 * 60);

/// The rhythm of one model.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    interval: Duration,
    failures: u32,
}

impl Schedule {
    /// Looks every `interval`.
    pub(crate) fn new(interval: Duration) -> Schedule {
        Schedule { interval, failures: 0 }
    }

    /// The pause before the first look: models that started together are spread over one interval.
    pub(crate) fn first(&self, draw: f64) -> Duration {
        self.interval.mul_f64(draw.clamp(0.0, 1.0))
    }

    /// All went well: the next failure is the first again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The pause after a look that was answered. `draw` in `0..=1` is random: it spreads models that
    /// started together.
    pub(crate) fn pause(&self, draw: f64) -> Duration {
        // A tenth early to a tenth late: on average the interval.
        self.interval.mul_f64(0.9 + 0.2 * draw.clamp(0.0, 1.0))
    }

    /// The pause after one that failed: a minute, doubling up to a quarter of an hour, and up to a
    /// half longer by `draw`.
    pub(crate) fn failed(&mut self, draw: f64) -> Duration {
        let doubled = RETRY_MIN.saturating_mul(1 << self.failures.min(8)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        doubled.max(self.interval).mul_f64(1.0 + 0.5 * draw.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
