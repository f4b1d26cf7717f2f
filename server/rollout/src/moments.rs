//! Mean and spread of a number, in three numbers that can be added across replicas.

use serde::{Deserialize, Serialize};

/// How many values, their mean, and the sum of their squared distances from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moments {
    /// Values.
    pub n: u64,
    /// Their mean; 0 if there are none.
    pub mean: f64,
    /// The sum of squared distances from the mean.
    pub m2: f64,
}

/// Largest value that is taken: its square must leave room for a sum of many.
const VALUE_MAX: f64 = 1e120;

impl Moments {
    /// Adds a value. One that is not finite, or beyond 10¹²⁰, is none: false.
    ///
    /// # Source
    /// Welford, "Note on a method for calculating corrected sums of squares and products", 1962.
    pub fn add(&mut self, value: f64) -> bool {
        // NaN is in no range.
        if !(-VALUE_MAX..=VALUE_MAX).contains(&value) {
            return false;
        }
        self.n = self.n.saturating_add(1);
        let from_old = value - self.mean;
        self.mean += from_old / self.n as f64;
        self.m2 += from_old * (value - self.mean);
        true
    }

    /// Adds the values of another.
    ///
    /// # Source
    /// Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    /// variances", 1979.
    pub fn merge(&mut self, other: &Moments) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *other;
            return;
        }
        let (ours, theirs) = (self.n as f64, other.n as f64);
        let apart = other.mean - self.mean;
        let share = theirs / (ours + theirs);
        self.mean += apart * share;
        self.m2 += other.m2 + apart * apart * ours * share;
        self.n = self.n.saturating_add(other.n);
    }

    /// The sum of the values.
    pub fn sum(&self) -> f64 {
        self.mean * self.n as f64
    }

    /// The mean squared distance from the mean; 0 if there are no values.
    pub fn variance(&self) -> f64 {
        if self.n == 0 { 0.0 } else { (self.m2 / self.n as f64).max(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        for &value in values {
            assert!(moments.add(value), "{value}");
        }
        moments
    }

    #[track_caller]
    fn close(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-12 * right.abs().max(1.0), "{left} is not {right}");
    }

    #[test]
    fn mean_and_variance_are_those_of_the_values() {
        let moments = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(moments.n, 8);
        close(moments.mean, 5.0);
        close(moments.variance(), 4.0);
        close(moments.sum(), 40.0);
        // Far from zero the sum of squares would have no digit left.
        close(of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]).variance(), 2.0 / 3.0);
    }

    #[test]
    fn a_merge_is_as_if_all_had_been_added() {
        let values = [1.5, -2.0, 3.25, 1e3, -7.5, 0.0, 12.0];
        for cut in 0..=values.len() {
            let (left, right) = values.split_at(cut);
            let mut merged = of(left);
            merged.merge(&of(right));
            let whole = of(&values);
            assert_eq!(merged.n, whole.n);
            close(merged.mean, whole.mean);
            close(merged.m2, whole.m2);
        }
    }

    #[test]
    fn what_is_no_number_is_not_added() {
        let mut moments = of(&[1.0]);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e121, f64::MAX] {
            assert!(!moments.add(value), "{value}");
        }
        assert_eq!(moments, of(&[1.0]));
        close(Moments::default().variance(), 0.0);
        let large = of(&[1e120, -1e120, 1e120]);
        assert!(large.variance().is_finite());
    }
}
