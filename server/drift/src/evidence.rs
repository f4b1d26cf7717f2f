//! What a window says against the reference: every statistic, a p-value that knows both sizes, the
//! size of the difference, and where it lies.

use serde::Serialize;

use crate::binning::Shares;
use crate::cast::{index, whole};
use crate::categories::CategoryState;
use crate::column::Kind;
use crate::compare::of_numbers;
use crate::distance::{
    hellinger, jensen_shannon, kullback_leibler, largest_difference, psi, total_variation,
};
use crate::numbers::NumberState;
use crate::profile::{Categories, Numbers};
use crate::proportion::{chi_square, homogeneity, two_proportions};
use crate::sample::Sample;
use crate::smirnov::{self, KolmogorovSmirnov};
use crate::statistics::{Method, Statistics, present};
use crate::test::Test;

/// Bins of the profile that make one bin of a histogram statistic: 128 / 8 = 16 of them, since
/// the noise of PSI grows with the number of bins.
const FINE_PER_COARSE: usize = 8;

/// Rows that a category must be expected to have on the smaller side for the chi-square law to
/// hold; rarer ones are tested together.
const EXPECTED_MIN: f64 = 5.0;

/// How many bins are named.
const TOP_BINS: usize = 3;

/// What was found out about a feature in a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// Every statistic.
    pub statistics: Statistics,
    /// How they were computed.
    pub method: Method,
    /// The statistic that judges by default, as [`Test::by_default`] says; none of embeddings.
    pub default: Option<Test>,
    /// What the p-value is of: `ks`, `homogeneity`, or of embeddings `mmd` or `mmd_witness`.
    pub test: &'static str,
    /// Probability of such a difference, or a greater one, without drift; both sides are samples.
    pub p: f64,
    /// The size of the difference, from 0 to 1: the largest distance of the distribution
    /// functions, the total variation distance, or the root of half of the squared discrepancy.
    pub effect: f64,
    /// Usable rows of the reference.
    pub reference_rows: u64,
    /// Usable rows of the window.
    pub rows: u64,
    /// Where the difference is, largest part of the PSI first.
    pub top_bins: Vec<Bin>,
}

/// Values that lie together, or one category.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// `[from, to)`, or the category.
    pub name: String,
    /// Share of the reference.
    pub reference: f64,
    /// Share of the window.
    pub current: f64,
}

/// Of numbers: exact while window and reference are small enough to be kept, else binned.
pub fn of_numbers_state(profile: &Numbers, state: &NumberState) -> Evidence {
    let rows: u64 = profile.counts.iter().sum();
    let coarse = |counts: &[u64]| -> Vec<u64> {
        counts.chunks(FINE_PER_COARSE).map(|it| it.iter().sum()).collect()
    };
    let (left, right) = (coarse(&profile.counts), coarse(&state.counts));
    let complete = profile.sample.len() as u64 == rows;
    let seen = whole(state.distinct.estimate().round());
    let about = index(profile.distinct.max(seen));
    let (statistics, method, ks, distinct) =
        match state.raw().filter(|it| complete && !it.is_empty()) {
            Some(raw) => {
                let reference = Sample::new(profile.sample.iter().copied());
                let current = Sample::new(raw.iter().copied());
                let (statistics, distinct) = of_numbers(&reference, &current, profile.whole);
                // It is among them: of sides of different sizes the exact test takes milliseconds.
                let (statistic, p) = (statistics.ks_statistic, statistics.ks);
                let [statistic, p] = [statistic, p].map(|it| it.unwrap_or(f64::NAN));
                (statistics, Method::Exact, KolmogorovSmirnov { statistic, p }, distinct)
            }
            None => {
                let ks = smirnov::of_counts(&profile.counts, &state.counts);
                let statistics = Statistics {
                    ks: present(ks.p),
                    ks_statistic: present(ks.statistic),
                    wasserstein: present(binned_wasserstein(profile, state)),
                    ..of_shares(&Shares::of_counts(&left, &right))
                };
                (statistics, Method::Binned, ks, about)
            }
        };
    let starts = profile.edges.iter().skip(FINE_PER_COARSE - 1).step_by(FINE_PER_COARSE);
    let edges: Vec<f64> = starts.copied().collect();
    let name = |at: usize| {
        let from = at.checked_sub(1).map_or(f64::NEG_INFINITY, |it| edges[it]);
        let to = edges.get(at).copied().unwrap_or(f64::INFINITY);
        format!("[{}, {})", shortened(from), shortened(to))
    };
    // What counts each value has no score where only bins were counted.
    let is_scored = |it: &Test| statistics.score(*it).is_finite();
    let default = Test::by_default(Kind::Numerical, index(rows), distinct);
    let default = default.map(|it| if is_scored(&it) { it } else { Test::Ks });
    Evidence {
        statistics,
        method,
        default,
        test: "ks",
        p: ks.p,
        effect: ks.statistic,
        reference_rows: rows,
        rows: state.rows(),
        top_bins: top_bins(&left, &right, name),
    }
}

/// Of categories: those of the profile, and all others as one.
///
/// Without others every count is there, so the numbers are those of the raw values. One that the
/// reference lacks makes `chisquare` 0 then and else, as Evidently has it: what was never seen was not
/// to be expected. `p`, by which `auto` goes, takes both sides for samples, where one new row says little.
pub fn of_categories_state(profile: &Categories, state: &CategoryState) -> Evidence {
    let mut left: Vec<u64> = profile.counts.iter().map(|it| it.1).collect();
    let mut right = state.counts.clone();
    let complete = profile.others + state.others == 0;
    if !complete {
        left.push(profile.others);
        right.push(state.others);
    }
    let shares = Shares::of_counts(&left, &right);
    let (rare_left, rare_right) = pooled(&left, &right);
    let p = homogeneity(&rare_left, &rare_right);
    let name = |at: usize| {
        profile.counts.get(at).map_or_else(|| "(any other)".to_owned(), |it| it.0.to_string())
    };
    let effect = total_variation(&shares);
    let z = share_of_two(profile, &left, &right);
    let statistics = Statistics {
        tvd_statistic: present(effect),
        linf: present(largest_difference(&shares)),
        chisquare: present(chi_square(&left, &right)),
        z,
        ..of_shares(&shares)
    };
    let reference_rows = left.iter().sum();
    Evidence {
        statistics,
        method: if complete { Method::Exact } else { Method::Binned },
        default: Test::by_default(Kind::Categorical, index(reference_rows), left.len()),
        test: "homogeneity",
        // A single category on both sides is no difference.
        p: if p.is_nan() { 1.0 } else { p },
        effect,
        reference_rows,
        rows: right.iter().sum(),
        top_bins: top_bins(&left, &right, name),
    }
}

/// Of at most two categories: is the share the same of all but the first in their order? The profile
/// has the most frequent one first.
fn share_of_two(profile: &Categories, left: &[u64], right: &[u64]) -> Option<f64> {
    let order = profile.counts.iter().enumerate();
    let first = order.min_by(|a, b| a.1.0.cmp(&b.1.0)).map(|it| it.0)?;
    let others = |counts: &[u64]| {
        let rows: u64 = counts.iter().sum();
        (rows - counts.get(first).copied().unwrap_or(0), rows)
    };
    (left.len() <= 2).then(|| two_proportions(others(left), others(right))).and_then(present)
}

/// To six digits: an edge is named to be found, not to be computed with.
fn shortened(edge: f64) -> f64 {
    format!("{edge:.5e}").parse().unwrap_or(edge)
}

fn of_shares(shares: &Shares) -> Statistics {
    Statistics {
        psi: present(psi(shares)),
        jensenshannon: present(jensen_shannon(shares)),
        kl_div: present(kullback_leibler(shares)),
        hellinger: present(hellinger(shares)),
        ..Statistics::default()
    }
}

/// Puts together what is too rare to be tested alone.
fn pooled(left: &[u64], right: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let (n, m) = (left.iter().sum::<u64>() as f64, right.iter().sum::<u64>() as f64);
    let smaller = n.min(m) / (n + m).max(1.0);
    let (mut rare, mut pairs) = ((0, 0), Vec::new());
    for (&a, &b) in left.iter().zip(right) {
        if (a + b) as f64 * smaller < EXPECTED_MIN {
            rare = (rare.0 + a, rare.1 + b);
        } else {
            pairs.push((a, b));
        }
    }
    pairs.push(rare);
    pairs.into_iter().unzip()
}

/// The bins with the largest parts of the PSI.
fn top_bins(left: &[u64], right: &[u64], name: impl Fn(usize) -> String) -> Vec<Bin> {
    let shares = Shares::of_counts(left, right);
    let part = |at: usize| {
        let (p, q) = (shares.reference[at].max(1e-4), shares.current[at].max(1e-4));
        (p - q) * (p / q).ln()
    };
    let mut order: Vec<usize> = (0..left.len()).collect();
    order.sort_by(|&a, &b| part(b).total_cmp(&part(a)));
    order.truncate(TOP_BINS);
    let bin = |at: usize| Bin {
        name: name(at),
        reference: shares.reference[at],
        current: shares.current[at],
    };
    order.into_iter().map(bin).collect()
}

/// The area between the distribution functions, values spread evenly within each bin, in standard
/// deviations of the reference.
fn binned_wasserstein(profile: &Numbers, state: &NumberState) -> f64 {
    let Some((low, high)) = state.range else { return f64::NAN };
    let mut ends = vec![low.min(profile.min)];
    ends.extend(&profile.edges);
    ends.push(high.max(profile.max));
    let shares = Shares::of_counts(&profile.counts, &state.counts);
    let (mut before, mut area) = (0.0_f64, 0.0);
    for (at, pair) in ends.windows(2).enumerate() {
        let after = before + shares.reference[at] - shares.current[at];
        let (a, b) = (before.abs(), after.abs());
        // Where the two functions cross, two triangles are left of the trapezium.
        let crossing = before * after < 0.0;
        let height = if crossing { (a * a + b * b) / (2.0 * (a + b)) } else { (a + b) / 2.0 };
        area += height * (pair[1] - pair[0]).max(0.0);
        before = after;
    }
    area / profile.deviation.max(1e-3)
}
