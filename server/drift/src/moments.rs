//! Mean and spread, in three numbers that can be merged.

use serde::{Deserialize, Serialize};

/// How many values, their mean, and the sum of their squared distances from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Values.
    pub n: u64,
    /// Their mean; 0 if there are none.
    pub mean: f64,
    /// The sum of squared distances from the mean.
    pub m2: f64,
}

impl Moments {
    /// Of finite values, in two passes.
    pub fn of(values: &[f64]) -> Moments {
        if values.is_empty() {
            return Moments::default();
        }
        let mean = sum(values, |it| it) / values.len() as f64;
        let m2 = sum(values, |it| (it - mean) * (it - mean));
        Moments { n: values.len() as u64, mean, m2 }
    }

    /// Adds the values of another. Associative and commutative up to rounding.
    ///
    /// # Source
    /// Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    /// variances", 1979.
    pub fn merge(&mut self, other: &Moments) {
        let (ours, theirs) = (self.n as f64, other.n as f64);
        if other.n > 0 {
            let apart = other.mean - self.mean;
            let both = ours + theirs;
            self.mean = (ours * self.mean + theirs * other.mean) / both;
            self.m2 += other.m2 + apart * apart * (ours * theirs / both);
            self.n = self.n.saturating_add(other.n);
        }
    }

    /// The standard deviation of the values themselves; 0 if there are none.
    pub fn deviation(&self) -> f64 {
        if self.n == 0 { 0.0 } else { (self.m2 / self.n as f64).max(0.0).sqrt() }
    }
}

/// Eight sums side by side: in one, each addition would wait for the one before.
fn sum(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += of(*value));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|it| of(*it)).sum::<f64>()
}
