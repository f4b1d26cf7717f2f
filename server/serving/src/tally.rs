//! Counts of a version that a comparison of versions needs. They only grow: whoever compares remembers
//! where they stood when it began.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use server_base::Kind;

/// One version's. Relaxed throughout: each count stands for itself.
#[derive(Debug)]
pub(crate) struct Tally {
    answered: AtomicU64,
    errors: AtomicU64,
    slow: AtomicU64,
    nonfinite: AtomicU64,
    /// Nanoseconds above which an answer is slow.
    slow_over: AtomicU64,
    /// Are outputs looked at?
    looks: AtomicBool,
    /// Are times measured?
    measures: AtomicBool,
    /// Answers by the time they took: four steps to each doubling of a microsecond.
    times: [AtomicU64; TIMES],
}

/// Steps: up to a time of 2³⁰ µs, a quarter of an hour. The last is that of everything above.
const TIMES: usize = 4 * 30;

/// Fewer answers say nothing of one in a hundred.
const P99_ANSWERS_MIN: u64 = 1_000;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered, and those that the version failed.
    pub requests: u64,
    /// Requests that it failed: its own faults. What the caller did wrong, or what there was no room or
    /// time for, is none of these.
    pub errors: u64,
    /// Answers that took longer than was asked about.
    pub slow: u64,
    /// Answers with a number in them that is none, or infinite, though all that was asked with are finite.
    pub nonfinite: u64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            answered: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            nonfinite: AtomicU64::new(0),
            slow_over: AtomicU64::new(u64::MAX),
            looks: AtomicBool::new(false),
            measures: AtomicBool::new(false),
            times: [const { AtomicU64::new(0) }; TIMES],
        }
    }
}

impl Tally {
    pub(crate) fn done(&self, failure: Option<Kind>, took: Duration) {
        let one = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        match failure {
            None => {
                one(&self.answered);
                let over = self.slow_over.load(Ordering::Relaxed);
                if self.measures.load(Ordering::Relaxed)
                    && let Some(time) = self.times.get(step(took))
                {
                    one(time);
                }
                if over != u64::MAX && took.as_nanos() > u128::from(over) {
                    one(&self.slow);
                }
            }
            Some(Kind::Internal) => {
                one(&self.errors);
            }
            Some(_) => {}
        }
    }

    /// The model itself refused an input that fits its signature. It may be the caller's mistake; but both
    /// versions of a rollout get their share of those, and a version that refuses more is worse.
    pub(crate) fn refused(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Are outputs to be looked at?
    pub(crate) fn looks(&self) -> bool {
        self.looks.load(Ordering::Relaxed)
    }

    /// So many answers of a batch held what is no number, though their inputs held none.
    pub(crate) fn nonfinite(&self, answers: u64) {
        self.nonfinite.fetch_add(answers, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |it: &AtomicU64| it.load(Ordering::Relaxed);
        let errors = count(&self.errors);
        Counts {
            requests: count(&self.answered) + errors,
            errors,
            slow: count(&self.slow),
            nonfinite: count(&self.nonfinite),
        }
    }

    /// From now on times are measured.
    pub(crate) fn measure(&self) {
        self.measures.store(true, Ordering::Relaxed);
    }

    /// No more than one in a hundred of the answers that were measured took longer: an upper bound,
    /// by less than a quarter too high. `None`: too few to say.
    pub(crate) fn p99(&self) -> Option<Duration> {
        let times: Vec<u64> = self.times.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        let all: u64 = times.iter().sum();
        if all < P99_ANSWERS_MIN {
            return None;
        }
        let mut above = all;
        let at = times.iter().position(|it| {
            above -= it;
            above * 100 <= all
        });
        at.map(end)
    }

    /// From now on: what is slow, and whether outputs are looked at. `None` is nothing, and no.
    pub(crate) fn watch(&self, slow_over: Option<Duration>, looks: bool) {
        let nanos =
            slow_over.map_or(u64::MAX, |it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
        self.slow_over.store(nanos, Ordering::Relaxed);
        self.looks.store(looks, Ordering::Relaxed);
        if !looks {
            // The comparison is over, and the next one begins with times of its own.
            self.measures.store(false, Ordering::Relaxed);
            self.times.iter().for_each(|it| it.store(0, Ordering::Relaxed));
        }
    }
}

/// The step that a time falls into.
fn step(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2() as usize;
    // The two bits below the highest: quarters of the doubling.
    let quarter = usize::try_from((micros << 2 >> doubling) & 3).unwrap_or(0);
    (4 * doubling + quarter).min(TIMES - 1)
}

/// Where a step ends.
fn end(step: usize) -> Duration {
    let start = (1_u64 << (step / 4)) as f64;
    Duration::from_secs_f64(start * (1.25 + 0.25 * (step % 4) as f64) / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_apart_by_less_than_a_quarter() {
        for micros in [1_u64, 2, 3, 7, 100, 999, 1_000_000, 500_000_000] {
            let took = Duration::from_micros(micros);
            let end = end(step(took));
            assert!(
                took <= end && end.as_secs_f64() <= took.as_secs_f64() * 2.0,
                "{took:?}: {end:?}"
            );
        }
        assert_eq!(step(Duration::ZERO), 0);
        assert_eq!(step(Duration::MAX), TIMES - 1);
    }

    #[test]
    fn one_in_a_hundred_takes_longer() {
        let tally = Tally::default();
        let answer = |count: u64, ms: u64| {
            (0..count).for_each(|_| tally.done(None, Duration::from_millis(ms)));
        };
        answer(5_000, 90);
        tally.measure();
        answer(990, 10);
        assert_eq!(tally.p99(), None, "what came before was not measured, and this is too little");
        answer(10, 90);
        let p99 = tally.p99().expect("enough");
        assert!(p99 >= Duration::from_millis(10) && p99 < Duration::from_millis(13), "{p99:?}");
        answer(1, 90);
        assert!(tally.p99().expect("enough") >= Duration::from_millis(90));
        tally.watch(None, false);
        answer(5_000, 10);
        assert_eq!(tally.p99(), None, "nothing is measured once it is over");
    }

    #[test]
    fn only_its_own_faults_count() {
        let tally = Tally::default();
        let second = Duration::from_secs(1);
        tally.done(None, second);
        tally.watch(Some(second), true);
        tally.done(None, second);
        tally.done(None, 2 * second);
        for kind in Kind::ALL {
            tally.done(Some(kind), 9 * second);
        }
        tally.refused();
        tally.nonfinite(2);
        assert!(tally.looks());
        let expect = Counts { requests: 5, errors: 2, slow: 1, nonfinite: 2 };
        assert_eq!(tally.counts(), expect);
    }
}
