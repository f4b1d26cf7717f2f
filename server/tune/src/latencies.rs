//! How long answers took: written by many callers, read once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

/// Histograms that callers share: few enough to add up, many enough that two seldom meet.
const SHARDS: usize = 64;

/// Latencies are kept to three digits.
const DIGITS: u8 = 3;

/// Of all callers of one point.
pub(crate) struct Latencies {
    /// Microseconds of answers.
    answered: Vec<Mutex<Histogram<u32>>>,
    /// Microseconds that callers had waited in vain when the time was up; one each at most.
    cut_off: Mutex<Vec<u64>>,
}

/// What all of them came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) answers: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Latencies {
    /// For so many callers.
    pub(crate) fn new(callers: usize) -> Latencies {
        let shards = 0..callers.clamp(1, SHARDS);
        let answered = shards.filter_map(|_| histogram()).map(Mutex::new).collect();
        Latencies { answered, cut_off: Mutex::default() }
    }

    /// Notes an answer to a caller.
    pub(crate) fn note(&self, caller: usize, latency: Duration) {
        let Some(shard) = self.answered.get(caller % self.answered.len().max(1)) else { return };
        let us = micros(latency);
        // Grows as far as it must: an error would mean more than half a million years.
        let _ = shard.lock().unwrap_or_else(PoisonError::into_inner).record(us);
    }

    /// Notes a caller who has waited so long and gets no answer any more.
    pub(crate) fn cut_off(&self, waited: Duration) {
        self.cut_off.lock().unwrap_or_else(PoisonError::into_inner).push(micros(waited));
    }

    /// Adds all of them up. Waits that were cut off count if they were longer than the percentile
    /// without them: whoever is never answered must not go unseen.
    pub(crate) fn summary(&self) -> Summary {
        let mut all = histogram();
        for shard in &self.answered {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // Grows as well.
            let _ = all.as_mut().map(|it| it.add(&*shard));
        }
        let answers = all.as_ref().map_or(0, Histogram::len);
        let without = quantile(all.as_ref(), 0.99);
        let cut_off = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        for &us in cut_off.iter().filter(|it| answers > 0 && **it > without) {
            let _ = all.as_mut().map(|it| it.record(us));
        }
        let at = |it: f64| Duration::from_micros(quantile(all.as_ref(), it));
        Summary { answers, p50: at(0.5), p99: at(0.99) }
    }
}

fn quantile(of: Option<&Histogram<u32>>, quantile: f64) -> u64 {
    of.map_or(0, |it| it.value_at_quantile(quantile))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// One without an upper end. The digits are ones that there can be.
fn histogram() -> Option<Histogram<u32>> {
    Histogram::new(DIGITS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count×µs` words, from as many callers in turn, a `-` before those that were cut off; how
    /// many answers there are, p50 and p99 in µs.
    #[track_caller]
    fn check(callers: usize, latencies: &str, expect: (u64, u128, u128)) {
        let noted = Latencies::new(callers);
        for word in latencies.split_whitespace() {
            let (count, us) = word.trim_start_matches('-').split_once('×').expect("count×µs");
            let latency = Duration::from_micros(us.parse().expect("µs"));
            for caller in 0..count.parse().expect("a count") {
                match word.starts_with('-') {
                    true => noted.cut_off(latency),
                    false => noted.note(caller, latency),
                }
            }
        }
        let Summary { answers, p50, p99 } = noted.summary();
        // To three digits: a value stands for the end of its step.
        let near = |it: Duration, expect: u128| {
            let us = it.as_micros();
            (us - us / 1_000..=us).contains(&expect)
        };
        let all_near = near(p50, expect.1) && near(p99, expect.2);
        assert!(answers == expect.0 && all_near, "{latencies}: {answers} {p50:?} {p99:?}");
    }

    #[test]
    fn every_latency_counts_however_long() {
        check(1, "", (0, 0, 0));
        check(1, "1×7", (1, 7, 7));
        check(1, "50×10 50×20", (100, 10, 20));
        check(3, "98×10 2×900", (100, 10, 900));
        check(200, "300×10 300×5000000", (600, 10, 5_000_000));
        check(2, "1×3600000000 1×2047 1×2048", (3, 2048, 3_600_000_000));
    }

    #[test]
    fn who_is_never_answered_is_seen() {
        check(4, "100×10 -3×5000", (100, 10, 5_000));
        check(4, "1000×10 -3×5000", (1_000, 10, 10));
        check(4, "100×10 -3×5", (100, 10, 10));
        check(4, "-3×5000", (0, 0, 0));
    }
}
