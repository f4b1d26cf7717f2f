//! What a run of so many rows costs, learned from the runs themselves.
//!
//! Kept by powers of two. Threads write without a lock: a lost sample is only a sample.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Sizes that are told apart: 1, 2, 3–4, 5–8, and so on; more than `limits::BATCH_ROWS_MAX` has.
const SIZES: usize = 20;

/// Weight of a new sample: 1/8, so that some ten runs forget a disturbance.
const SHIFT: u32 = 3;

/// Larger batches must save at least this share of a row's time to be worth the wait of those who
/// come first: less is within the noise of the measurement.
const WORTH: f64 = 0.05;

/// Whoever comes first waits less than this for the rest of a batch: not worth a thought.
const SHORT: Duration = Duration::from_millis(2);

/// One run in so many ignores what has been learned, so that it can be found to be wrong.
const EXPLORE: u64 = 64;

/// The cost of one version's runs.
#[derive(Default)]
pub(crate) struct Cost {
    /// Mean nanoseconds of one row in a run of that size; 0 is unknown.
    row: [AtomicU64; SIZES],
    runs: AtomicU64,
}

impl Cost {
    /// A run of so many rows took so long.
    pub(crate) fn learn(&self, rows: usize, took: Duration) {
        let Some(place) = self.row.get(size(rows)) else { return };
        let sample = per_row(took, rows).max(1);
        let mean = match place.load(Ordering::Relaxed) {
            0 => sample,
            // A run that was interrupted says little about the next one.
            mean => mean - (mean >> SHIFT) + (sample.min(mean.saturating_mul(2)) >> SHIFT),
        };
        place.store(mean.max(1), Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// How long a run of so many rows will take, as far as is known; the next smaller size that
    /// has run tells it from above, the next larger one too.
    pub(crate) fn of(&self, rows: usize) -> Option<Duration> {
        let below = (0..=size(rows)).rev().find_map(|it| self.known(it));
        if let Some(row) = below {
            return Some(Duration::from_nanos(row.saturating_mul(rows as u64)));
        }
        let (above, row) =
            (size(rows)..SIZES).find_map(|it| self.known(it).map(|row| (it, row)))?;
        Some(Duration::from_nanos(row << above))
    }

    /// What a row costs at its cheapest.
    pub(crate) fn row(&self) -> Option<Duration> {
        (0..SIZES).filter_map(|it| self.known(it)).min().map(Duration::from_nanos)
    }

    /// How many rows to join: as many as allowed, unless fewer are known to be as cheap a row.
    pub(crate) fn worthwhile(&self, rows_max: usize) -> usize {
        if self.of(rows_max).is_none_or(|it| it <= SHORT) {
            return rows_max;
        }
        let known = || (0..=size(rows_max)).filter_map(|it| Some((it, self.known(it)?)));
        let Some(cheapest) = known().map(|(_, row)| row).min() else { return rows_max };
        let enough = known().find(|&(_, row)| row as f64 * (1.0 - WORTH) <= cheapest as f64);
        match (enough, known().last()) {
            (Some((enough, _)), Some((largest, _))) if enough < largest => {
                // The next larger size, not the largest: under load a try holds others up.
                let explore = self.runs.load(Ordering::Relaxed).is_multiple_of(EXPLORE);
                rows_max.min(1 << (enough + usize::from(explore)))
            }
            _ => rows_max,
        }
    }

    /// The most rows that a run of that time can take; at least one.
    pub(crate) fn within(&self, budget: Duration, rows_max: usize) -> usize {
        let mut rows = rows_max.max(1);
        while rows > 1 && self.of(rows).is_some_and(|it| it > budget) {
            rows /= 2;
        }
        rows
    }

    fn known(&self, size: usize) -> Option<u64> {
        self.row.get(size).map(|it| it.load(Ordering::Relaxed)).filter(|&it| it > 0)
    }
}

/// The size's place: the logarithm, rounded up.
fn size(rows: usize) -> usize {
    (rows.max(1).next_power_of_two().trailing_zeros() as usize).min(SIZES - 1)
}

fn per_row(took: Duration, rows: usize) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / rows.max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs as words `rows:µs`, twelve of each, so that the means settle.
    fn learned(runs: &str) -> Cost {
        let cost = Cost::default();
        for word in runs.split_whitespace() {
            let (rows, took) = word.split_once(':').expect("rows:µs");
            let (rows, took) = (rows.parse().expect("rows"), took.parse().expect("µs"));
            (0..12).for_each(|_| cost.learn(rows, Duration::from_micros(took)));
        }
        cost
    }

    #[track_caller]
    fn check(runs: &str, worthwhile: usize, estimate: Option<u64>) {
        let cost = learned(runs);
        assert_eq!(cost.worthwhile(64), worthwhile, "{runs}");
        assert_eq!(cost.of(8), estimate.map(Duration::from_micros), "{runs}");
    }

    #[test]
    fn joins_as_long_as_it_pays() {
        check("", 64, None);
        check("1:100", 64, Some(800));
        check("1:100 8:200", 64, Some(200));
        check("1:100 8:792 16:1600", 1, Some(792));
        check("1:100 4:200 8:400 16:800", 4, Some(400));
        check("1:10 8:80 16:160", 64, Some(80));
        check("64:640", 64, Some(640));
    }

    #[test]
    fn what_was_learned_is_forgotten_again() {
        let cost = learned("1:100 8:900");
        assert_eq!(cost.worthwhile(64), 1);
        (0..100).for_each(|_| cost.learn(8, Duration::from_micros(200)));
        assert_eq!(cost.worthwhile(64), 64);
    }

    #[test]
    fn an_interrupted_run_says_little() {
        let cost = learned("8:800");
        cost.learn(8, Duration::from_secs(1));
        assert_eq!(cost.of(8), Some(Duration::from_micros(900)));
    }

    #[test]
    fn a_budget_bounds_the_rows() {
        let cost = learned("1:100 8:400 64:2000");
        assert_eq!(cost.within(Duration::from_micros(500), 64), 8);
        assert_eq!(cost.within(Duration::from_micros(50), 64), 1);
        assert_eq!(cost.within(Duration::from_secs(1), 64), 64);
    }
}
