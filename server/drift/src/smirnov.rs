//! The Kolmogorov–Smirnov test of two samples.

use crate::cast::{index, whole};
use crate::kolmogorov::kolmogorov_above;
use crate::sample::Sample;

/// Larger samples are judged by the law of one sample of the harmonic size, smaller ones exactly.
const EXACT_MAX: u64 = 10_000;

/// Windows are judged exactly while the lattice has no more cells: milliseconds.
const PATHS_MAX: u64 = 1_000_000;

/// Statistic and p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// The largest distance between the two distribution functions.
    pub statistic: f64,
    /// Probability of one as large between samples of the same law.
    pub p: f64,
}

/// Two-sided. NaN if a side is empty.
pub fn kolmogorov_smirnov(reference: &Sample, current: &Sample) -> KolmogorovSmirnov {
    let (n, m) = (reference.len() as u64, current.len() as u64);
    if n == 0 || m == 0 {
        return KolmogorovSmirnov { statistic: f64::NAN, p: f64::NAN };
    }
    let mut apart = Apart::new(n, m);
    reference.walk(current, |_, i, j| apart.see(i, j));
    apart.judged()
}

/// How far apart the distribution functions of two samples, neither of them empty, are at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apart {
    n: u64,
    m: u64,
    /// In units of one over the least common multiple, the distance is a whole number.
    step: u64,
    other_step: u64,
    largest: u128,
}

impl Apart {
    /// Of samples of those sizes.
    pub(crate) fn new(n: u64, m: u64) -> Apart {
        let divisor = gcd(n, m).max(1);
        Apart { n, m, step: m / divisor, other_step: n / divisor, largest: 0 }
    }

    /// So many of either are at most some value.
    pub(crate) fn see(&mut self, i: usize, j: usize) {
        let (a, b) = (i as u128 * u128::from(self.step), j as u128 * u128::from(self.other_step));
        self.largest = self.largest.max(a.abs_diff(b));
    }

    pub(crate) fn judged(self) -> KolmogorovSmirnov {
        let Apart { n, m, step, largest, .. } = self;
        let statistic = largest as f64 / (n as f64 * step as f64);
        let p = if n.max(m) <= EXACT_MAX {
            // At most 10⁸ in samples of that size.
            exact(n, m, u64::try_from(largest).unwrap_or(u64::MAX))
        } else {
            asymptotic(n, m, statistic)
        };
        KolmogorovSmirnov { statistic, p }
    }
}

/// Of counts in the same ascending bins: the distance is looked at where bins meet, so it is no
/// larger than that of the values, and the p-value no smaller.
pub fn of_counts(reference: &[u64], current: &[u64]) -> KolmogorovSmirnov {
    let (n, m) = (reference.iter().sum::<u64>(), current.iter().sum::<u64>());
    if n == 0 || m == 0 {
        return KolmogorovSmirnov { statistic: f64::NAN, p: f64::NAN };
    }
    let divisor = gcd(n, m);
    let (mut left, mut right, mut largest) = (0_u128, 0_u128, 0_u128);
    for (&a, &b) in reference.iter().zip(current) {
        left += u128::from(a) * u128::from(m / divisor);
        right += u128::from(b) * u128::from(n / divisor);
        largest = largest.max(left.abs_diff(right));
    }
    let statistic = largest as f64 / (n as f64 * (m / divisor) as f64);
    let p = of_window(n, m, statistic, u64::try_from(largest).unwrap_or(u64::MAX));
    KolmogorovSmirnov { statistic, p }
}

/// The p-value of samples of those sizes that are at least so far apart, whatever their values are.
pub(crate) fn of_distance(n: u64, m: u64, distance: f64) -> f64 {
    // In units of one over the least common multiple, downwards: the p-value is not too small.
    let multiple = n as f64 * (m / gcd(n, m).max(1)) as f64;
    of_window(n, m, distance, whole(distance * multiple))
}

/// A second of work at most in an offline comparison, but a window is judged on the way.
fn of_window(n: u64, m: u64, statistic: f64, distance: u64) -> f64 {
    if n.saturating_mul(m) <= PATHS_MAX {
        exact(n, m, distance)
    } else {
        asymptotic(n, m, statistic)
    }
}

/// The p-value of samples of any size, from the law of one sample.
pub fn asymptotic(n: u64, m: u64, statistic: f64) -> f64 {
    let (n, m) = (n.max(m) as f64, n.min(m) as f64);
    let size = (n * m / (n + m)).round_ties_even();
    kolmogorov_above(whole(size), statistic)
}

/// The exact p-value; `distance` in units of one over the least common multiple.
fn exact(n: u64, m: u64, distance: u64) -> f64 {
    if distance == 0 {
        return 1.0;
    }
    let p = if n == m { equal_sizes(n, distance) } else { paths_outside(n, m, distance) };
    p.clamp(0.0, 1.0)
}

/// Share of the paths from (0, 0) to (n, m), each as likely as the other, that somewhere are
/// `distance` or more from the diagonal.
///
/// A path comes to (x, y) from the left with probability x/(x + y), else from below, so that
/// `A(x, y) = (x A(x−1, y) + y A(x, y−1)) / (x + y)`, and A is 1 where the distance is reached.
/// What is added up is the share that strays, so that small p-values lose no digits.
///
/// # Source
/// The lattice: Hodges, "The significance probability of the Smirnov two-sample test", 1958.
fn paths_outside(n: u64, m: u64, distance: u64) -> f64 {
    let (long, short) = (n.max(m), n.min(m));
    let divisor = gcd(long, short);
    let (per_x, per_y) = (short / divisor, long / divisor);
    let mut column = vec![1.0; index(short) + 1];
    for x in 0..=long {
        // Inside means |x per_x − y per_y| < distance.
        let here = x * per_x;
        let low = if here < distance { 0 } else { (here - distance) / per_y + 1 };
        let high = ((here + distance - 1) / per_y).min(short);
        let mut below = 1.0;
        for (y, cell) in (low..=high).zip(&mut column[index(low)..]) {
            if x == 0 {
                *cell = 0.0;
                continue;
            }
            *cell = (*cell * x as f64 + below * y as f64) / (x + y) as f64;
            below = *cell;
        }
    }
    column[index(short)]
}

/// The same for samples of one size: `2 Σ (−1)ᵏ⁻¹ C(2n, n − kd) / C(2n, n)`, from the inside out.
///
/// # Source
/// Gnedenko and Korolyuk, "On the maximum discrepancy between two empirical distributions", 1951.
fn equal_sizes(n: u64, distance: u64) -> f64 {
    let mut p = 0.0;
    for k in (0..=n / distance).rev() {
        let mut ratio = 1.0;
        for j in 0..distance {
            let above = n as f64 - (k * distance) as f64 - j as f64;
            ratio *= above / (n + k * distance + j + 1) as f64;
        }
        p = ratio * (1.0 - p);
    }
    2.0 * p
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
