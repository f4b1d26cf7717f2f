//! How far apart two sets of shares are.

use crate::binning::{Shares, sturges};
use crate::column::Tally;
use crate::sample::Sample;

/// What stands for a share of zero, so that logarithms stay finite.
const FLOOR: f64 = 1e-4;

/// Spread below which the Wasserstein distance is no longer divided by it.
pub(crate) const SPREAD_MIN: f64 = 1e-3;

/// Population stability index, in nats: `Σ (p − q) ln(p/q)`, empty bins filled.
///
/// # Source
/// The symmetrised relative entropy: Kullback and Leibler, "On information and sufficiency", 1951.
pub fn psi(shares: &Shares) -> f64 {
    let (p, q) = (filled(&shares.reference), filled(&shares.current));
    p.iter().zip(&q).map(|(p, q)| (p - q) * (p / q).ln()).sum()
}

/// Kullback–Leibler divergence of the reference from the current shares, in nats: empty bins
/// filled, both sides normalised again.
pub fn kullback_leibler(shares: &Shares) -> f64 {
    let (p, q) = (normalised(&filled(&shares.reference)), normalised(&filled(&shares.current)));
    p.iter().zip(&q).map(|(&p, &q)| relative_entropy(p, q)).sum()
}

/// Jensen–Shannon distance: the root of the divergence, natural logarithm, so at most √ln 2.
///
/// # Source
/// Lin, "Divergence measures based on the Shannon entropy", 1991; Endres and Schindelin, "A new
/// metric for probability distributions", 2003.
pub fn jensen_shannon(shares: &Shares) -> f64 {
    let (p, q) = (normalised(&shares.reference), normalised(&shares.current));
    let terms = p.iter().zip(&q);
    let left: f64 = terms.clone().map(|(&p, &q)| relative_entropy(p, (p + q) / 2.0)).sum();
    let right: f64 = terms.map(|(&p, &q)| relative_entropy(q, (p + q) / 2.0)).sum();
    // Of equal sides the sum may be a rounding below zero.
    ((left + right) / 2.0).max(0.0).sqrt()
}

/// Hellinger distance of shares: `√(1 − Σ √(p q))`.
pub fn hellinger(shares: &Shares) -> f64 {
    let both = shares.reference.iter().zip(&shares.current);
    let common: f64 = both.map(|(p, q)| (p * q).sqrt()).sum();
    (1.0 - common.clamp(0.0, 1.0)).sqrt()
}

/// Hellinger distance of numbers, by densities between Sturges' edges over the *different* values
/// of both sides, as Evidently bins them: samples that have so many different values together.
pub(crate) fn hellinger_of_distinct(
    reference: &Sample,
    current: &Sample,
    (distinct, whole): (usize, bool),
) -> f64 {
    let ends = |a: Option<(f64, f64)>, b: Option<(f64, f64)>| match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, None) | (None, one) => one,
    };
    let Some((low, high)) = ends(reference.range(), current.range()) else { return f64::NAN };
    let edges = sturges(low, high, distinct, whole);
    hellinger_of_bins(&edges, &reference.histogram(&edges), &current.histogram(&edges))
}

/// The same of counts between edges that are equally far apart.
pub(crate) fn hellinger_of_bins(edges: &[f64], reference: &[u64], current: &[u64]) -> f64 {
    let density = |counts: &[u64]| -> Vec<f64> {
        let rows = counts.iter().sum::<u64>() as f64;
        let widths = edges.windows(2).map(|it| it[1] - it[0]);
        counts.iter().zip(widths).map(|(&n, width)| n as f64 / width / rows).collect()
    };
    let width = (edges[edges.len() - 1] - edges[0]) / (edges.len() - 1) as f64;
    let (left, right) = (density(reference), density(current));
    let common: f64 = left.iter().zip(&right).map(|(p, q)| (p * q).sqrt() * width).sum();
    (1.0 - common.clamp(0.0, 1.0)).sqrt()
}

/// Total variation distance: half of the sum of the differences.
pub fn total_variation(shares: &Shares) -> f64 {
    let both = shares.reference.iter().zip(&shares.current);
    0.5 * both.map(|(p, q)| (p - q).abs()).sum::<f64>()
}

/// The largest difference of a single share.
pub fn largest_difference(shares: &Shares) -> f64 {
    let both = shares.reference.iter().zip(&shares.current);
    both.map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)
}

/// What lies between the distribution functions of two samples, neither of them empty: in standard
/// deviations of the reference, their first Wasserstein distance.
///
/// # Source
/// Vallender, "Calculation of the Wasserstein distance between probability distributions on the
/// line", 1974.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    n: f64,
    m: f64,
    area: f64,
    /// Up to a value the functions are as far apart as at the one before.
    apart: f64,
    before: f64,
}

impl Area {
    pub(crate) fn new(reference: &Sample, current: &Sample) -> Area {
        let (n, m) = (reference.len() as f64, current.len() as f64);
        Area { n, m, area: 0.0, apart: 0.0, before: 0.0 }
    }

    /// So many of either are at most that value, the next one.
    pub(crate) fn see(&mut self, value: f64, i: usize, j: usize) {
        self.area += self.apart * (value - self.before);
        (self.apart, self.before) = ((i as f64 / self.n - j as f64 / self.m).abs(), value);
    }

    pub(crate) fn in_deviations(self, reference: &Sample) -> f64 {
        self.area / reference.deviation().max(SPREAD_MIN)
    }
}

/// Whether the categories of the current side occur in the reference, as the share of its rows
/// that do not.
pub fn new_share(reference: &Tally, current: &Tally) -> f64 {
    let rows: u64 = current.values().sum();
    let new: u64 = current.iter().filter(|it| !reference.contains_key(it.0)).map(|(_, &n)| n).sum();
    new as f64 / rows.max(1) as f64
}

/// Zeroes replaced: by 10⁻⁴, or, where the smallest share is no larger than that, by a millionth
/// of it. Not normalised again.
fn filled(shares: &[f64]) -> Vec<f64> {
    let least = shares.iter().copied().filter(|&it| it > 0.0).fold(f64::INFINITY, f64::min);
    let fill = if least <= FLOOR { least / 1e6 } else { FLOOR };
    shares.iter().map(|&it| if it == 0.0 { fill } else { it }).collect()
}

fn normalised(shares: &[f64]) -> Vec<f64> {
    let sum: f64 = shares.iter().sum();
    shares.iter().map(|it| it / sum).collect()
}

/// `p ln(p/q)`, which is 0 for `p = 0`.
fn relative_entropy(p: f64, q: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p * (p / q).ln() }
}
