//! All statistics of one column, and how they were come by.

use serde::{Deserialize, Serialize};

use crate::test::Test;

/// How a result was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// From the raw values.
    Exact,
    /// From counts between edges that the reference profile has fixed: exact for these bins.
    Binned,
    /// From vectors that were kept by lot: means are of all, everything else is of these.
    Sample,
    /// From a sketch: its error is bounded, not zero.
    Sketch,
}

/// Every statistic of a column; `None` where one does not apply or has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Population stability index.
    pub psi: Option<f64>,
    /// Jensen–Shannon distance.
    pub jensenshannon: Option<f64>,
    /// p-value of Kolmogorov–Smirnov; numerical columns.
    pub ks: Option<f64>,
    /// Statistic of Kolmogorov–Smirnov; numerical columns.
    pub ks_statistic: Option<f64>,
    /// Wasserstein distance in standard deviations of the reference; numerical columns.
    pub wasserstein: Option<f64>,
    /// p-value of chi-square; categories, and numbers of few values.
    pub chisquare: Option<f64>,
    /// p-value of two proportions; columns of at most two values.
    pub z: Option<f64>,
    /// Kullback–Leibler divergence.
    pub kl_div: Option<f64>,
    /// Hellinger distance.
    pub hellinger: Option<f64>,
    /// Total variation distance; categories.
    pub tvd_statistic: Option<f64>,
    /// Largest difference of a share; categories.
    pub linf: Option<f64>,
    /// Squared maximum mean discrepancy, unbiased; embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmd_squared: Option<f64>,
    /// Euclidean distance of the means; embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_euclidean: Option<f64>,
    /// Cosine distance of the means; embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_cosine: Option<f64>,
}

impl Statistics {
    /// What a test goes by; NaN if it does not apply.
    pub fn score(&self, test: Test) -> f64 {
        let score = match test {
            Test::Psi => self.psi,
            Test::JensenShannon => self.jensenshannon,
            Test::Ks => self.ks,
            Test::Wasserstein => self.wasserstein,
            Test::ChiSquare => self.chisquare,
            Test::Z => self.z,
            Test::KullbackLeibler => self.kl_div,
            Test::Hellinger => self.hellinger,
            Test::Tvd => self.tvd_statistic,
            Test::Linf => self.linf,
        };
        score.unwrap_or(f64::NAN)
    }
}

/// A number that JSON can hold, or none.
pub(crate) fn present(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
