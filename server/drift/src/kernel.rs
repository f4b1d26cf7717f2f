//! Two samples of vectors held against each other: maximum mean discrepancy with a p-value, and how
//! far their means are apart.
//!
//! The kernel is `k(x, y) = exp(−‖x − y‖² / 2σ²)`, with σ the median distance between all vectors of
//! both samples. The estimate is the unbiased one:
//! `Σ k(xᵢ, xⱼ) / m(m−1) + Σ k(yᵢ, yⱼ) / n(n−1) − 2 Σ k(xᵢ, yⱼ) / mn`, without the pairs of a vector
//! with itself. Its p-value is by permutation: both samples are put together and parted anew, and
//! without drift every parting is as likely as the one that was seen. σ does not change by it, so the
//! p-value holds for samples of any size.
//!
//! Permutations cannot show p-values smaller than one over their number. Where smaller ones are asked
//! for, one half of each sample says which function tells the two apart best (the witness: the mean of
//! k to the one half minus that to the other), and the values of this function at the other halves are
//! held against each other by Kolmogorov–Smirnov.
//!
//! # Source
//! Gretton, Borgwardt, Rasch, Schölkopf, Smola, "A kernel two-sample test", JMLR 13, 2012: equation 3
//! for the estimate, section 2.3 for the witness, section 8 for the median. Besag and Clifford, "Sequential Monte Carlo p-values",
//! 1991, for when to stop.

use crate::cast::{index, whole};
use crate::random::Random;
use crate::sample::Sample;
use crate::smirnov::kolmogorov_smirnov;

/// So many partings that are as extreme as the samples are enough to say that these are not: a window
/// without drift costs some tens of partings.
const EXTREMES_ENOUGH: u64 = 20;

/// Sums of floats go different ways round.
const ROUNDING: f64 = 1e-12;

/// What was found of two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discrepancy {
    /// The unbiased estimate; below 0 by chance where nothing differs.
    pub mmd_squared: f64,
    /// The σ of the kernel.
    pub bandwidth: f64,
    /// Probability of such an estimate, or a greater one, without drift.
    pub p: f64,
}

/// How a p-value is come by. Not to be chosen by what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// By at most so many partings, drawn from that seed: no p-value is below one over them.
    Permutation(u64, u64),
    /// By the witness of one half of the samples on the other.
    Witness,
}

/// Of two samples of at least two vectors each, all of one length.
pub fn discrepancy(reference: &[&[f32]], current: &[&[f32]], judge: Judge) -> Option<Discrepancy> {
    if reference.len() < 2 || current.len() < 2 {
        return None;
    }
    let all: Vec<&[f32]> = reference.iter().chain(current).copied().collect();
    let squares = squared_distances(&all);
    // All the same: no kernel can tell them apart.
    let Some(bandwidth) = median_distance(&squares) else {
        return Some(Discrepancy { mmd_squared: 0.0, bandwidth: 0.0, p: 1.0 });
    };
    let kernel = Kernel::new(&squares, all.len(), bandwidth);
    // The smaller part is summed over.
    let small = reference.len().min(current.len());
    let mut order: Vec<usize> = (0..all.len()).collect();
    if small == current.len() {
        order.reverse();
    }
    let observed = kernel.mmd_squared(&order, small);
    let p = match judge {
        Judge::Permutation(draws_max, seed) => {
            kernel.p(&mut order, (small, observed), (draws_max, seed))
        }
        Judge::Witness => kernel.witness_p(reference.len()),
    };
    Some(Discrepancy { mmd_squared: observed, bandwidth, p })
}

/// The distance of two points.
pub fn euclidean(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// One minus the cosine of the angle between two vectors, from 0 to 2; NaN if one has no length.
pub fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    1.0 - dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

/// Of each pair, first by the larger of its places.
fn squared_distances(all: &[&[f32]]) -> Vec<f64> {
    let pair = |(at, one): (usize, &&[f32])| -> Vec<f64> {
        all[..at].iter().map(|other| squared_distance(one, other)).collect()
    };
    all.iter().enumerate().flat_map(pair).collect()
}

/// Eight sums side by side, which the compiler keeps in vector registers.
fn squared_distance(one: &[f32], other: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (ones, others) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    for (a, b) in ones.0.iter().zip(others.0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            let apart = f64::from(*a) - f64::from(*b);
            *sum += apart * apart;
        }
    }
    let rest = ones.1.iter().zip(others.1).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The one in the middle, of two the mean; where half of all vectors are the same, the mean distance.
fn median_distance(squares: &[f64]) -> Option<f64> {
    let mut sorted = squares.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |place: usize| sorted.get(place).map_or(0.0, |it| it.sqrt());
    let median = if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    };
    let mean = || sorted.iter().map(|it| it.sqrt()).sum::<f64>() / sorted.len().max(1) as f64;
    let bandwidth = if median > 0.0 { median } else { mean() };
    (bandwidth > 0.0 && bandwidth.is_finite()).then_some(bandwidth)
}

/// Every pair's value, and what sums over all of them are.
struct Kernel {
    n: usize,
    values: Vec<f64>,
    rows: Vec<f64>,
    /// Over pairs, each once.
    total: f64,
}

impl Kernel {
    fn new(squares: &[f64], n: usize, bandwidth: f64) -> Kernel {
        let mut values = vec![0.0; n * n];
        let mut pairs = squares.iter();
        for one in 0..n {
            for other in 0..one {
                let square = pairs.next().copied().unwrap_or_default();
                let value = (-square / (2.0 * bandwidth * bandwidth)).exp();
                values[one * n + other] = value;
                values[other * n + one] = value;
            }
        }
        let rows: Vec<f64> = values.chunks_exact(n).map(|it| it.iter().sum()).collect();
        let total = rows.iter().sum::<f64>() / 2.0;
        Kernel { n, values, rows, total }
    }

    /// Of the first `small` in the order against all others: sums over rows and over pairs of the
    /// smaller part give those of the other part and between the two.
    fn mmd_squared(&self, order: &[usize], small: usize) -> f64 {
        let ours = &order[..small];
        let (mut within, mut touching) = (0.0, 0.0);
        for (at, &one) in ours.iter().enumerate() {
            let row = &self.values[one * self.n..(one + 1) * self.n];
            within += ours[..at].iter().map(|&other| row[other]).sum::<f64>();
            touching += self.rows[one];
        }
        let between = touching - 2.0 * within;
        let beyond = self.total - within - between;
        let (m, n) = (small as f64, (self.n - small) as f64);
        2.0 * within / (m * (m - 1.0)) + 2.0 * beyond / (n * (n - 1.0)) - 2.0 * between / (m * n)
    }

    /// Parts anew until enough partings were as extreme, or there were enough of them.
    fn p(
        &self,
        order: &mut [usize],
        (small, observed): (usize, f64),
        (draws_max, seed): (u64, u64),
    ) -> f64 {
        let mut random = Random::new(seed);
        let (mut extremes, mut draws) = (0_u64, 0_u64);
        while draws < draws_max {
            for at in 0..small {
                let left = (order.len() - at) as f64;
                let other = at + index(whole(random.uniform() * left));
                order.swap(at, other.min(self.n - 1));
            }
            draws += 1;
            extremes += u64::from(self.mmd_squared(order, small) >= observed - ROUNDING);
            if extremes == EXTREMES_ENOUGH {
                return extremes as f64 / draws as f64;
            }
        }
        (extremes + 1) as f64 / (draws + 1) as f64
    }

    /// Every second vector of both samples makes the witness, and the others are judged by it.
    fn witness_p(&self, reference: usize) -> f64 {
        let mean = |row: &[f64], from: usize, to: usize| {
            let half = row.get(from..to).unwrap_or_default().iter().step_by(2);
            half.clone().sum::<f64>() / half.len().max(1) as f64
        };
        let values = |from: usize, to: usize| {
            let rows =
                (from + 1..to).step_by(2).map(|it| &self.values[it * self.n..(it + 1) * self.n]);
            Sample::new(rows.map(|it| mean(it, 0, reference) - mean(it, reference, self.n)))
        };
        kolmogorov_smirnov(&values(0, reference), &values(reference, self.n)).p
    }
}
