//! What an operator writes: every key may be missing, nothing is checked yet.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::evidence::BURN_IN;
use crate::plan::Plan;
use crate::weight::Weight;

/// Steps that a rollout may have. Each further one makes late faults a little harder to prove.
const STEPS_MAX: usize = 20;

/// Requests, or shadow rows, that may be asked for: at a thousand a second, eleven days.
const REQUESTS_MAX: u64 = 1_000_000_000;

/// Longest time of anything here.
const DURATION_S_MAX: u64 = 31 * 24 * 3_600;

/// The keys of a plan. What is missing has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawPlan {
    /// Shares of the requests that the candidate gets, in percent: `1,5,25,50,100`.
    pub steps: Option<String>,
    /// Requests that the candidate answers in a step at least: 1000.
    pub step_requests_min: Option<u64>,
    /// Labelled rows of the candidate that a step needs at least: 0.
    pub step_labels_min: Option<u64>,
    /// How long a step lasts at least: 300.
    pub step_duration_s_min: Option<u64>,
    /// How long all of it may last: 86400.
    pub duration_s_max: Option<u64>,
    /// How long the old version is kept ready after a promotion: 3600.
    pub rollback_window_s: Option<u64>,
    /// Rows that the candidate answers before anybody sees its answers: 500; 0 for none.
    pub shadow_rows: Option<u64>,
    /// Share of the requests that are copied for that, in percent: 10.
    pub shadow_percent: Option<String>,
    /// How many times as often as the stable version the candidate may fail: 1.
    pub error_ratio_max: Option<f64>,
    /// Share of failures that is good enough for a promotion, whatever the stable one's is: 0.001.
    pub error_rate_ok: Option<f64>,
    /// Is latency watched? Yes.
    pub latency: Option<bool>,
    /// How much later than the stable version's 99th percentile an answer may come: 0.2 of it.
    pub p99_tolerance: Option<f64>,
    /// Share of shadow rows whose label may be another. Not watched unless given.
    pub flip_rate_max: Option<f64>,
    /// By how much outputs on shadow rows may differ on average. Not watched unless given.
    pub difference_max: Option<f64>,
    /// By how much the share of a class may be another on shadow rows. Not watched unless given.
    pub output_drift_max: Option<f64>,
    /// By how much the loss may be greater on average. Not watched unless given.
    pub loss_increase_max: Option<f64>,
    /// Are answers with infinite or undefined numbers allowed? No.
    pub non_finite: Option<bool>,
    /// Chance of rolling back a candidate that is no worse, at most: 0.05.
    pub alpha: Option<f64>,
    /// How much worse a promoted candidate might be at most: 0.25 times.
    pub promote_margin: Option<f64>,
}

/// Everything that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PlanFaults(pub Vec<String>);

impl Display for PlanFaults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the rollout's plan cannot be followed: {}", self.0.join("; "))
    }
}

impl RawPlan {
    /// Checks everything and reports every fault at once, each with its key.
    pub fn validate(&self) -> Result<Plan, PlanFaults> {
        let mut faults = Faults::default();
        let steps = self.steps.as_deref().unwrap_or("1,5,25,50,100");
        let steps = parse_steps(steps).unwrap_or_else(|it| faults.add("steps", &it));
        let shadow_share = self.shadow_percent.as_deref().unwrap_or("10");
        let shadow_share = Weight::parse(shadow_share).map_err(|it| it.to_string());
        let shadow_share = shadow_share.unwrap_or_else(|it| faults.add("shadow_percent", &it));
        let mut whole = |key, value: Option<u64>, default, range| {
            faults.within(key, value.unwrap_or(default), range, "a whole number")
        };
        let step_requests_min =
            whole("step_requests_min", self.step_requests_min, 1_000, 1..=REQUESTS_MAX);
        let step_labels_min = whole("step_labels_min", self.step_labels_min, 0, 0..=REQUESTS_MAX);
        let shadow_rows = whole("shadow_rows", self.shadow_rows, 500, 0..=REQUESTS_MAX);
        let mut seconds = |key, value, default, least| {
            Duration::from_secs(whole(key, value, default, least..=DURATION_S_MAX))
        };
        let step_duration_min = seconds("step_duration_s_min", self.step_duration_s_min, 300, 0);
        let duration_max = seconds("duration_s_max", self.duration_s_max, 86_400, 1);
        let rollback_window = seconds("rollback_window_s", self.rollback_window_s, 3_600, 0);
        let mut number = |key, value, range| faults.within(key, value, range, "a number");
        let error_ratio_max =
            number("error_ratio_max", self.error_ratio_max.unwrap_or(1.0), 1.0..=100.0);
        let error_rate_ok =
            number("error_rate_ok", self.error_rate_ok.unwrap_or(0.001), 1e-6..=0.5);
        let p99_tolerance = number("p99_tolerance", self.p99_tolerance.unwrap_or(0.2), 0.0..=10.0);
        let alpha = number("alpha", self.alpha.unwrap_or(0.05), 1e-6..=0.5);
        let promote_margin =
            number("promote_margin", self.promote_margin.unwrap_or(0.25), 0.01..=10.0);
        let mut limit = |key, value: Option<f64>, range| value.map(|it| number(key, it, range));
        let flip_rate_max = limit("flip_rate_max", self.flip_rate_max, 1e-6..=0.999);
        let difference_max = limit("difference_max", self.difference_max, 0.0..=1e100);
        let output_drift_max = limit("output_drift_max", self.output_drift_max, 0.0..=1.0);
        let loss_increase_max = limit("loss_increase_max", self.loss_increase_max, 0.0..=1e100);
        let plan = Plan {
            steps,
            step_requests_min,
            step_labels_min,
            step_duration_min,
            duration_max,
            rollback_window,
            shadow_rows,
            shadow_share,
            error_ratio_max,
            error_rate_ok,
            p99_tolerance: self.latency.unwrap_or(true).then_some(p99_tolerance),
            flip_rate_max,
            difference_max,
            output_drift_max,
            loss_increase_max,
            non_finite: self.non_finite.unwrap_or(false),
            alpha,
            promote_margin,
        };
        // What is wrong by itself is not looked at together with the rest.
        if faults.0.is_empty() {
            self.contradictions(&plan, &mut faults);
        }
        if faults.0.is_empty() { Ok(plan) } else { Err(PlanFaults(faults.0)) }
    }

    /// What each key allows and together they do not.
    fn contradictions(&self, plan: &Plan, faults: &mut Faults) {
        let splits = u32::try_from(plan.splits().len()).unwrap_or(u32::MAX);
        let least = plan.step_duration_min.saturating_mul(splits);
        if least >= plan.duration_max {
            let (step, max) = (plan.step_duration_min.as_secs(), plan.duration_max.as_secs());
            let text = format!(
                "{max} is over before {splits} steps of {step} seconds are: expected more than {}",
                least.as_secs()
            );
            faults.0.push(format!("duration_s_max: {text}"));
        }
        if splits == 0 && plan.shadow_rows == 0 {
            let text =
                "100 alone and shadow_rows 0 compare nothing: expected a smaller step before";
            faults.0.push(format!("steps: {text}"));
        }
        if splits == 0 && plan.p99_tolerance.is_some() {
            let text = "100 alone never splits the requests, so latency cannot be compared: \
                        expected a smaller step before, or latency = false";
            faults.0.push(format!("steps: {text}"));
        }
        if self.latency == Some(false) && self.p99_tolerance.is_some() {
            faults.0.push("p99_tolerance: is given, but latency = false".to_owned());
        }
        if let (Some(labels @ 1..), None) = (self.step_labels_min, self.loss_increase_max) {
            let text = format!("{labels} labels are waited for, and no loss is watched");
            faults.0.push(format!("step_labels_min: {text}: expected loss_increase_max as well"));
        }
        let on_shadow_rows = [
            ("flip_rate_max", self.flip_rate_max, 1),
            ("difference_max", self.difference_max, BURN_IN),
            ("output_drift_max", self.output_drift_max, BURN_IN),
        ];
        for (key, value, rows) in on_shadow_rows {
            let have = plan.shadow_rows;
            if let Some(value) = value.filter(|_| have < rows) {
                let text = format!("{value} is watched on shadow rows, and shadow_rows is {have}");
                faults.0.push(format!("{key}: {text}: expected at least {rows}"));
            }
        }
        if plan.shadow_rows > 0 && plan.shadow_share == Weight::NONE {
            let text = "0 copies nothing: expected more, or shadow_rows = 0";
            faults.0.push(format!("shadow_percent: {text}"));
        }
    }
}

/// Shares that rise to 100.
fn parse_steps(text: &str) -> Result<Vec<Weight>, String> {
    let steps = text.split(',').map(Weight::parse).collect::<Result<Vec<Weight>, _>>();
    let steps = steps.map_err(|it| it.to_string())?;
    if steps.len() > STEPS_MAX {
        return Err(format!("{} steps, expected at most {STEPS_MAX}", steps.len()));
    }
    let mut neighbours = steps.iter().zip(steps.iter().skip(1));
    if let Some((before, after)) = neighbours.find(|(before, after)| before >= after) {
        return Err(format!("{after} after {before} in {text:?}: expected each to be more"));
    }
    match (steps.first(), steps.last()) {
        (Some(&Weight::NONE), _) => Err(format!("0 % in {text:?}: expected more than that")),
        (_, Some(&Weight::ALL)) => Ok(steps),
        _ => Err(format!("{text:?} does not end with 100: expected 100 as the last step")),
    }
}

/// What is wrong, key by key.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add<T: Default>(&mut self, key: &str, text: &str) -> T {
        self.0.push(format!("{key}: {text}"));
        T::default()
    }

    /// NaN is within nothing.
    fn within<T: PartialOrd + Display + Default>(
        &mut self,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
        what: &str,
    ) -> T {
        if range.contains(&value) {
            return value;
        }
        let (low, high) = range.into_inner();
        self.add(key, &format!("{value} is not {what} from {low} to {high}"))
    }
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
