//! How a model is watched: as its configuration says it, and checked.

use serde::de::{Error as _, IntoDeserializer as _, value};
use serde::{Deserialize, Deserializer, Serialize};

use crate::column::Kind;
use crate::profile::{Feature, Shape};
use crate::quality::QualityLimits;
use crate::test::Test;
use crate::threshold::{Auto, Fixed, Thresholds};
use crate::verdict::DRIFT_SHARE;
use crate::window::Windowing;

/// A window of a day that moves on by the hour has 24; each takes of a feature's room.
const STEPS_WATCHED_MAX: usize = 24;

/// Rows that a reference can be learned from: their values are held meanwhile.
pub const LEARN_ROWS_MAX: usize = 8_192;

/// A window without other bounds ends after so many rows.
const WINDOW_ROWS: u64 = 1_000;

/// Each takes 4 MB with its window, and as much with its reference.
pub const EMBEDDINGS_MAX: usize = 8;

/// Fewer say nothing, and a verdict on them costs more than they do.
const WINDOW_ROWS_MIN: u64 = 50;

/// Days between two false alarms, at least and on average.
const FALSE_ALARM_DAYS: f64 = 30.0;

const DAY_S: f64 = 86_400.0;

/// However long a window takes: no level is above 1 in 20.
const WINDOWS_BETWEEN_MIN: f64 = 20.0;

/// The keys as they are written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawMonitorPlan {
    profile: Option<String>,
    learn_rows: Option<usize>,
    features: Option<Vec<String>>,
    embeddings: Vec<String>,
    window_rows: Option<u64>,
    window_s: Option<f64>,
    steps: Option<usize>,
    false_alarm_days: Option<f64>,
    false_alarm_windows: Option<f64>,
    rows_min: Option<u64>,
    effect_min: Option<f64>,
    test: Option<RawTest>,
    threshold: Option<f64>,
    drift_share: Option<f64>,
    quality: QualityLimits,
}

/// A statistic, or whichever judges a feature by default.
#[derive(Clone, Copy, Debug)]
enum RawTest {
    Default,
    Fixed(Test),
}

impl<'de> Deserialize<'de> for RawTest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RawTest, D::Error> {
        let word = String::deserialize(from)?;
        if word == "default" {
            return Ok(RawTest::Default);
        }
        let test = Test::deserialize(word.as_str().into_deserializer());
        test.map(RawTest::Fixed).map_err(|error: value::Error| {
            D::Error::custom(format!("{error}, or `default` for the one that fits each feature"))
        })
    }
}

/// Checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonitorPlan {
    /// Where the reference comes from.
    pub origin: Origin,
    /// The only features that are looked at; `None`: all.
    pub features: Option<Vec<String>>,
    /// Tensors whose rows are vectors: learned as such, and expected of a profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embeddings: Vec<String>,
    /// When a window ends.
    pub windowing: Windowing,
    /// When evidence is an alarm.
    pub rule: Rule,
    /// From which share of drifted features on the data drifted as a whole.
    pub drift_share: f64,
    /// When data is not sound.
    pub quality: QualityLimits,
}

/// Where a reference comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// What the version carries where it is usually carried.
    Carried,
    /// A file in the version's folder.
    File(String),
    /// The first rows.
    Learned(usize),
}

/// When evidence is an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// By a statistic and a number.
    Fixed(Fixed),
    /// By the statistic that judges each feature by default, and its customary threshold.
    Default,
    /// Calibrated to an expected run length.
    Auto {
        /// Time, or windows, between two false alarms.
        between: Between,
        /// Rows below which a feature is not judged.
        rows_min: u64,
        /// Differences below this are no alarm however certain.
        effect_min: f64,
    },
}

/// How far false alarms are apart, on average and at least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// So many seconds: a window's share of them is its level, whatever ended it.
    Seconds(f64),
    /// So many windows.
    Windows(f64),
}

impl Rule {
    /// Can a feature of the kind whose reference has so many different values ever be judged?
    pub fn judges(&self, feature: &Feature) -> bool {
        let (kind, distinct) = match &feature.shape {
            Shape::Numerical(it) => {
                let counts_each =
                    matches!(self, Rule::Fixed(Fixed { test: Test::ChiSquare | Test::Z, .. }));
                if counts_each && it.values().is_none() {
                    // Made when values had no bins of their own, of too many rows to be told now.
                    return false;
                }
                (Kind::Numerical, it.distinct)
            }
            Shape::Categorical(it) => {
                let others = u64::from(it.others > 0);
                (Kind::Categorical, it.counts.len() as u64 + others)
            }
            // They are measured, and an alarm by the calibrated rule alone.
            Shape::Vectors(_) => return matches!(self, Rule::Auto { .. }),
        };
        let distinct = usize::try_from(distinct).unwrap_or(usize::MAX);
        match self {
            Rule::Fixed(it) => it.test.applies(kind, distinct),
            Rule::Default | Rule::Auto { .. } => true,
        }
    }

    /// For a window whose last step took so long.
    pub fn thresholds(&self, step_s: f64) -> Thresholds {
        match *self {
            Rule::Fixed(fixed) => Thresholds::Fixed(fixed),
            Rule::Default => Thresholds::Default,
            Rule::Auto { between, rows_min, effect_min } => {
                let windows_between = match between {
                    Between::Windows(it) => it,
                    // A step of no time is one whose clock stands still.
                    Between::Seconds(it) => (it / step_s.max(1e-3)).max(WINDOWS_BETWEEN_MIN),
                };
                Thresholds::Auto(Auto { windows_between, rows_min, effect_min })
            }
        }
    }
}

impl RawMonitorPlan {
    /// Everything that is wrong, each with what was expected.
    pub fn validate(self) -> Result<MonitorPlan, Vec<String>> {
        let mut faults = Vec::new();
        self.check_numbers(&mut faults);
        self.check_rule(&mut faults);
        if self.embeddings.len() > EMBEDDINGS_MAX {
            let got = self.embeddings.len();
            faults.push(format!("embeddings: {got} are more than {EMBEDDINGS_MAX}"));
        }
        let origin = self.origin(&mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let steps = self.steps.unwrap_or(1);
        // The window is what people think in; it moves on by a part of it.
        let part = |rows: u64| rows.div_ceil(steps as u64);
        let by_rows = self.window_rows.or(self.window_s.is_none().then_some(WINDOW_ROWS));
        let step_s = self.window_s.map(|it| it / steps as f64);
        Ok(MonitorPlan {
            origin,
            rule: self.rule(),
            features: self.features,
            embeddings: self.embeddings,
            windowing: Windowing { step_rows: by_rows.map(part), step_s, steps },
            drift_share: self.drift_share.unwrap_or(DRIFT_SHARE),
            quality: self.quality,
        })
    }

    fn check_numbers(&self, faults: &mut Vec<String>) {
        if let Some(steps) = self.steps.filter(|it| !(1..=STEPS_WATCHED_MAX).contains(it)) {
            faults.push(format!("steps: {steps} is not from 1 to {STEPS_WATCHED_MAX}"));
        }
        if let Some(rows) = self.window_rows.filter(|it| *it < WINDOW_ROWS_MIN) {
            faults.push(format!("window_rows: {rows} is less than {WINDOW_ROWS_MIN}"));
        }
        for (name, value, (low, high)) in [
            ("window_s", self.window_s, (1.0, 31.0 * DAY_S)),
            ("false_alarm_days", self.false_alarm_days, (0.01, 3_650.0)),
            ("false_alarm_windows", self.false_alarm_windows, (1.0, 1e12)),
            ("effect_min", self.effect_min, (0.0, 1.0)),
            ("threshold", self.threshold, (0.0, 1e6)),
            ("drift_share", self.drift_share, (0.0, 1.0)),
        ] {
            if let Some(it) = value.filter(|it| !(low..=high).contains(it)) {
                faults.push(format!("{name}: {it} is not from {low} to {high}"));
            }
        }
    }

    fn check_rule(&self, faults: &mut Vec<String>) {
        let between = [self.false_alarm_days, self.false_alarm_windows];
        if between.iter().all(Option::is_some) {
            let text = "false_alarm_days and false_alarm_windows: expected one of them";
            faults.push(text.to_owned());
        }
        let calibrated = between.iter().any(Option::is_some)
            || self.effect_min.is_some()
            || self.rows_min.is_some();
        if self.test.is_some() && calibrated {
            let text = "test: with a fixed threshold there is nothing to calibrate: expected no \
                        false_alarm_days, false_alarm_windows, rows_min or effect_min beside it";
            faults.push(text.to_owned());
        }
        if self.threshold.is_some() && self.test.is_none() {
            faults.push("threshold: expected a test beside it".to_owned());
        }
        if self.threshold.is_some() && matches!(self.test, Some(RawTest::Default)) {
            let text = "threshold: with test = \"default\" each test has its own: expected none";
            faults.push(text.to_owned());
        }
    }

    fn rule(&self) -> Rule {
        match self.test {
            Some(RawTest::Fixed(test)) => {
                let threshold = self.threshold.unwrap_or(test.threshold());
                return Rule::Fixed(Fixed { test, threshold });
            }
            Some(RawTest::Default) => return Rule::Default,
            None => {}
        }
        let days = self.false_alarm_days.unwrap_or(FALSE_ALARM_DAYS);
        let auto = Auto::default();
        Rule::Auto {
            between: self
                .false_alarm_windows
                .map_or(Between::Seconds(days * DAY_S), Between::Windows),
            rows_min: self.rows_min.unwrap_or(auto.rows_min),
            effect_min: self.effect_min.unwrap_or(auto.effect_min),
        }
    }

    fn origin(&self, faults: &mut Vec<String>) -> Origin {
        match (&self.profile, self.learn_rows) {
            (Some(_), Some(_)) => {
                faults.push("profile and learn_rows: expected one of them".to_owned());
                Origin::Carried
            }
            (Some(path), None) => {
                if !path.split('/').all(is_name) {
                    faults
                        .push(format!("profile: {path:?} is no path within the version's folder"));
                }
                Origin::File(path.clone())
            }
            (None, Some(rows)) => {
                if !(100..=LEARN_ROWS_MAX).contains(&rows) {
                    faults.push(format!("learn_rows: {rows} is not from 100 to {LEARN_ROWS_MAX}"));
                }
                Origin::Learned(rows)
            }
            (None, None) => Origin::Carried,
        }
    }
}

/// A part of a path that leads nowhere else.
fn is_name(part: &str) -> bool {
    !["", ".", ".."].contains(&part) && !part.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<MonitorPlan, Vec<String>> {
        serde_json::from_str::<RawMonitorPlan>(json).expect("JSON").validate()
    }

    #[test]
    fn a_plan_has_defaults() {
        let plan = plan("{}").expect("a plan");
        let expect = Windowing { step_rows: Some(1_000), step_s: None, steps: 1 };
        assert_eq!((plan.windowing, plan.origin), (expect, Origin::Carried));
        let thresholds = plan.rule.thresholds(3_600.0);
        assert_eq!(thresholds, Thresholds::Auto(Auto::default()), "an hour: 720 a month");
    }

    #[test]
    fn windows_are_told_as_a_whole_and_move_by_parts() {
        let plan = plan(r#"{"window_rows": 1000, "window_s": 3600, "steps": 4}"#).expect("a plan");
        let expect = Windowing { step_rows: Some(250), step_s: Some(900.0), steps: 4 };
        assert_eq!(plan.windowing, expect);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (json, expect) in [
            (r#"{"learn_rows": 7}"#, "learn_rows: 7 is not from 100 to 8192"),
            (r#"{"profile": "../x"}"#, "profile: \"../x\" is no path within the version's folder"),
            (r#"{"window_rows": 49}"#, "window_rows: 49 is less than 50"),
            (r#"{"steps": 25}"#, "steps: 25 is not from 1 to 24"),
            (r#"{"window_s": 0}"#, "window_s: 0 is not from 1 to 2678400"),
            (r#"{"threshold": 0.1}"#, "threshold: expected a test beside it"),
            (
                r#"{"test": "default", "threshold": 0.1}"#,
                "threshold: with test = \"default\" each test has its own: expected none",
            ),
            (
                r#"{"profile": "a", "learn_rows": 100}"#,
                "profile and learn_rows: expected one of them",
            ),
        ] {
            assert_eq!(plan(json), Err(vec![expect.to_owned()]), "{json}");
        }
        assert_eq!(plan(r#"{"test": "psi", "effect_min": 0.1}"#).map_err(|it| it.len()), Err(1));
        let strange = serde_json::from_str::<RawMonitorPlan>(r#"{"test": "anderson"}"#);
        let said = strange.expect_err("no such test").to_string();
        assert!(said.contains("anderson") && said.contains("`psi`") && said.contains("`default`"));
    }

    #[test]
    fn a_test_is_one_for_all_or_the_one_that_fits() {
        let rule = |json| plan(json).expect("a plan").rule;
        let fixed = |test, threshold| Rule::Fixed(Fixed { test, threshold });
        assert_eq!(rule(r#"{"test": "default"}"#), Rule::Default);
        assert_eq!(rule(r#"{"test": "tvd"}"#), fixed(Test::Tvd, 0.1));
        assert_eq!(rule(r#"{"test": "z", "threshold": 0.01}"#), fixed(Test::Z, 0.01));
    }

    #[test]
    fn no_window_is_so_long_that_noise_is_an_alarm() {
        let plan = plan("{}").expect("a plan");
        for (step_s, expect) in [(1e9, 20.0), (25_920.0, 100.0), (0.0, 2.592e9)] {
            let Thresholds::Auto(auto) = plan.rule.thresholds(step_s) else { panic!("auto") };
            assert_eq!(auto.windows_between, expect);
        }
    }
}
