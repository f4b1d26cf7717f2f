//! What one test says, in numbers and in words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// How often requests fail.
    Errors,
    /// How often answers are slow.
    Latency,
    /// How often the label is another.
    Flips,
    /// How far outputs are apart on average.
    Difference,
    /// How far shares of classes are apart.
    OutputDrift,
    /// How much greater the loss is on average.
    Loss,
}

impl fmt::Display for Guard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Guard::Errors => "errors",
            Guard::Latency => "latency",
            Guard::Flips => "flips",
            Guard::Difference => "difference",
            Guard::OutputDrift => "output drift",
            Guard::Loss => "loss",
        })
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Is the candidate worse than allowed? If so it is rolled back.
    Worse,
    /// Is it certainly not much worse? If so it may take over.
    GoodEnough,
}

/// What one test says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub guard: Guard,
    /// What was asked.
    pub question: Question,
    /// ln of the e-value.
    pub log_e: f64,
    /// ln of the e-value that is enough.
    pub log_threshold: f64,
    /// Counts, e-value and threshold for people.
    pub words: String,
}

impl Finding {
    /// Is the answer yes?
    pub fn holds(&self) -> bool {
        self.log_e >= self.log_threshold
    }
}

/// Events among trials: `12 of 1400 (0.86 %)`.
pub(crate) fn share(events: u64, trials: u64) -> String {
    if trials == 0 {
        return "none yet".to_owned();
    }
    let percent = 100.0 * events as f64 / trials as f64;
    format!("{events} of {trials} ({percent:.2} %)")
}

/// An e-value from its logarithm.
pub(crate) fn e_value(log_e: f64) -> String {
    let e = log_e.exp();
    if e < 0.01 {
        "less than 0.01".to_owned()
    } else if e < 10_000.0 {
        format!("{e:.2}")
    } else if log_e < 230.0 {
        format!("{e:.1e}")
    } else {
        "more than 1e99".to_owned()
    }
}

/// A number of any size.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e6).contains(&size) {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!(share(12, 1_400), "12 of 1400 (0.86 %)");
        assert_eq!(share(0, 0), "none yet");
        let values = [-1e12, -1.0, 0.0, 4.382_026_634_673_881, 20.0, 4.6e12];
        let shown = ["less than 0.01", "0.37", "1.00", "80.00", "4.9e8", "more than 1e99"];
        assert_eq!(values.map(e_value), shown);
        assert_eq!(
            [0.0, -0.25, 1e-9, 2.5e7].map(number),
            ["0.0000", "-0.2500", "1.000e-9", "2.500e7"]
        );
    }
}
