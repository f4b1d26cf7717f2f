//! What is wanted of the ground truth of a model's answers: how they are compared, over which time,
//! and what is too bad.

use std::fmt;
use std::time::Duration;

/// What an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// The output tells: several numbers a row are probabilities, one float is a value, anything
    /// else is a class.
    #[default]
    Auto,
    /// A class, or probabilities of classes.
    Classification,
    /// A number.
    Regression,
}

/// A number that says how right answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Share of the answers whose class is right.
    Accuracy,
    /// Mean of -ln of the probability that was given to what is true.
    LogLoss,
    /// Area under the ROC curve; of several classes the mean of each against the rest.
    Auc,
    /// Mean squared distance of the probabilities from the truth.
    Brier,
    /// Expected calibration error, of the likeliest class, over ten bins.
    Ece,
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Mean error: answer minus truth.
    Bias,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 8] = [
        Metric::Accuracy,
        Metric::LogLoss,
        Metric::Auc,
        Metric::Brier,
        Metric::Ece,
        Metric::Mae,
        Metric::Rmse,
        Metric::Bias,
    ];

    /// As in answers of the API and on `/metrics`.
    pub fn label(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::LogLoss => "log_loss",
            Metric::Auc => "auc",
            Metric::Brier => "brier",
            Metric::Ece => "ece",
            Metric::Mae => "mae",
            Metric::Rmse => "rmse",
            Metric::Bias => "bias",
        }
    }

    /// The key in the configuration of the worst that is no alarm.
    pub fn limit_key(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy_min",
            Metric::LogLoss => "log_loss_max",
            Metric::Auc => "auc_min",
            Metric::Brier => "brier_max",
            Metric::Ece => "ece_max",
            Metric::Mae => "mae_max",
            Metric::Rmse => "rmse_max",
            Metric::Bias => "bias_max",
        }
    }

    /// The key of how much worse than the reference is no alarm.
    pub fn change_key(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy_drop_max",
            Metric::LogLoss => "log_loss_rise_max",
            Metric::Auc => "auc_drop_max",
            Metric::Brier => "brier_rise_max",
            Metric::Ece => "ece_rise_max",
            Metric::Mae => "mae_rise_max",
            Metric::Rmse => "rmse_rise_max",
            Metric::Bias => "bias_rise_max",
        }
    }

    /// The worst that is no alarm, where the reference is that and a change may be so large.
    pub fn limit_beside(self, reference: f64, change: f64) -> f64 {
        match self {
            Metric::Accuracy | Metric::Auc => reference - change,
            Metric::Bias => reference.abs() + change,
            Metric::LogLoss | Metric::Brier | Metric::Ece | Metric::Mae | Metric::Rmse => {
                reference + change
            }
        }
    }

    /// Is that worse than the limit?
    pub fn is_worse(self, value: f64, limit: f64) -> bool {
        match self {
            Metric::Accuracy | Metric::Auc => value < limit,
            Metric::Bias => value.abs() > limit,
            Metric::LogLoss | Metric::Brier | Metric::Ece | Metric::Mae | Metric::Rmse => {
                value > limit
            }
        }
    }

    /// Is it one of classes?
    pub fn is_of_classes(self) -> bool {
        match self {
            Metric::Accuracy | Metric::LogLoss | Metric::Auc | Metric::Brier | Metric::Ece => true,
            Metric::Mae | Metric::Rmse | Metric::Bias => false,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.label())
    }
}

/// `[truth]` of a `model.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthConfig {
    /// The output that is compared; `None`: the only one.
    pub output: Option<String>,
    /// What it is.
    pub task: Task,
    /// What labels call the classes, in the order of the output; empty: by number from 0.
    pub classes: Vec<String>,
    /// From which probability on a row is of class 1, where an answer is one probability.
    pub threshold: f64,
    /// Predictions of so much time are judged together.
    pub window: Duration,
    /// How long after the end of its window a prediction's label counts.
    pub horizon: Duration,
    /// Labelled rows that a window needs for an alarm.
    pub rows_min: u64,
    /// A number that is off by so much is as wrong as one can be, where versions are compared.
    pub error_max: Option<f64>,
    /// The worst of each metric that is no alarm.
    pub limits: Vec<(Metric, f64)>,
    /// Labelled rows of the version's own that are its reference.
    pub reference_rows: Option<u64>,
    /// How much worse than the reference each metric may be.
    pub changes: Vec<(Metric, f64)>,
    /// The mean loss that is expected; instead of the reference's, where errors are watched.
    pub error_expected: Option<f64>,
    /// Windows between two false alarms of errors that have become more frequent, at least and on average.
    pub false_alarm_windows: f64,
}

impl Default for TruthConfig {
    fn default() -> TruthConfig {
        TruthConfig {
            output: None,
            task: Task::Auto,
            classes: Vec::new(),
            threshold: 0.5,
            window: Duration::from_secs(3_600),
            horizon: Duration::from_secs(86_400),
            rows_min: 100,
            error_max: None,
            limits: Vec::new(),
            reference_rows: None,
            changes: Vec::new(),
            error_expected: None,
            false_alarm_windows: 720.0,
        }
    }
}
