//! How fast a lane is emptied while there is more in it than one batch.
//!
//! This is the rate as callers see it, with everything that comes between two runs: other models
//! on the same cores, packing, several instances side by side.

use std::time::{Duration, Instant};

/// Weight of a new sample: 1/8, so that some ten batches forget a disturbance.
const SHIFT: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Mean picoseconds of a unit; 0 is unknown.
    unit: u64,
    /// The last batch: when it was taken, and its units. Only if as much stayed behind.
    last: Option<(Instant, usize)>,
}

impl Pace {
    /// A batch of so many units was taken, so many are left.
    pub(crate) fn pulled(&mut self, now: Instant, units: usize, left: usize) {
        if let Some((then, units)) = self.last {
            let picos = now.saturating_duration_since(then).as_nanos().saturating_mul(1_000);
            let took = picos / units.max(1) as u128;
            let sample = u64::try_from(took).unwrap_or(u64::MAX).max(1);
            self.unit = match self.unit {
                0 => sample,
                mean => mean - (mean >> SHIFT) + (sample.min(mean.saturating_mul(2)) >> SHIFT),
            };
        }
        self.last = (left >= units).then_some((now, units));
    }

    /// What a unit in the queue costs those behind it; `least` is what it costs if it is alone on
    /// the machine.
    pub(crate) fn unit(&self, least: Duration) -> Duration {
        // A pace that was learned long ago, under other circumstances, must not keep an empty lane
        // from filling: it counts while the lane is deep.
        let pace = Duration::from_nanos(self.unit / 1_000);
        if self.last.is_some() { least.max(pace) } else { least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pulls as words `ms:units/left`; then the cost of a unit in µs.
    #[track_caller]
    fn check(pulls: &str, expect: u128) {
        let (start, mut pace) = (Instant::now(), Pace::default());
        for word in pulls.split_whitespace() {
            let (at, units) = word.split_once(':').expect("ms:units/left");
            let (units, left) = units.split_once('/').expect("units/left");
            let at = Duration::from_millis(at.parse().expect("ms"));
            pace.pulled(start + at, units.parse().expect("units"), left.parse().expect("left"));
        }
        assert_eq!(pace.unit(Duration::from_micros(10)).as_micros(), expect, "{pulls}");
    }

    #[test]
    fn a_deep_lane_tells_its_pace_and_a_shallow_one_does_not() {
        check("", 10);
        check("0:4/4", 10);
        check("0:4/8 40:4/4", 10_000);
        check("0:4/8 40:4/2", 10);
        check("0:4/2 40:4/8", 10);
        check("0:4/90 40:4/80 80:1/79 90:1/60", 10_000);
    }

    #[test]
    fn an_interruption_counts_at_most_twice() {
        check("0:1/9 10:1/9 9010:1/9", 11_250);
    }
}
