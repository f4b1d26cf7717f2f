//! How fast a lane is emptied while there is more in it than one batch.
//!
//! This is the rate as callers see it, with everything that comes between two runs: other models
//! on the same cores, packing, several instances side by side.

use std::time::{Duration, Instant};

/// Weight of a new sample: 1/8, so that some ten batches forget a disturbance.
const SHIFT: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Mean nanoseconds of a row; 0 is unknown.
    row: u64,
    /// The last batch: when it was taken, and its rows. Only if as much stayed behind.
    last: Option<(Instant, usize)>,
}

impl Pace {
    /// A batch of so many rows was taken, so many are left.
    pub(crate) fn pulled(&mut self, now: Instant, rows: usize, left: usize) {
        if let Some((then, rows)) = self.last {
            let took = now.saturating_duration_since(then).as_nanos() / rows.max(1) as u128;
            let sample = u64::try_from(took).unwrap_or(u64::MAX).max(1);
            self.row = match self.row {
                0 => sample,
                mean => mean - (mean >> SHIFT) + (sample.min(mean.saturating_mul(2)) >> SHIFT),
            };
        }
        self.last = (left >= rows).then_some((now, rows));
    }

    /// What a row in the queue costs those behind it; `least` is what it costs if it is alone on
    /// the machine.
    pub(crate) fn row(&self, least: Duration) -> Duration {
        // A pace that was learned long ago, under other circumstances, must not keep an empty lane
        // from filling: it counts while the lane is deep.
        if self.last.is_some() { least.max(Duration::from_nanos(self.row)) } else { least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pulls as words `ms:rows/left`; then the cost of a row in µs.
    #[track_caller]
    fn check(pulls: &str, expect: u128) {
        let (start, mut pace) = (Instant::now(), Pace::default());
        for word in pulls.split_whitespace() {
            let (at, rows) = word.split_once(':').expect("ms:rows/left");
            let (rows, left) = rows.split_once('/').expect("rows/left");
            let at = Duration::from_millis(at.parse().expect("ms"));
            pace.pulled(start + at, rows.parse().expect("rows"), left.parse().expect("left"));
        }
        assert_eq!(pace.row(Duration::from_micros(10)).as_micros(), expect, "{pulls}");
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
