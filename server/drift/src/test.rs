//! Which statistic judges a column, and from where on it says "drift".

use serde::{Deserialize, Serialize};

use crate::column::Kind;

/// Up to so many rows of the reference, tests are chosen by p-value; beyond, by distance, since
/// among many rows every difference is significant.
const SMALL_ROWS: usize = 1000;

/// Numbers of at most so many different values are tested as categories.
pub(crate) const FEW_VALUES: usize = 5;

/// A statistic that can judge a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// Population stability index.
    Psi,
    /// Jensen–Shannon distance.
    JensenShannon,
    /// Kolmogorov–Smirnov, by its p-value.
    Ks,
    /// First Wasserstein distance in standard deviations of the reference.
    Wasserstein,
    /// Pearson's chi-square, by its p-value.
    ChiSquare,
    /// Two proportions, by their p-value.
    Z,
    /// Kullback–Leibler divergence.
    #[serde(rename = "kl_div")]
    KullbackLeibler,
    /// Hellinger distance.
    Hellinger,
    /// Total variation distance; categories.
    Tvd,
    /// Largest difference of a share; categories.
    Linf,
}

impl Test {
    /// Evidently's choice: `rows` of the reference, `distinct` values on both sides together.
    pub fn by_default(kind: Kind, rows: usize, distinct: usize) -> Option<Test> {
        let few = distinct <= FEW_VALUES;
        let counted = if distinct > 2 { Test::ChiSquare } else { Test::Z };
        match (kind, rows <= SMALL_ROWS) {
            (Kind::Numerical, true) => Some(if few { counted } else { Test::Ks }),
            (Kind::Numerical, false) => {
                Some(if few { Test::JensenShannon } else { Test::Wasserstein })
            }
            (Kind::Categorical, true) => Some(counted),
            (Kind::Categorical, false) => Some(Test::JensenShannon),
            (Kind::Text | Kind::Other, _) => None,
        }
    }

    /// Whether it has anything to say of such a column whose reference has so many different
    /// values. What it says of a window can still be nothing: a number that only ever had two values
    /// comes with a third one, and there is no `z`.
    pub fn applies(self, kind: Kind, distinct: usize) -> bool {
        match (kind, self) {
            (Kind::Text | Kind::Other, _) => false,
            (Kind::Numerical, Test::Tvd | Test::Linf) => false,
            (Kind::Categorical, Test::Ks | Test::Wasserstein) => false,
            (_, Test::Z) => distinct <= 2,
            (Kind::Numerical, Test::ChiSquare) => distinct <= FEW_VALUES,
            (
                Kind::Numerical | Kind::Categorical,
                Test::Psi | Test::JensenShannon | Test::KullbackLeibler | Test::Hellinger,
            )
            | (Kind::Numerical, Test::Ks | Test::Wasserstein)
            | (Kind::Categorical, Test::ChiSquare | Test::Tvd | Test::Linf) => true,
        }
    }

    /// As in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Test::Psi => "psi",
            Test::JensenShannon => "jensenshannon",
            Test::Ks => "ks",
            Test::Wasserstein => "wasserstein",
            Test::ChiSquare => "chisquare",
            Test::Z => "z",
            Test::KullbackLeibler => "kl_div",
            Test::Hellinger => "hellinger",
            Test::Tvd => "tvd",
            Test::Linf => "linf",
        }
    }

    /// Whether its score is a p-value: small means drift.
    pub fn is_p(self) -> bool {
        matches!(self, Test::Ks | Test::ChiSquare | Test::Z)
    }

    /// The customary threshold, which is also Evidently's. A rule of thumb: it does not know how
    /// many rows were looked at.
    pub fn threshold(self) -> f64 {
        if self.is_p() { 0.05 } else { 0.1 }
    }

    /// Whether a score says "drift" at a threshold. NaN never does.
    pub fn drifted(self, score: f64, threshold: f64) -> bool {
        match self {
            Test::Ks => score <= threshold,
            Test::ChiSquare | Test::Z => score < threshold,
            Test::Psi
            | Test::JensenShannon
            | Test::Wasserstein
            | Test::KullbackLeibler
            | Test::Hellinger
            | Test::Tvd
            | Test::Linf => score >= threshold,
        }
    }
}
