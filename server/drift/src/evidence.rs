//! What a window says against the reference: every statistic, a p-value that knows both sizes, the
//! size of the difference, and where it lies.

use serde::Serialize;

use crate::binning::Shares;
use crate::cast::index;
use crate::categories::CategoryState;
use crate::column::Kind;
use crate::distance::{
    hellinger, jensen_shannon, kullback_leibler, largest_difference, psi, total_variation,
};
use crate::profile::Categories;
use crate::proportion::{chi_square, homogeneity, two_proportions};
use crate::statistics::{Method, Statistics, present};
use crate::test::Test;

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
    /// How Kolmogorov–Smirnov and Wasserstein were computed, and of categories everything: see
    /// [`Evidence::method_of`].
    pub method: Method,
    /// Of numbers that are not exact: how far they may be off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
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

/// How far the numbers of a window may be from those of its raw values and the reference's, at most. What
/// they may be off by was subtracted before `p` was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Within {
    /// The distance of the distribution functions.
    pub ks_statistic: f64,
    /// The Wasserstein distance.
    pub wasserstein: f64,
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

impl Evidence {
    /// How a statistic was computed: those of histograms are never taken from a sketch, because the noise of its
    /// ranks would pass for a difference.
    pub fn method_of(&self, test: Test) -> Method {
        match test {
            Test::Ks | Test::Wasserstein => self.method,
            Test::Psi
            | Test::JensenShannon
            | Test::KullbackLeibler
            | Test::Hellinger
            | Test::ChiSquare
            | Test::Z
            | Test::Tvd
            | Test::Linf => match self.method {
                Method::Sketch => Method::Binned,
                Method::Exact | Method::Binned | Method::Sample => self.method,
            },
        }
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
        within: None,
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

pub(crate) fn of_shares(shares: &Shares) -> Statistics {
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
pub(crate) fn top_bins(left: &[u64], right: &[u64], name: impl Fn(usize) -> String) -> Vec<Bin> {
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
