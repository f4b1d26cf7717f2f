//! Losses of two versions that a rollout compares.

use server_base::Version;
use server_rollout::{Labels, Moments};

use crate::entries::Entry;
use crate::sum::Sum;
use crate::tally::Way;

/// How many, their sum and that of their squares: can be taken out again.
#[derive(Clone, Copy, Debug, Default)]
struct Losses {
    n: u64,
    sum: Sum,
    squares: Sum,
}

impl Losses {
    fn count(&mut self, loss: f64, way: Way) {
        self.n = match way {
            Way::In => self.n.saturating_add(1),
            Way::Out => self.n.saturating_sub(1),
        };
        way.add(&mut self.sum, loss);
        way.add(&mut self.squares, loss * loss);
    }

    fn moments(&self) -> Moments {
        if self.n == 0 {
            return Moments::default();
        }
        let n = self.n as f64;
        let mean = self.sum.value() / n;
        Moments { n: self.n, mean, m2: (self.squares.value() - n * mean * mean).max(0.0) }
    }
}

/// Predictions from then on, of one stage of a rollout.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    since_us: i64,
    stable: Version,
    canary: Version,
    of_stable: Losses,
    of_canary: Losses,
    of_both: Losses,
}

impl Watch {
    pub(crate) fn new(since_us: i64, stable: Version, canary: Version) -> Watch {
        let none = Losses::default();
        Watch { since_us, stable, canary, of_stable: none, of_canary: none, of_both: none }
    }

    /// Counts a row whose truth is known. `loss` is that of one of its predictions.
    pub(crate) fn count(&mut self, entry: &Entry, way: Way, loss: impl Fn(usize) -> Option<f64>) {
        let find = |version: Version| {
            let mut places = entry.predictions.iter().enumerate();
            let of_stage =
                places.find(|(_, it)| it.version == version && it.time_us >= self.since_us);
            of_stage.and_then(|(place, _)| loss(place))
        };
        match (find(self.stable), find(self.canary)) {
            (Some(stable), Some(canary)) => self.of_both.count(canary - stable, way),
            (Some(stable), None) => self.of_stable.count(stable, way),
            (None, Some(canary)) => self.of_canary.count(canary, way),
            (None, None) => {}
        }
    }

    pub(crate) fn labels(&self) -> Labels {
        Labels {
            stable: self.of_stable.moments(),
            canary: self.of_canary.moments(),
            paired: self.of_both.moments(),
        }
    }
}
