//! How right a set of answers is: sums that can be added to others, and taken out of again.

use serde::{Deserialize, Serialize};
use server_base::Metric;

use crate::form::{Form, Guess};
use crate::label::Given;
use crate::ranks::Ranks;
use crate::sum::Sum;

/// Bins of the calibration error, as its authors have them.
const CALIBRATION_BINS: usize = 10;

/// Classes of which each has a curve: beyond that there is no AUC.
const CURVES_MAX: usize = 16;

/// No probability counts as less, so that one answer that was sure and wrong is not infinitely bad.
/// The smallest step of an FP32, which is also where scikit-learn cuts those.
const PROBABILITY_MIN: f64 = f32::EPSILON as f64;

/// How far probabilities of a row may be off from adding up to one: half precision's are.
const SLACK: f64 = 5e-3;

/// A row that comes, or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

impl Way {
    fn step(self, count: &mut u64) {
        *count = match self {
            Way::In => count.saturating_add(1),
            Way::Out => count.saturating_sub(1),
        };
    }

    pub(crate) fn add(self, sum: &mut Sum, value: f64) {
        sum.add(if self == Way::In { value } else { -value });
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Rows whose truth is known and fits.
    pub(crate) rows: u64,
    right: u64,
    /// Of these: rows with probabilities.
    scored: u64,
    log_loss: Sum,
    brier: Sum,
    bins: [Bin; CALIBRATION_BINS],
    /// By class.
    curves: Vec<Ranks>,
    /// Are the answers numbers, and not classes?
    is_of_values: bool,
    /// Rows whose answer is a finite number.
    valued: u64,
    absolute: Sum,
    squares: Sum,
    errors: Sum,
}

/// Rows by the probability of the likeliest class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bin {
    rows: u64,
    right: u64,
    confidence: Sum,
}

/// How wrong a row is, from 0 to 1: what versions are compared by. `None`: a number without
/// `error_max`.
pub(crate) fn loss(form: &Form, guess: &Guess, truth: &Given) -> Option<f64> {
    match guess {
        Guess::Value(value) => {
            let error = (value - truth.number()?).abs() / form.config.error_max?;
            // What is no number is as wrong as can be.
            Some(if error < 1.0 { error } else { 1.0 })
        }
        Guess::Scores(_) | Guess::Class(_) => {
            is_right(form, guess, truth).map(|it| f64::from(u8::from(!it)))
        }
    }
}

fn is_right(form: &Form, guess: &Guess, truth: &Given) -> Option<bool> {
    match guess {
        Guess::Scores(scores) => Some(form.chosen(scores) == form.place_of(truth, scores.len())?),
        Guess::Class(name) => Some(**name == *form.name_of(truth)),
        Guess::Value(_) => None,
    }
}

impl Tally {
    /// False: the truth does not fit, and nothing is counted.
    pub(crate) fn count(&mut self, form: &Form, guess: &Guess, truth: &Given, way: Way) -> bool {
        if let Guess::Value(value) = guess {
            return self.value(*value, truth, way);
        }
        let Some(is_right) = is_right(form, guess, truth) else { return false };
        way.step(&mut self.rows);
        if is_right {
            way.step(&mut self.right);
        }
        if let Guess::Scores(scores) = guess
            && let Some(place) = form.place_of(truth, scores.len())
            && are_probabilities(scores)
        {
            self.scores(scores, place, is_right, way);
        }
        true
    }

    fn value(&mut self, value: f64, truth: &Given, way: Way) -> bool {
        let Some(truth) = truth.number() else { return false };
        way.step(&mut self.rows);
        self.is_of_values = true;
        // One that is no number would make all sums that.
        let error = value - truth;
        if error.abs() < 1e120 {
            way.step(&mut self.valued);
            way.add(&mut self.absolute, error.abs());
            way.add(&mut self.squares, error * error);
            way.add(&mut self.errors, error);
        }
        true
    }

    fn scores(&mut self, scores: &[f32], place: usize, is_right: bool, way: Way) {
        way.step(&mut self.scored);
        let of = |it: usize| scores.get(it).map_or(0.0, |it| f64::from(*it));
        way.add(&mut self.log_loss, -of(place).max(PROBABILITY_MIN).ln());
        let distance = |(at, score): (usize, &f32)| {
            let truth = if at == place { 1.0 } else { 0.0 };
            (f64::from(*score) - truth).powi(2)
        };
        let squares: f64 = scores.iter().enumerate().map(distance).sum();
        // Of two classes the distance of one, which the other's repeats.
        way.add(&mut self.brier, if scores.len() == 2 { squares / 2.0 } else { squares });
        let confidence = scores.iter().copied().fold(0.0_f32, f32::max);
        if let Some(bin) = self.bins.get_mut(bin(f64::from(confidence))) {
            way.step(&mut bin.rows);
            if is_right {
                way.step(&mut bin.right);
            }
            way.add(&mut bin.confidence, f64::from(confidence));
        }
        if scores.len() > CURVES_MAX {
            return;
        }
        // Of two classes the second has the curve, and the first's is the same.
        let curves = if scores.len() == 2 { 1..2 } else { 0..scores.len() };
        if self.curves.len() < scores.len() {
            self.curves.resize_with(scores.len(), Ranks::default);
        }
        for class in curves {
            let (score, is) = (of(class), class == place);
            if let Some(ranks) = self.curves.get_mut(class) {
                ranks.count(score, is, way);
            }
        }
    }

    /// Adds another's rows.
    pub(crate) fn merge(&mut self, other: &Tally) {
        for (ours, theirs) in [
            (&mut self.rows, other.rows),
            (&mut self.right, other.right),
            (&mut self.scored, other.scored),
            (&mut self.valued, other.valued),
        ] {
            *ours = ours.saturating_add(theirs);
        }
        for (ours, theirs) in [
            (&mut self.log_loss, &other.log_loss),
            (&mut self.brier, &other.brier),
            (&mut self.absolute, &other.absolute),
            (&mut self.squares, &other.squares),
            (&mut self.errors, &other.errors),
        ] {
            ours.merge(theirs);
        }
        self.is_of_values |= other.is_of_values;
        for (ours, theirs) in self.bins.iter_mut().zip(&other.bins) {
            ours.rows = ours.rows.saturating_add(theirs.rows);
            ours.right = ours.right.saturating_add(theirs.right);
            ours.confidence.merge(&theirs.confidence);
        }
        if self.curves.len() < other.curves.len() {
            self.curves.resize_with(other.curves.len(), Ranks::default);
        }
        for (ours, theirs) in self.curves.iter_mut().zip(&other.curves) {
            ours.merge(theirs);
        }
    }

    /// All that these rows can tell.
    pub(crate) fn metrics(&self) -> Vec<(Metric, f64)> {
        let mut found = Vec::new();
        if self.valued > 0 {
            let n = self.valued as f64;
            found.push((Metric::Mae, self.absolute.value().max(0.0) / n));
            found.push((Metric::Rmse, (self.squares.value().max(0.0) / n).sqrt()));
            found.push((Metric::Bias, self.errors.value() / n));
            return found;
        }
        if self.rows > 0 && !self.is_of_values {
            found.push((Metric::Accuracy, self.right as f64 / self.rows as f64));
        }
        if self.scored > 0 {
            let n = self.scored as f64;
            found.push((Metric::LogLoss, self.log_loss.value().max(0.0) / n));
            found.extend(self.auc().map(|(auc, _)| (Metric::Auc, auc)));
            found.push((Metric::Brier, self.brier.value().max(0.0) / n));
            let gap = |it: &Bin| (it.right as f64 - it.confidence.value()).abs();
            found.push((Metric::Ece, self.bins.iter().map(gap).sum::<f64>() / n));
        }
        found
    }

    /// The mean over all classes that have both rows of it and others; and by how much it may be off.
    pub(crate) fn auc(&self) -> Option<(f64, f64)> {
        let curves: Vec<(f64, f64)> = self.curves.iter().filter_map(Ranks::auc).collect();
        let n = curves.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| curves.iter().map(of).sum::<f64>() / n;
        (!curves.is_empty()).then(|| (mean(|it| it.0), mean(|it| it.1)))
    }
}

fn are_probabilities(scores: &[f32]) -> bool {
    let within = scores.iter().all(|it| (-1e-6..=1.0 + 1e-6).contains(it));
    let sum: f64 = scores.iter().map(|it| f64::from(*it)).sum();
    within && (sum - 1.0).abs() <= SLACK
}

fn bin(confidence: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10")]
    let bin = (confidence.clamp(0.0, 1.0) * CALIBRATION_BINS as f64) as usize;
    bin.min(CALIBRATION_BINS - 1)
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
