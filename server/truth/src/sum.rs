//! A sum from which things can be taken away again.

use serde::{Deserialize, Serialize};

/// Two numbers that together are the sum: what the first loses to rounding is in the second. A label
/// that is corrected takes its old share out, and nothing of it may stay behind, however large it was.
///
/// # Source
/// Knuth, "The Art of Computer Programming", volume 2, 4.2.2, theorem B (the exact error of a sum).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        let sum = self.high + value;
        let part = sum - self.high;
        self.low += (self.high - (sum - part)) + (value - part);
        self.high = sum;
    }

    pub(crate) fn merge(&mut self, other: &Sum) {
        self.add(other.high);
        self.add(other.low);
    }

    pub(crate) fn value(&self) -> f64 {
        self.high + self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_away_leaves_nothing_behind() {
        let mut sum = Sum::default();
        for value in [0.1, 1e15, 0.2, -1e15, 1e30, 0.3, -1e30] {
            sum.add(value);
        }
        assert!((sum.value() - 0.6).abs() < 1e-12, "{}", sum.value());
        let mut both = Sum::default();
        both.add(1e20);
        both.merge(&sum);
        both.add(-1e20);
        assert!((both.value() - 0.6).abs() < 1e-12, "{}", both.value());
    }
}
