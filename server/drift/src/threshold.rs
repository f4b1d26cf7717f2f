//! When evidence becomes an alarm.
//!
//! A fixed threshold on a distance does not know how many rows were looked at, and one on a p-value
//! not how many features and windows. `auto` knows all three: p-values count both samples; the
//! features of a window share one level by the procedure of Benjamini and Hochberg; and that level
//! is one over the number of windows between two false alarms that were asked for. Without drift
//! the procedure raises an alarm with no more than that probability (features that go together
//! included, as long as they do so positively), and expectations add up whether windows overlap or
//! not, so there is at most one false alarm in that many windows.
//!
//! # Source
//! Benjamini and Hochberg, "Controlling the false discovery rate", 1995; Benjamini and Yekutieli,
//! "The control of the false discovery rate in multiple testing under dependency", 2001.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evidence::{Bin, Evidence};
use crate::statistics::Method;
use crate::test::Test;

/// How alarms are decided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thresholds {
    /// By a statistic and a number.
    Fixed(Fixed),
    /// By the statistic that judges each feature by default, and its customary threshold.
    Default,
    /// Calibrated.
    Auto(Auto),
}

/// A statistic and from where on it is an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fixed {
    /// The statistic.
    pub test: Test,
    /// Its threshold; for a p-value an alarm is at or below it.
    pub threshold: f64,
}

/// The calibrated rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auto {
    /// Windows between two false alarms, on average and at least: windows of an hour and an alarm a
    /// month are 720.
    pub windows_between: f64,
    /// Rows below which a feature is not judged.
    pub rows_min: u64,
    /// Differences below this are no alarm however certain: in distance of the distribution
    /// functions, or total variation.
    pub effect_min: f64,
}

impl Default for Auto {
    fn default() -> Auto {
        Auto { windows_between: 720.0, rows_min: 50, effect_min: 0.02 }
    }
}

/// One feature's alarm, with all that led to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    /// The feature.
    pub feature: String,
    /// The test.
    pub test: &'static str,
    /// What a fixed test came to; none where the p-value was held against a level.
    pub score: Option<f64>,
    /// How it was computed.
    pub method: Method,
    /// What effect and p-value are of, whichever test judged: as in [`Evidence::test`].
    pub effect_of: &'static str,
    /// The size of the difference, from 0 to 1.
    pub effect: f64,
    /// The p-value.
    pub p: f64,
    /// What the score was held against: the level of the p-value, or the fixed threshold.
    pub threshold: f64,
    /// Rows of the reference.
    pub reference_rows: u64,
    /// Rows of the window.
    pub rows: u64,
    /// Where the difference is.
    pub top_bins: Vec<Bin>,
}

impl Auto {
    /// For windows that end every `every_s` seconds and a false alarm at most every
    /// `run_length_s`.
    pub fn every(every_s: f64, run_length_s: f64) -> Auto {
        Auto { windows_between: (run_length_s / every_s).max(1.0), ..Auto::default() }
    }

    /// The level up to which p-values are alarms in this window: Benjamini and Hochberg's, over
    /// the features that are judged.
    fn level(&self, judged: &[f64]) -> f64 {
        let q = 1.0 / self.windows_between.max(1.0);
        let mut sorted = judged.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let share = |rank: usize| q * (rank + 1) as f64 / sorted.len() as f64;
        let last = (0..sorted.len()).rev().find(|&it| sorted[it] <= share(it));
        share(last.unwrap_or(0))
    }
}

impl Thresholds {
    /// The smallest level that can matter among so many features: of the smallest of their p-values.
    pub fn finest(&self, features: usize) -> f64 {
        match self {
            Thresholds::Auto(it) => 1.0 / (it.windows_between.max(1.0) * features.max(1) as f64),
            Thresholds::Fixed(_) | Thresholds::Default => 1.0,
        }
    }

    /// What decides about a feature by a fixed threshold. None: nothing does, or `auto`.
    pub fn fixed(&self, evidence: &Evidence) -> Option<Fixed> {
        match self {
            Thresholds::Fixed(it) => Some(*it),
            Thresholds::Default => {
                evidence.default.map(|test| Fixed { test, threshold: test.threshold() })
            }
            Thresholds::Auto(_) => None,
        }
    }

    /// Can the feature be judged by what was found out about it?
    pub fn judges(&self, evidence: &Evidence) -> bool {
        match self {
            Thresholds::Auto(_) => true,
            Thresholds::Fixed(_) | Thresholds::Default => {
                self.fixed(evidence).is_some_and(|it| !evidence.statistics.score(it.test).is_nan())
            }
        }
    }

    /// The alarms of one window. Evidence without a p-value or score is never one.
    pub fn alarms(&self, features: &[(String, Evidence)]) -> Vec<Alarm> {
        let alarm = |name: &str, evidence: &Evidence, (test, method), (score, threshold)| Alarm {
            feature: name.to_owned(),
            test,
            score,
            method,
            effect_of: evidence.test,
            effect: evidence.effect,
            p: evidence.p,
            threshold,
            reference_rows: evidence.reference_rows,
            rows: evidence.rows,
            top_bins: evidence.top_bins.clone(),
        };
        match self {
            Thresholds::Fixed(_) | Thresholds::Default => {
                let over = |it: &(String, Evidence)| {
                    let Fixed { test, threshold } = self.fixed(&it.1)?;
                    let score = it.1.statistics.score(test);
                    let drifted = test.drifted(score, threshold);
                    let by = (test.name(), it.1.method_of(test));
                    drifted.then(|| alarm(&it.0, &it.1, by, (Some(score), threshold)))
                };
                features.iter().filter_map(over).collect()
            }
            Thresholds::Auto(auto) => {
                let judged: Vec<&(String, Evidence)> = features
                    .iter()
                    .filter(|it| it.1.rows >= auto.rows_min && !it.1.p.is_nan())
                    .collect();
                let p: Vec<f64> = judged.iter().map(|it| it.1.p).collect();
                let level = auto.level(&p);
                let over = |it: &Evidence| it.p <= level && it.effect >= auto.effect_min;
                judged
                    .into_iter()
                    .filter(|it| over(&it.1))
                    .map(|it| alarm(&it.0, &it.1, (it.1.test, it.1.method), (None, level)))
                    .collect()
            }
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Alarm { feature, test, effect_of, effect, p, threshold, .. } = self;
        let Alarm { rows, reference_rows, .. } = self;
        match self.score {
            Some(score) => {
                let (score, threshold) = (Short(score), Short(*threshold));
                write!(to, "{feature} drifted: {test} {score}, threshold {threshold} ")?;
                write!(to, "({effect_of} effect {effect:.3}, p {p:.2e})")?;
            }
            None => {
                write!(to, "{feature} drifted: {test} effect {effect:.3}, p {p:.2e}, threshold ")?;
                write!(to, "{threshold:.2e}")?;
            }
        }
        write!(to, ", {rows} rows against {reference_rows}")?;
        for bin in &self.top_bins {
            write!(to, "; {}: {:.1} %", bin.name, 100.0 * bin.reference)?;
            write!(to, " -> {:.1} %", 100.0 * bin.current)?;
        }
        Ok(())
    }
}

/// A score for people: distances with their digits, p-values with their power of ten.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Short(it) = *self;
        if it == 0.0 || it.abs() >= 1e-3 { write!(to, "{it:.3}") } else { write!(to, "{it:.2e}") }
    }
}
