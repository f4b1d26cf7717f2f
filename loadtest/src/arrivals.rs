//! When the requests of an open loop are due.
//!
//! Used by `station`. Pure and seeded: no clock. A schedule never looks at answers, which is what
//! makes the loop open.

use std::time::Duration;

use crate::random::Random;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arrival {
    /// Independent arrivals: exponential gaps, bursts included. What many users together do.
    #[default]
    Poisson,
    /// Equal gaps.
    Constant,
}

/// One thread's share of the arrivals, as offsets from the start. Endless.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    arrival: Arrival,
    /// Of all threads together.
    rate_per_s: f64,
    threads: u64,
    /// Constant: number of the next arrival, counted over all threads.
    next: u64,
    /// Poisson: offset of the previous arrival.
    elapsed_s: f64,
    random: Random,
}

impl Arrivals {
    /// The share of thread `thread` of `threads`. Together the shares have the full rate: constant
    /// arrivals are dealt out in turn, and a sum of Poisson processes is a Poisson process.
    pub(crate) fn new(arrival: Arrival, rate_per_s: f64, seed: u64) -> Arrivals {
        let random = Random::new(seed);
        Arrivals { arrival, rate_per_s, threads: 1, next: 0, elapsed_s: 0.0, random }
    }

    pub(crate) fn share(mut self, thread: u64, threads: u64) -> Arrivals {
        let mut seeds = self.random.clone();
        for _ in 0..=thread {
            self.random = Random::new(seeds.bits());
        }
        Arrivals { next: thread, threads, ..self }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let offset_s = match self.arrival {
            Arrival::Constant => {
                let offset_s = self.next as f64 / self.rate_per_s;
                self.next += self.threads;
                offset_s
            }
            Arrival::Poisson => {
                // 1 - u is in (0, 1], so the logarithm is finite.
                let gap = -(1.0 - self.random.unit()).ln();
                self.elapsed_s += gap * self.threads as f64 / self.rate_per_s;
                self.elapsed_s
            }
        };
        Some(Duration::from_secs_f64(offset_s))
    }
}
