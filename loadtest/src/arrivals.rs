//! When the requests of an open loop are due.
//!
//! Used by `station`. Pure and seeded: no clock. A schedule never looks at answers, which is what
//! makes the loop open.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::BURST_REQUESTS_MAX;
use crate::profile::{Place, Profile};
use crate::random::Random;

/// How arrivals are spread where only their rate is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Independent arrivals: exponential gaps. What many users together do.
    #[default]
    Poisson,
    /// Equal gaps.
    Constant,
    /// So many at one instant; the bursts themselves are independent.
    Burst(u32),
}

/// One request of an open loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// From the start.
    pub(crate) offset: Duration,
    /// The index of its model; `None`: to be drawn.
    pub(crate) model: Option<usize>,
}

/// Of all threads together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Schedule {
    Drawn {
        profile: Arc<Profile>,
        arrival: Arrival,
    },
    /// Recorded arrivals, in order.
    Traced(Arc<Vec<Due>>),
}

/// One thread's share of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    schedule: Schedule,
    threads: u64,
    /// Constant and traced: number of the next arrival, counted over all threads.
    next: u64,
    /// Poisson and bursts: arrivals to be expected until the previous one.
    elapsed: f64,
    /// What is left of a burst.
    burst_left: u32,
    place: Place,
    random: Random,
}

impl Arrivals {
    pub(crate) fn new(schedule: Schedule, seed: u64) -> Arrivals {
        let (place, random) = (Place::default(), Random::new(seed));
        Arrivals { schedule, threads: 1, next: 0, elapsed: 0.0, burst_left: 0, place, random }
    }

    /// The share of thread `thread` of `threads`. Together the shares have the full rate: constant
    /// and recorded arrivals are dealt out in turn, and a sum of Poisson processes is one.
    pub(crate) fn share(mut self, thread: u64, threads: u64) -> Arrivals {
        let mut seeds = self.random.clone();
        for _ in 0..=thread {
            self.random = Random::new(seeds.bits());
        }
        Arrivals { next: thread, threads, ..self }
    }

    /// Takes the number of the next arrival.
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += self.threads;
        number
    }

    /// Goes on by an exponential gap, which is so many arrivals wide on average.
    fn gap(&mut self, mean: f64) {
        // 1 - u is in (0, 1], so the logarithm is finite.
        self.elapsed -= (1.0 - self.random.unit()).ln() * mean * self.threads as f64;
    }

    /// How many arrivals are to be expected until the next one.
    fn count(&mut self, arrival: Arrival) -> f64 {
        match arrival {
            Arrival::Constant => return self.number() as f64,
            Arrival::Poisson => self.gap(1.0),
            Arrival::Burst(size) => {
                if self.burst_left == 0 {
                    self.gap(size.into());
                    self.burst_left = size;
                }
                self.burst_left -= 1;
            }
        }
        self.elapsed
    }
}

impl Iterator for Arrivals {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        match &self.schedule {
            Schedule::Traced(dues) => {
                let dues = Arc::clone(dues);
                dues.get(usize::try_from(self.number()).ok()?).copied()
            }
            Schedule::Drawn { profile, arrival } => {
                let (profile, arrival) = (Arc::clone(profile), *arrival);
                let count = self.count(arrival);
                let offset_s = profile.time_of(&mut self.place, count)?;
                let offset = Duration::try_from_secs_f64(offset_s).ok()?;
                Some(Due { offset, model: None })
            }
        }
    }
}

impl FromStr for Arrival {
    type Err = String;

    fn from_str(text: &str) -> Result<Arrival, String> {
        match text.split_once('=') {
            None if text == "poisson" => Ok(Arrival::Poisson),
            None if text == "constant" => Ok(Arrival::Constant),
            Some(("burst", size)) => {
                let size = size.parse().ok().filter(|it| (2..=BURST_REQUESTS_MAX).contains(it));
                let size = size.ok_or(format!("expected burst=2 to burst={BURST_REQUESTS_MAX}"))?;
                Ok(Arrival::Burst(size))
            }
            _ => Err("expected poisson, constant or burst=N".to_owned()),
        }
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arrival::Poisson => out.write_str("Poisson"),
            Arrival::Constant => out.write_str("constant"),
            Arrival::Burst(size) => write!(out, "in bursts of {size}"),
        }
    }
}
