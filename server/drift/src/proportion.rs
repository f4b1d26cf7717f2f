//! Tests of counts by category.

use crate::special::{chi_square_above, normal_two_sided};

/// p-value of Pearson's chi-square test of the current counts against those that the reference's
/// shares let expect. A category that the reference lacks makes it 0.
///
/// The reference is taken for the truth, not for a sample: with a reference that is not much
/// larger than the window the p-value is too small. NaN for a single category.
///
/// # Source
/// Pearson, "On the criterion that a given system of deviations ... is such that it can be
/// reasonably supposed to have arisen from random sampling", 1900.
pub fn chi_square(reference: &[u64], current: &[u64]) -> f64 {
    let (n, m) = (reference.iter().sum::<u64>(), current.iter().sum::<u64>());
    let scale = m as f64 / n as f64;
    let term = |(&expected, &observed): (&u64, &u64)| {
        let expected = expected as f64 * scale;
        let apart = observed as f64 - expected;
        if apart == 0.0 { 0.0 } else { apart * apart / expected }
    };
    let statistic: f64 = reference.iter().zip(current).map(term).sum();
    chi_square_above(statistic, reference.len() as f64 - 1.0)
}

/// p-value of the chi-square test that both rows of counts have the same shares, neither taken for
/// the truth. Categories that neither has do not count; NaN if fewer than two are left.
///
/// # Source
/// Pearson, "On the probability that two independent distributions of frequency are really samples
/// from the same population", 1911.
pub fn homogeneity(reference: &[u64], current: &[u64]) -> f64 {
    let (n, m) = (reference.iter().sum::<u64>() as f64, current.iter().sum::<u64>() as f64);
    let used: Vec<(f64, f64)> = reference
        .iter()
        .zip(current)
        .map(|(&left, &right)| (left as f64, right as f64))
        .filter(|it| it.0 + it.1 > 0.0)
        .collect();
    let term = |&(left, right): &(f64, f64)| {
        let apart = left * (m / n).sqrt() - right * (n / m).sqrt();
        apart * apart / (left + right)
    };
    chi_square_above(used.iter().map(term).sum(), used.len() as f64 - 1.0)
}

/// p-value of the test that a share is the same on both sides, by the normal law with the variance
/// of both together. 1 if neither side has more than one and the same value.
pub fn two_proportions(reference: (u64, u64), current: (u64, u64)) -> f64 {
    let (hits, n) = (reference.0 as f64, reference.1 as f64);
    let (other_hits, m) = (current.0 as f64, current.1 as f64);
    let (p, q) = (hits / n, other_hits / m);
    let both = (hits + other_hits) / (n + m);
    if both == 0.0 || both == 1.0 {
        return 1.0;
    }
    let error = (both * (1.0 - both) * (1.0 / n + 1.0 / m)).sqrt();
    normal_two_sided((p - q) / error)
}
