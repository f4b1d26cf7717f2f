//! What a run costs, learned from the runs themselves.
//!
//! It grows with what goes in, so it is counted in units: rows, times the tokens or pixels of a row
//! where their number varies. Kept by powers of two. Threads write without a lock: a lost sample is only a sample.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::policy::Most;

/// Sizes that are told apart: 1, 2, 3–4, 5–8, and so on. The last is that of everything above 2³⁰
/// units: some five hundred pictures of two million pixels.
const SIZES: usize = 32;

/// Weight of a new sample: 1/8, so that some ten runs forget a disturbance.
const SHIFT: u32 = 3;

/// The first run of a size may make a unit so much dearer than in smaller ones: where a row's cost grows with the
/// square of its length, that is one of sixteen times as many units. What takes longer was held up.
const DEARER: u64 = 16;

/// Larger batches must save at least this share of a unit's time to be worth the wait of those who
/// come first: less is within the noise of the measurement.
const WORTH: f64 = 0.05;

/// Whoever comes first waits less than this for the rest of a batch: not worth a thought.
const SHORT: Duration = Duration::from_millis(2);

/// One run in so many ignores what has been learned, so that it can be found to be wrong.
const EXPLORE: u64 = 64;

/// The cost of one version's runs.
#[derive(Default)]
pub(crate) struct Cost {
    /// Mean picoseconds of one unit in a run of that size; 0 is unknown. A pixel of a small model
    /// takes less than a nanosecond.
    unit: [AtomicU64; SIZES],
    runs: AtomicU64,
    /// Units of the longest row that has run; 0 before the first.
    longest: AtomicUsize,
}

impl Cost {
    /// A run of so many rows, which are so many units together, took so long.
    pub(crate) fn learn(&self, rows: usize, units: usize, took: Duration) {
        let Some(place) = self.unit.get(size(units)) else { return };
        let sample = per_unit(took, units).max(1);
        // A run that was interrupted says little about the next one.
        let most = |known: u64, times: u64| sample.min(known.saturating_mul(times));
        let mean = match place.load(Ordering::Relaxed) {
            0 => self.below(size(units)).map_or(sample, |it| most(it, DEARER)),
            mean => mean - (mean >> SHIFT) + (most(mean, 2) >> SHIFT),
        };
        place.store(mean.max(1), Ordering::Relaxed);
        self.longest.fetch_max(units / rows.max(1), Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// How long a run of so many units will take, as far as is known; the next smaller size that
    /// has run tells it from above, the next larger one too.
    pub(crate) fn of(&self, units: usize) -> Option<Duration> {
        if let Some(unit) = self.below(size(units)) {
            return Some(picos(unit.saturating_mul(units as u64)));
        }
        let (above, unit) =
            (size(units)..SIZES).find_map(|it| self.known(it).map(|unit| (it, unit)))?;
        Some(picos(unit.saturating_mul(1 << above)))
    }

    /// What a unit costs at its cheapest, rounded up.
    pub(crate) fn unit(&self) -> Option<Duration> {
        let picos = (0..SIZES).filter_map(|it| self.known(it)).min()?;
        Some(Duration::from_nanos(picos.div_ceil(1_000)))
    }

    /// How many units to join in batches of at most `rows_max` rows: as many as allowed, unless
    /// fewer are known to be as cheap a unit.
    pub(crate) fn worthwhile(&self, rows_max: usize) -> usize {
        let most = match self.longest.load(Ordering::Relaxed) {
            0 => return usize::MAX,
            longest => rows_max.saturating_mul(longest),
        };
        if self.of(most).is_none_or(|it| it <= SHORT) {
            return most;
        }
        let known = || (0..=size(most)).filter_map(|it| Some((it, self.known(it)?)));
        let Some(cheapest) = known().map(|(_, unit)| unit).min() else { return most };
        let enough = known().find(|&(_, unit)| unit as f64 * (1.0 - WORTH) <= cheapest as f64);
        match (enough, known().last()) {
            (Some((enough, _)), Some((largest, _))) if enough < largest => {
                // The next larger size, not the largest: under load a try holds others up.
                let explore = self.runs.load(Ordering::Relaxed).is_multiple_of(EXPLORE);
                most.min(1 << (enough + usize::from(explore)))
            }
            _ => most,
        }
    }

    /// The same, and how long such a run will take.
    pub(crate) fn most(&self, rows_max: usize) -> Most {
        let units = self.worthwhile(rows_max);
        let run = if units == usize::MAX { None } else { self.of(units) };
        Most { units, run: run.unwrap_or_default() }
    }

    /// The most units that a run of that time can take; at least one.
    pub(crate) fn within(&self, budget: Duration, units_max: usize) -> usize {
        let mut units = units_max.max(1);
        while units > 1 && self.of(units).is_some_and(|it| it > budget) {
            units /= 2;
        }
        units
    }

    /// What a unit costs in runs of that size, or of the next smaller one that has run.
    fn below(&self, size: usize) -> Option<u64> {
        (0..=size).rev().find_map(|it| self.known(it))
    }

    fn known(&self, size: usize) -> Option<u64> {
        self.unit.get(size).map(|it| it.load(Ordering::Relaxed)).filter(|&it| it > 0)
    }
}

/// The size's place: the logarithm, rounded up.
fn size(units: usize) -> usize {
    let rounded = units.max(1).checked_next_power_of_two();
    rounded.map_or(SIZES - 1, |it| (it.trailing_zeros() as usize).min(SIZES - 1))
}

fn per_unit(took: Duration, units: usize) -> u64 {
    let picos = took.as_nanos().saturating_mul(1_000) / units.max(1) as u128;
    u64::try_from(picos).unwrap_or(u64::MAX)
}

fn picos(picos: u64) -> Duration {
    Duration::from_nanos(picos / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs as words `rows[x units a row]:µs`, twelve of each, so that the means settle.
    fn learned(runs: &str) -> Cost {
        let cost = Cost::default();
        for word in runs.split_whitespace() {
            let (size, took) = word.split_once(':').expect("rows:µs");
            let (rows, row) = size.split_once('x').unwrap_or((size, "1"));
            let number = |it: &str| it.parse::<usize>().expect("a number");
            let took = Duration::from_micros(number(took) as u64);
            (0..12).for_each(|_| cost.learn(number(rows), number(rows) * number(row), took));
        }
        cost
    }

    /// With batches of at most 64 rows, and 8 units.
    #[track_caller]
    fn check(runs: &str, worthwhile: usize, estimate: Option<u64>) {
        let cost = learned(runs);
        assert_eq!(cost.worthwhile(64), worthwhile, "{runs}");
        assert_eq!(cost.of(8), estimate.map(Duration::from_micros), "{runs}");
    }

    #[test]
    fn joins_as_long_as_it_pays() {
        check("", usize::MAX, None);
        assert_eq!(
            learned("").most(64).run,
            Duration::ZERO,
            "nothing is known of a run of any size"
        );
        check("1:100", 64, Some(800));
        check("1:100 8:200", 64, Some(200));
        check("1:100 8:792 16:1600", 1, Some(792));
        check("1:100 4:200 8:400 16:800", 4, Some(400));
        check("1:10 8:80 16:160", 64, Some(80));
        check("64:640", 64, Some(640));
    }

    #[test]
    fn what_counts_is_the_work_and_not_the_rows() {
        // A row of 128 units costs what 8 rows of 16 do: to join more than those is worth nothing.
        check("1x16:400 8x16:1600 1x128:1600 4x128:6400", 128, Some(400));
        // Rows of 128 pay as long as they are joined, and so do those of 16.
        check("1x128:1600 8x128:6400 64x128:25600", 64 * 128, Some(1600));
        check("1x128:100", 64 * 128, Some(100));
    }

    #[test]
    fn units_of_less_than_a_nanosecond_are_told_apart() {
        let cost = learned("1x1048576:400");
        assert_eq!(cost.of(1 << 21), Some(Duration::from_nanos(799_014)));
        assert_eq!(cost.unit(), Some(Duration::from_nanos(1)));
        assert_eq!(size(usize::MAX), SIZES - 1);
    }

    #[test]
    fn what_was_learned_is_forgotten_again() {
        let cost = learned("1:100 8:900");
        assert_eq!(cost.worthwhile(64), 1);
        (0..100).for_each(|_| cost.learn(8, 8, Duration::from_micros(200)));
        assert_eq!(cost.worthwhile(64), 64);
    }

    #[test]
    fn an_interrupted_run_says_little() {
        let cost = learned("8:800");
        cost.learn(8, 8, Duration::from_secs(1));
        assert_eq!(cost.of(8), Some(Duration::from_micros(900)));
        cost.learn(16, 16, Duration::from_secs(1));
        assert_eq!(cost.of(16), Some(Duration::from_micros(28_800)), "the first of its size");
        let cost = learned("8:800");
        cost.learn(16, 16, Duration::from_millis(20));
        assert_eq!(cost.of(16), Some(Duration::from_millis(20)), "it may be dearer");
    }

    #[test]
    fn a_budget_bounds_the_units() {
        let cost = learned("1:100 8:400 64:2000");
        assert_eq!(cost.within(Duration::from_micros(500), 64), 8);
        assert_eq!(cost.within(Duration::from_micros(50), 64), 1);
        assert_eq!(cost.within(Duration::from_secs(1), 64), 64);
    }
}
