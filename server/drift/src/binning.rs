//! Which shares of two samples fall where: the common ground of PSI, Jensen–Shannon and
//! Kullback–Leibler.

use crate::cast::whole as whole_below;
use crate::column::Tally;
use crate::sample::Sample;

/// A numerical reference of at most so many values is counted value by value.
pub(crate) const DISTINCT_MAX: usize = 20;

/// Shares of reference and current in the same bins.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// Of the reference, bin by bin.
    pub reference: Vec<f64>,
    /// Of what is looked at.
    pub current: Vec<f64>,
}

impl Shares {
    /// Of counts; a side without rows has only zeroes.
    pub fn of_counts(reference: &[u64], current: &[u64]) -> Shares {
        let shares = |counts: &[u64]| {
            let rows = counts.iter().sum::<u64>().max(1) as f64;
            counts.iter().map(|&it| it as f64 / rows).collect()
        };
        Shares { reference: shares(reference), current: shares(current) }
    }

    /// Of numbers: between Sturges' edges over both samples, or value by value if the reference
    /// has few. `whole`: both sides are integers.
    pub fn of_samples(reference: &Sample, current: &Sample, whole: bool) -> Shares {
        if reference.distinct() <= DISTINCT_MAX {
            let (left, right) = side_by_side(reference, current);
            return Shares::of_counts(&left, &right);
        }
        let edges = union_edges(reference, current, whole);
        Shares::of_counts(&reference.histogram(&edges), &current.histogram(&edges))
    }

    /// Of categories, in their order.
    pub fn of_tallies(reference: &Tally, current: &Tally) -> Shares {
        let (left, right) = aligned(reference, current);
        Shares::of_counts(&left, &right)
    }
}

/// Sturges' edges over both samples, as NumPy's `histogram_bin_edges` computes them.
pub fn union_edges(reference: &Sample, current: &Sample, whole: bool) -> Vec<f64> {
    let ranges = [reference.range(), current.range()];
    let low = ranges.iter().flatten().map(|it| it.0).fold(f64::INFINITY, f64::min);
    let high = ranges.iter().flatten().map(|it| it.1).fold(f64::NEG_INFINITY, f64::max);
    sturges(low, high, reference.len() + current.len(), whole)
}

/// Equally wide bins, about log₂ n + 1 of them. The expression is NumPy's down to the rounding:
/// where n is a power of two, the last bit decides how many bins there are.
///
/// # Source
/// Sturges, "The choice of a class interval", 1926.
pub fn sturges(low: f64, high: f64, n: usize, whole: bool) -> Vec<f64> {
    if low == high {
        return vec![low - 0.5, high + 0.5];
    }
    let mut width = (high - low) / ((n as f64).log2() + 1.0);
    if whole && width < 1.0 {
        width = 1.0;
    }
    // At most log₂ n + 2; a range that overflows has one bin.
    let bins = whole_below(((high - low) / width).ceil()).max(1);
    let step = (high - low) / bins as f64;
    let mut edges: Vec<f64> = (0..bins).map(|it| it as f64 * step + low).collect();
    edges.push(high);
    edges
}

/// Counts of each value that occurs on either side, in the order of the values.
pub fn side_by_side(reference: &Sample, current: &Sample) -> (Vec<u64>, Vec<u64>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut before = (0, 0);
    reference.walk(current, |_, i, j| {
        left.push((i - before.0) as u64);
        right.push((j - before.1) as u64);
        before = (i, j);
    });
    (left, right)
}

/// Counts of each category that occurs on either side, in the order of the categories.
pub fn aligned(reference: &Tally, current: &Tally) -> (Vec<u64>, Vec<u64>) {
    let count = |tally: &Tally, key| tally.get(key).copied().unwrap_or(0);
    let new = current.iter().filter(|it| !reference.contains_key(it.0));
    let mut rows: Vec<_> =
        reference.iter().map(|(key, &n)| (key, n, count(current, key))).collect();
    rows.extend(new.map(|(key, &n)| (key, 0, n)));
    rows.sort_unstable_by_key(|it| it.0);
    rows.iter().map(|it| (it.1, it.2)).unzip()
}
