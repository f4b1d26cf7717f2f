//! When to look at a registry again.
//!
//! Pure: no clock, no randomness of its own. The caller sleeps for what it is told.

use std::time::Duration;

/// First pause after a failure, so that a registry in trouble hears from a model once a minute at most.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// Longest pause: what a registry that came back may have to wait for us.
const RETRY_MAX: Duration = Duration::from_secs(15 * 60);
/// In steady state all models of one registry together ask this often at most.
const REQUEST_SPACING: Duration = Duration::from_secs(1);

/// The rhythm of one model.
#[derive(Clone, Debug)]
pub struct Schedule {
    interval: Duration,
    failures: u32,
}

impl Schedule {
    /// Looks every `interval`; less often if `models` of the same registry would otherwise ask more
    /// than once a second together.
    pub fn new(interval: Duration, models: u32) -> Schedule {
        Schedule { interval: interval.max(REQUEST_SPACING * models.max(1)), failures: 0 }
    }

    /// The pause after a look that went well. `draw` in `0..=1` is random: it spreads models that
    /// started together.
    pub fn succeeded(&mut self, draw: f64) -> Duration {
        self.failures = 0;
        // A tenth early to a tenth late: on average the interval.
        self.interval.mul_f64(0.9 + 0.2 * draw.clamp(0.0, 1.0))
    }

    /// The pause after one that failed: a minute, doubling up to a quarter of an hour, and up to a
    /// half longer by `draw`.
    pub fn failed(&mut self, draw: f64) -> Duration {
        let doubled = RETRY_MIN.saturating_mul(1 << self.failures.min(8)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        doubled.max(self.interval).mul_f64(1.0 + 0.5 * draw.clamp(0.0, 1.0))
    }

    /// How many looks have failed since the last that went well.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
