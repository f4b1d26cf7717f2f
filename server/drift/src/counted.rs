//! Numbers of few different values: how often each occurs says everything, however many rows there are.

use crate::binning::{DISTINCT_MAX, Shares, sturges};
use crate::compare::counted;
use crate::distance::{SPREAD_MIN, hellinger_of_bins, jensen_shannon, kullback_leibler, psi};
use crate::numbers::NumberState;
use crate::profile::Numbers;
use crate::sample::Sample;
use crate::smirnov::{self, KolmogorovSmirnov};
use crate::statistics::{Statistics, present};
use crate::test::FEW_VALUES;

/// Values that occur on either side, ascending, and how often on each.
pub(crate) struct Counted {
    values: Vec<f64>,
    left: Vec<u64>,
    right: Vec<u64>,
}

impl Counted {
    /// None: the reference has too many values, or the window has others, which nobody has counted one by one.
    pub(crate) fn of(profile: &Numbers, state: &NumberState) -> Option<Counted> {
        let known = profile.values()?;
        let side = |counts: &[u64]| -> Vec<u64> { known.iter().map(|it| counts[it.1]).collect() };
        let (left, right) = (side(&profile.counts), side(&state.counts));
        if right.iter().sum::<u64>() == state.rows() {
            let values = known.iter().map(|it| it.0).collect();
            return Some(Counted { values, left, right });
        }
        let window = Sample::new(state.raw()?.iter().copied());
        let mut rows: Vec<(f64, u64, u64)> =
            known.iter().zip(&left).map(|(it, &n)| (it.0, n, window.count(it.0))).collect();
        let is_new = |it: &(f64, u64)| profile.alone(profile.bin(it.0)).is_none();
        rows.extend(window.runs().filter(is_new).map(|(value, n)| (value, 0, n)));
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let values = rows.iter().map(|it| it.0).collect();
        let (left, right) = rows.iter().map(|it| (it.1, it.2)).unzip();
        Some(Counted { values, left, right })
    }

    /// How many values there are on both sides together.
    pub(crate) fn distinct(&self) -> usize {
        self.values.len()
    }

    /// Every statistic, as of the values themselves.
    pub(crate) fn statistics(&self, profile: &Numbers) -> (Statistics, KolmogorovSmirnov) {
        let Counted { values, left, right } = self;
        let ks = smirnov::of_counts(left, right);
        let shares = self.shares(profile.whole);
        let edges = self.edges(values.len(), profile.whole);
        let [p, q] = [left, right].map(|it| self.histogram(&edges, it));
        let mut statistics = Statistics {
            psi: present(psi(&shares)),
            jensenshannon: present(jensen_shannon(&shares)),
            ks: present(ks.p),
            ks_statistic: present(ks.statistic),
            wasserstein: present(self.area() / profile.deviation.max(SPREAD_MIN)),
            kl_div: present(kullback_leibler(&shares)),
            hellinger: present(hellinger_of_bins(&edges, &p, &q)),
            ..Statistics::default()
        };
        if values.len() <= FEW_VALUES {
            counted(&mut statistics, left, right);
        }
        (statistics, ks)
    }

    fn shares(&self, whole: bool) -> Shares {
        let Counted { left, right, .. } = self;
        if left.iter().filter(|&&it| it > 0).count() <= DISTINCT_MAX {
            return Shares::of_counts(left, right);
        }
        let rows: u64 = left.iter().chain(right).sum();
        let edges = self.edges(crate::cast::index(rows), whole);
        Shares::of_counts(&self.histogram(&edges, left), &self.histogram(&edges, right))
    }

    /// Sturges' for so many.
    fn edges(&self, n: usize, whole: bool) -> Vec<f64> {
        let ends = self.values.first().zip(self.values.last());
        ends.map_or_else(Vec::new, |(low, high)| sturges(*low, *high, n, whole))
    }

    /// Counts between edges that none of the values is beyond; the last bin is closed.
    fn histogram(&self, edges: &[f64], counts: &[u64]) -> Vec<u64> {
        let starts = &edges[..edges.len() - 1];
        let mut bins = vec![0; starts.len()];
        for (value, count) in self.values.iter().zip(counts) {
            bins[starts.partition_point(|it| it <= value).saturating_sub(1)] += count;
        }
        bins
    }

    /// Between the distribution functions.
    fn area(&self) -> f64 {
        let Counted { values, left, right } = self;
        let (n, m) = (left.iter().sum::<u64>() as f64, right.iter().sum::<u64>() as f64);
        let (mut i, mut j, mut area) = (0, 0, 0.0);
        for (at, pair) in values.windows(2).enumerate() {
            (i, j) = (i + left[at], j + right[at]);
            area += (i as f64 / n - j as f64 / m).abs() * (pair[1] - pair[0]);
        }
        area
    }
}
