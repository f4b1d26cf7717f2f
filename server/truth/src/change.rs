//! Whether answers have become worse than they were: the first labelled windows of a version are its
//! reference, and a detector says when its errors have become more frequent, without looking at any row
//! twice and however often one looks.
//!
//! The null hypothesis is that errors (losses from 0 to 1) have a mean of at most `p0`, whatever came
//! before. Against it five bets are kept, each on a mean `p1`: a row multiplies a bet's stake by `p1/p0`
//! if it is wrong and by `(1 − p1)/(1 − p0)` if it is right, which is fair or worse as long as the null
//! is true. Stakes are begun anew with each window (Shiryaev and Roberts), so that a change is found
//! that comes after a long good time: `M ← (1 + M) · L`. As `M − t` cannot grow by itself, `M` reaches
//! `A` after no less than `A` windows on average; then it is an alarm, and all begins anew.
//!
//! A loss between 0 and 1 counts as that part of an error: a product of such factors is never more than
//! what the loss itself would give, since the logarithm is concave.
//!
//! # Source
//! Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
//! 2024. Hoeffding, "Probability inequalities for sums of bounded random variables", 1963, theorem 1,
//! for the bound on a mean.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use server_base::{Metric, TruthConfig};

use crate::form::Form;
use crate::tally::Tally;
use crate::window::Window;

/// How far the bets are above `p0`, in the angle whose sine is the root of the share: there a row says
/// the same everywhere.
const BETS: [f64; 5] = [0.03, 0.06, 0.12, 0.25, 0.5];

/// How likely the bound on what was learned does not hold.
const BOUND_MISSES: f64 = 0.01;

/// No share counts as more certain.
const SHARE_MIN: f64 = 1e-6;

/// Windows that are looked back on to say since when.
const RECENT_MAX: usize = 64;

/// What a version's answers were like, and what has been seen since. Survives restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Of the bytes that answered so.
    pub(crate) digest: Option<String>,
    /// Of how their losses were measured; nothing in what an earlier release has written.
    #[serde(default)]
    pub(crate) print: String,
    reference: Option<Reference>,
    detector: Detector,
    /// Being learned.
    #[serde(default)]
    learned: Learned,
    /// Where the last window ended that was taken; 0 in what an earlier release has written.
    #[serde(default)]
    judged_us: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Learned {
    tally: Tally,
    errors: Errors,
}

/// Rows and the sum of their losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Errors {
    pub(crate) rows: u64,
    pub(crate) sum: f64,
}

/// What the first labelled rows were like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) rows: u64,
    errors: Errors,
    metrics: Vec<(String, f64)>,
}

/// Bets on more errors than there may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Detector {
    /// Logarithms of the stakes, bet by bet; empty: none yet.
    stakes: Vec<f64>,
    /// Windows since it was begun anew, the last ones: when they began, and their errors.
    recent: VecDeque<(i64, Errors)>,
}

/// What a window says of errors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    pub(crate) is_alarm: bool,
    /// Mean loss of the reference, of how many rows; 0: it is given.
    pub(crate) before: f64,
    pub(crate) before_rows: u64,
    /// The largest mean that is no change.
    pub(crate) bound: f64,
    /// Mean loss since the likeliest time of a change, of how many rows, and since when.
    pub(crate) after: f64,
    pub(crate) after_rows: u64,
    pub(crate) since_us: i64,
    /// How likely this window alone would show so many errors if their mean were the bound, at most.
    pub(crate) p: f64,
    /// What the detector has reached, and what is an alarm.
    pub(crate) evidence: f64,
    pub(crate) needed: f64,
}

impl Judged {
    /// By how much the error has risen.
    pub(crate) fn effect(&self) -> f64 {
        self.after - self.before
    }
}

impl Errors {
    pub(crate) fn mean(self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.sum / self.rows as f64 }
    }

    pub(crate) fn add(&mut self, other: Errors) {
        self.rows = self.rows.saturating_add(other.rows);
        self.sum += other.sum;
    }
}

impl Change {
    pub(crate) fn new(form: &Form) -> Change {
        Change { digest: form.digest.clone(), print: form.print(), ..Change::default() }
    }

    /// What a metric was, once that is known.
    pub(crate) fn metric(&self, metric: Metric) -> Option<f64> {
        let metrics = &self.reference.as_ref()?.metrics;
        metrics.iter().find(|it| it.0 == metric.label()).map(|it| it.1)
    }

    pub(crate) fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// Rows of the reference that are there, while it is being learned.
    pub(crate) fn learned(&self) -> u64 {
        self.learned.tally.rows
    }

    /// A window is complete. None: nothing can be said of its errors. A window of the reference is not
    /// held against it, and one whose rows were taken before is not taken again.
    pub(crate) fn window(&mut self, config: &TruthConfig, window: &Window) -> Option<Judged> {
        if self.was_taken(config, window) {
            return None;
        }
        self.judged_us = window.to_us;
        let errors = window.errors();
        let learns = config.reference_rows.filter(|_| self.reference.is_none());
        if let Some(rows) = learns {
            self.learned.tally.merge(&window.tally);
            self.learned.errors.add(errors);
            if self.learned.tally.rows >= rows {
                let Learned { tally, errors } = std::mem::take(&mut self.learned);
                let named = |(it, value): (Metric, f64)| (it.label().to_owned(), value);
                let metrics = tally.metrics().into_iter().map(named).collect();
                self.reference = Some(Reference { rows: tally.rows, errors, metrics });
            }
        }
        if errors.rows == 0 || (learns.is_some() && config.error_expected.is_none()) {
            return None;
        }
        let (before, bound) = self.bound(config)?;
        Some(self.detector.window(window.from_us, errors, (before, bound, config)))
    }

    /// It begins before the last one has ended and is complete once more, since windows or horizons are others
    /// now. One that would have been over by then cannot be that: a clock was ahead and has been set back.
    fn was_taken(&self, config: &TruthConfig, window: &Window) -> bool {
        let horizon = i64::try_from(config.horizon.as_micros()).unwrap_or(i64::MAX);
        let until = window.to_us.saturating_add(horizon);
        window.from_us < self.judged_us && self.judged_us < until
    }

    /// Errors as they were, and the largest mean that is none other.
    fn bound(&self, config: &TruthConfig) -> Option<(Errors, f64)> {
        if let Some(expected) = config.error_expected {
            return Some((Errors { rows: 0, sum: expected }, expected));
        }
        let errors = self.reference.as_ref()?.errors;
        (errors.rows > 0).then(|| (errors, upper_bound(errors)))
    }
}

impl Detector {
    fn window(
        &mut self,
        from_us: i64,
        errors: Errors,
        (before, bound, config): (Errors, f64, &TruthConfig),
    ) -> Judged {
        let p0 = bound.clamp(SHARE_MIN, 1.0 - SHARE_MIN);
        let bets = BETS.map(|step| moved(p0, step));
        self.stakes.resize(BETS.len(), f64::NEG_INFINITY);
        for (stake, p1) in self.stakes.iter_mut().zip(bets) {
            *stake = plus_one(*stake) + log_ratio(errors, p0, p1);
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((from_us, errors));
        let most = self.stakes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = self.stakes.iter().map(|it| (it - most).exp()).sum::<f64>() / BETS.len() as f64;
        // Finite enough to be written down, and far beyond every number of windows.
        let evidence = (most + mean.ln()).exp().min(1e300);
        let (since_us, after) = self.since((p0, bets));
        let is_alarm = evidence >= config.false_alarm_windows;
        if is_alarm {
            *self = Detector::default();
        }
        Judged {
            is_alarm,
            before: if before.rows == 0 { before.sum } else { before.mean() },
            before_rows: before.rows,
            bound: p0,
            after: after.mean(),
            after_rows: after.rows,
            since_us,
            p: chance(errors, p0),
            evidence,
            needed: config.false_alarm_windows,
        }
    }

    /// The stretch up to now that speaks most for a change.
    fn since(&self, (p0, bets): (f64, [f64; 5])) -> (i64, Errors) {
        let (mut best, mut most) = ((0, Errors::default()), f64::NEG_INFINITY);
        let mut all = Errors::default();
        for (from_us, errors) in self.recent.iter().rev() {
            all.add(*errors);
            let ratios = bets.iter().map(|p1| log_ratio(all, p0, *p1));
            let ratio = ratios.fold(f64::NEG_INFINITY, f64::max);
            if ratio > most {
                (best, most) = ((*from_us, all), ratio);
            }
        }
        best
    }
}

/// `ln(1 + e^log)`.
fn plus_one(log: f64) -> f64 {
    if log > 0.0 { log + (-log).exp().ln_1p() } else { log.exp().ln_1p() }
}

/// What so many errors make of a stake.
fn log_ratio(errors: Errors, p0: f64, p1: f64) -> f64 {
    let wrong = errors.sum.clamp(0.0, errors.rows as f64);
    wrong * (p1 / p0).ln() + (errors.rows as f64 - wrong) * ((1.0 - p1) / (1.0 - p0)).ln()
}

/// A share that is larger by a step of the angle.
fn moved(p0: f64, step: f64) -> f64 {
    let angle = p0.sqrt().asin() + step;
    angle.min(std::f64::consts::FRAC_PI_2 - 1e-3).sin().powi(2).max(p0)
}

/// How likely rows of a mean of at most `p0` have so many errors: no more than that, by Hoeffding's bound.
fn chance(errors: Errors, p0: f64) -> f64 {
    let mean = errors.mean().clamp(0.0, 1.0);
    if mean <= p0 { 1.0 } else { (-(errors.rows as f64) * divergence(mean, p0)).exp() }
}

/// How far a mean is from another, as coins differ (Kullback and Leibler).
fn divergence(mean: f64, p: f64) -> f64 {
    let part = |of: f64, to: f64| if of > 0.0 { of * (of / to).ln() } else { 0.0 };
    part(mean, p) + part(1.0 - mean, 1.0 - p)
}

/// The mean that is as large as can be, given these: a larger one would show so few errors once in a
/// hundred references at most.
fn upper_bound(errors: Errors) -> f64 {
    let (mean, rows) = (errors.mean().clamp(0.0, 1.0), errors.rows as f64);
    let (mut low, mut high) = (mean, 1.0 - SHARE_MIN);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if rows * divergence(mean, middle) < -BOUND_MISSES.ln() {
            low = middle
        } else {
            high = middle
        }
    }
    high
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
