//! Which model the next request is for.
//!
//! Used by `station`, one per thread. Pure and seeded: the same seed gives the same order.

use crate::random::Random;

/// Invariant: `ends` ascend to the sum of the weights, one per model.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    ends: Vec<f64>,
    random: Random,
}

impl Mix {
    /// `weights` are positive; each thread gets an order of its own.
    pub(crate) fn new(weights: impl Iterator<Item = f64>, seed: u64, thread: u64) -> Mix {
        let mut sum = 0.0;
        let ends = weights.map(|weight| {
            sum += weight;
            sum
        });
        let ends = ends.collect();
        // Apart from the seeds of the arrivals, which are drawn from the same number.
        let mut seeds = Random::new(!seed);
        let own = (0..=thread).map(|_| seeds.bits()).last().unwrap_or(seed);
        Mix { ends, random: Random::new(own) }
    }

    /// The index of a model, in proportion to its weight.
    pub(crate) fn pick(&mut self) -> usize {
        let last = self.ends.len() - 1;
        if last == 0 {
            return 0;
        }
        let ticket = self.random.unit() * self.ends[last];
        // Rounding may put the ticket on the very end.
        self.ends.iter().position(|&end| ticket < end).unwrap_or(last)
    }
}
