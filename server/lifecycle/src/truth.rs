//! What `[truth]` in a `model.toml` says.

use std::time::Duration;

use server_base::settings::Section;
use server_base::{Metric, Task, TruthConfig};

use crate::config::ModelConfig;

/// A window of more is longer than a model serves.
const WINDOW_S_MAX: usize = 31 * 86_400;

/// Labels that come later than a quarter of a year are for training.
const HORIZON_S_MAX: usize = 92 * 86_400;

/// Windows that wait for labels at a time: each keeps counts by score.
const WINDOWS_MAX: u64 = 200;

/// Fewer say little of what answers are like.
const REFERENCE_ROWS_MIN: usize = 100;

/// Names of classes that are looked through for each label.
const CLASSES_MAX: usize = 1_024;

/// How a model's answers are held against labels, by the text of its `model.toml`; `None`: not at all. The
/// rest of the file is for those to judge who serve the model.
pub fn truth_of(text: &str) -> Result<Option<TruthConfig>, String> {
    let mut table: toml::Table = text.parse().map_err(|it: toml::de::Error| it.to_string())?;
    table.retain(|key, _| key == "truth");
    let mut root = Section::root(&table);
    let config = root.section("truth", read);
    root.finish(config).map_err(|it| it.join("; "))
}

/// Reads the section.
pub(crate) fn read(section: &mut Section<'_>) -> TruthConfig {
    let defaults = TruthConfig::default();
    let tasks = [
        ("auto", Task::Auto),
        ("classification", Task::Classification),
        ("regression", Task::Regression),
    ];
    let window = section.integer("window_s", 1..=WINDOW_S_MAX);
    let horizon = section.integer("horizon_s", 0..=HORIZON_S_MAX);
    let seconds = |it: Option<usize>| it.map(|it| Duration::from_secs(it as u64));
    let config = TruthConfig {
        output: section.text("output").map(str::to_owned),
        task: section.choice("task", &tasks).unwrap_or(defaults.task),
        classes: section.with("classes", classes).unwrap_or_default(),
        threshold: section.with("threshold", |it| within(it, 0.0, 1.0)).unwrap_or(0.5),
        window: seconds(window).unwrap_or(defaults.window),
        horizon: seconds(horizon).unwrap_or(defaults.horizon),
        rows_min: section.integer("rows_min", 1..=usize::MAX >> 1).map_or(100, |it| it as u64),
        error_max: section.with("error_max", |it| within(it, 1e-9, 1e15)),
        limits: limits(section),
        reference_rows: section
            .integer("reference_rows", REFERENCE_ROWS_MIN..=usize::MAX >> 1)
            .map(|it| it as u64),
        changes: changes(section),
        error_expected: section.with("error_expected", |it| within(it, 1e-6, 0.999)),
        false_alarm_windows: section
            .with("false_alarm_windows", |it| within(it, 1.0, 1e12))
            .unwrap_or(defaults.false_alarm_windows),
    };
    if let (Some((metric, _)), None) = (config.changes.first(), config.reference_rows) {
        section.fault(metric.change_key(), "expected reference_rows beside it");
    }
    let waiting = config.horizon.as_secs() / config.window.as_secs().max(1);
    if waiting > WINDOWS_MAX {
        let (window, horizon) = (config.window.as_secs(), config.horizon.as_secs());
        let text = format!(
            "{horizon} is {waiting} windows of window_s = {window}: expected at most {WINDOWS_MAX}"
        );
        section.fault("horizon_s", &text);
    }
    config
}

fn limits(section: &mut Section<'_>) -> Vec<(Metric, f64)> {
    let mut limits = Vec::new();
    for metric in Metric::ALL {
        let most = if matches!(metric, Metric::Accuracy | Metric::Auc) { 1.0 } else { 1e30 };
        let limit = section.with(metric.limit_key(), |it| within(it, 0.0, most));
        limits.extend(limit.map(|it| (metric, it)));
    }
    limits
}

fn changes(section: &mut Section<'_>) -> Vec<(Metric, f64)> {
    let change = |metric: Metric| {
        let change = section.with(metric.change_key(), |it| within(it, 0.0, 1e30));
        change.map(|it| (metric, it))
    };
    Metric::ALL.into_iter().filter_map(change).collect()
}

fn within(value: &toml::Value, low: f64, high: f64) -> Result<f64, String> {
    #[expect(clippy::cast_precision_loss, reason = "compared with a range")]
    let number = value.as_float().or(value.as_integer().map(|it| it as f64));
    let number = number.filter(|it| (low..=high).contains(it));
    number.ok_or_else(|| format!("{value} is no number from {low} to {high}"))
}

fn classes(value: &toml::Value) -> Result<Vec<String>, String> {
    let expected = || format!("{value} is no list of at least two different names in quotes");
    let list = value.as_array().map(|it| it.iter().map(|it| it.as_str().map(str::to_owned)));
    let list: Option<Vec<String>> = list.and_then(Iterator::collect);
    let list = list.filter(|it| it.len() >= 2).ok_or_else(expected)?;
    if list.len() > CLASSES_MAX {
        return Err(format!("{} names, expected at most {CLASSES_MAX}", list.len()));
    }
    let different: std::collections::BTreeSet<&String> = list.iter().collect();
    if different.len() == list.len() { Ok(list) } else { Err(expected()) }
}

/// Reports what does not go together with it.
pub(crate) fn check(config: &ModelConfig, root: &mut Section<'_>) {
    let Some(truth) = &config.truth else { return };
    if config.log.is_none() {
        let text = "labels are joined with predictions of the log: expected a [log] as well";
        root.fault("truth", text);
    }
    let other = |metric: &Metric| match truth.task {
        Task::Auto => false,
        Task::Classification => !metric.is_of_classes(),
        Task::Regression => metric.is_of_classes(),
    };
    for (metric, _) in truth.limits.iter().filter(|(it, _)| other(it)) {
        root.fault("truth", &format!("{} is of another task", metric.limit_key()));
    }
    for (metric, _) in truth.changes.iter().filter(|(it, _)| other(it)) {
        root.fault("truth", &format!("{} is of another task", metric.change_key()));
    }
}

#[cfg(test)]
#[path = "truth_tests.rs"]
mod tests;
