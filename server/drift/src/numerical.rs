//! What a window of numbers says against the reference, by the best that is still known of both: their
//! values, how often each of few occurs, the reference's ranks, or bins.

use crate::binning::{DISTINCT_MAX, Shares};
use crate::cast::{index, whole};
use crate::column::Kind;
use crate::compare::of_numbers;
use crate::counted::Counted;
use crate::distance::SPREAD_MIN;
use crate::evidence::{Evidence, Within, of_shares, top_bins};
use crate::numbers::NumberState;
use crate::profile::Numbers;
use crate::sample::Sample;
use crate::sketched;
use crate::smirnov::{self, KolmogorovSmirnov};
use crate::statistics::{Method, Statistics, present};
use crate::test::{FEW_VALUES, Test};

/// Bins of the profile that make one bin of a histogram statistic: 128 / 8 = 16 of them, since
/// the noise of PSI grows with the number of bins.
const FINE_PER_COARSE: usize = 8;

/// What was found, and how.
struct Found {
    statistics: Statistics,
    method: Method,
    within: Option<Within>,
    ks: KolmogorovSmirnov,
    /// Different values on both sides together, at least.
    distinct: usize,
}

/// Of numbers: exact while window and reference are small enough to be kept or have few values, by the
/// reference's ranks while the window is, else binned.
pub fn of_numbers_state(profile: &Numbers, state: &NumberState) -> Evidence {
    let bins = Bins::of(profile, state);
    let raw = state.raw().filter(|it| !it.is_empty());
    let found = raw
        .and_then(|it| exact(profile, it))
        .or_else(|| (state.rows() > 0).then(|| counted(profile, state)).flatten())
        .or_else(|| raw.map(|it| sketched(profile, state, (&bins, it))))
        .unwrap_or_else(|| binned(profile, state, &bins));
    let mut statistics = found.statistics;
    let few = index(profile.distinct) <= FEW_VALUES && profile.values().is_some();
    if few && statistics.chisquare.is_none() && bins.new > 0 {
        // What was never seen was not to be expected.
        statistics.chisquare = Some(0.0);
    }
    // What counts each value has no score where only bins were counted.
    let is_scored = |it: &Test| statistics.score(*it).is_finite();
    let rows: u64 = profile.counts.iter().sum();
    let default = Test::by_default(Kind::Numerical, index(rows), found.distinct);
    let default = default.map(|it| if is_scored(&it) { it } else { Test::Ks });
    Evidence {
        statistics,
        method: found.method,
        within: found.within,
        default,
        test: "ks",
        p: found.ks.p,
        effect: found.ks.statistic,
        reference_rows: rows,
        rows: state.rows(),
        top_bins: top_bins(&bins.left, &bins.right, |at| bins.name(profile, at)),
    }
}

/// From all values of both sides.
fn exact(profile: &Numbers, raw: &[f64]) -> Option<Found> {
    let rows: u64 = profile.counts.iter().sum();
    (profile.sample.len() as u64 == rows).then(|| {
        let reference = Sample::new(profile.sample.iter().copied());
        let current = Sample::new(raw.iter().copied());
        let (statistics, distinct) = of_numbers(&reference, &current, profile.whole);
        // It is among them: of sides of different sizes the exact test takes milliseconds.
        let [statistic, p] =
            [statistics.ks_statistic, statistics.ks].map(|it| it.unwrap_or(f64::NAN));
        let ks = KolmogorovSmirnov { statistic, p };
        Found { statistics, method: Method::Exact, within: None, ks, distinct }
    })
}

/// From how often each value occurs.
fn counted(profile: &Numbers, state: &NumberState) -> Option<Found> {
    let counted = Counted::of(profile, state)?;
    let (statistics, ks) = counted.statistics(profile);
    let distinct = counted.distinct();
    Some(Found { statistics, method: Method::Exact, within: None, ks, distinct })
}

/// From all values of the window, and the ranks that the reference has kept.
fn sketched(profile: &Numbers, state: &NumberState, (bins, raw): (&Bins, &[f64])) -> Found {
    let coarse = binned(profile, state, bins);
    let (ks, area, within) = sketched::from_ranks(profile, raw, coarse.ks.statistic);
    let statistics = Statistics {
        ks: present(ks.p),
        ks_statistic: present(ks.statistic),
        wasserstein: present(area),
        ..coarse.statistics
    };
    Found { statistics, method: Method::Sketch, within: Some(within), ks, ..coarse }
}

/// From counts between the profile's edges.
fn binned(profile: &Numbers, state: &NumberState, bins: &Bins) -> Found {
    let ks = smirnov::of_counts(&profile.counts, &state.counts);
    let (area, error) = wasserstein(profile, state);
    let statistics = Statistics {
        ks: present(ks.p),
        ks_statistic: present(ks.statistic),
        wasserstein: present(area),
        ..of_shares(&Shares::of_counts(&bins.left, &bins.right))
    };
    let seen = index(whole(state.distinct.estimate().round()));
    let within = Within { ks_statistic: blind(profile, state), wasserstein: error };
    let within = Some(within).filter(|_| state.rows() > 0);
    let distinct = index(profile.distinct).max(seen) + bins.new;
    Found { statistics, method: Method::Binned, within, ks, distinct }
}

/// Bins of histogram statistics: of few values those of the profile, else several together.
struct Bins {
    /// The profile's bins that begin them. What is empty on both sides is none: it would be filled on both.
    starts: Vec<usize>,
    left: Vec<u64>,
    right: Vec<u64>,
    per_bin: usize,
    /// Of a reference of few values: bins of what is none of them that the window fills.
    new: usize,
}

impl Bins {
    fn of(profile: &Numbers, state: &NumberState) -> Bins {
        let values = profile.values();
        let is_few = values.as_ref().is_some_and(|it| it.len() <= DISTINCT_MAX);
        let per_bin = if is_few { 1 } else { FINE_PER_COARSE };
        let sums = |counts: &[u64]| -> Vec<u64> {
            counts.chunks(per_bin).map(|it| it.iter().sum()).collect()
        };
        let (mut starts, mut left, mut right) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (a, b)) in sums(&profile.counts).into_iter().zip(sums(&state.counts)).enumerate() {
            if a + b > 0 {
                starts.push(at * per_bin);
                left.push(a);
                right.push(b);
            }
        }
        let is_new = |bin: &(usize, &u64)| *bin.1 > 0 && profile.alone(bin.0).is_none();
        let new = state.counts.iter().enumerate().filter(is_new).count();
        let new = if values.is_some() { new } else { 0 };
        Bins { starts, left, right, per_bin, new }
    }

    fn name(&self, profile: &Numbers, at: usize) -> String {
        let start = self.starts[at];
        let alone = profile.alone(start).filter(|_| self.per_bin == 1);
        if let Some(value) = alone {
            return shortened(value).to_string();
        }
        let edge = |at: usize| profile.edges.get(at).copied();
        let from = start.checked_sub(1).and_then(edge).unwrap_or(f64::NEG_INFINITY);
        let to = edge(start + self.per_bin - 1).unwrap_or(f64::INFINITY);
        let open = if self.per_bin == 1 { '(' } else { '[' };
        format!("{open}{}, {})", shortened(from), shortened(to))
    }
}

/// To six digits: an edge is named to be found, not to be computed with.
fn shortened(edge: f64) -> f64 {
    format!("{edge:.5e}").parse().unwrap_or(edge)
}

/// How much further apart the distribution functions may be within a bin than where it begins and ends:
/// by the smaller of its two shares, if it has room for more than one value.
fn blind(profile: &Numbers, state: &NumberState) -> f64 {
    let shares = Shares::of_counts(&profile.counts, &state.counts);
    let both = shares.reference.iter().zip(&shares.current).enumerate();
    let wide = both.filter(|it| profile.alone(it.0).is_none());
    wide.map(|(_, (a, b))| a.min(*b)).fold(0.0, f64::max)
}

/// The area between the distribution functions, values spread evenly within each bin, in standard
/// deviations of the reference; and how far it may be off: by half of each bin's two shares times its width.
fn wasserstein(profile: &Numbers, state: &NumberState) -> (f64, f64) {
    let Some((low, high)) = state.range else { return (f64::NAN, f64::NAN) };
    let mut ends = vec![low.min(profile.min)];
    ends.extend(&profile.edges);
    ends.push(high.max(profile.max));
    let shares = Shares::of_counts(&profile.counts, &state.counts);
    let (mut before, mut area, mut error) = (0.0_f64, 0.0, 0.0);
    for (at, pair) in ends.windows(2).enumerate() {
        let (left, right) = (shares.reference[at], shares.current[at]);
        let after = before + left - right;
        let (a, b) = (before.abs(), after.abs());
        // Where the two functions cross, two triangles are left of the trapezium.
        let crossing = before * after < 0.0;
        let height = if crossing { (a * a + b * b) / (2.0 * (a + b)) } else { (a + b) / 2.0 };
        let width = (pair[1] - pair[0]).max(0.0);
        area += height * width;
        error += (left + right) / 2.0 * width;
        before = after;
    }
    let spread = profile.deviation.max(SPREAD_MIN);
    (area / spread, error / spread)
}
