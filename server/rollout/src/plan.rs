//! What an operator asks for, checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::Guard;
use crate::raw::{PlanFaults, RawPlan};
use crate::weight::Weight;

/// How a candidate takes over, and what stops it. Made by [`RawPlan::validate`], and written down
/// as one.
///
/// Invariant: everything is within the bounds of [`RawPlan`], and nothing contradicts the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawPlan", into = "RawPlan")]
pub struct Plan {
    pub(crate) steps: Vec<Weight>,
    pub(crate) step_requests_min: u64,
    pub(crate) step_labels_min: u64,
    pub(crate) step_duration_min: Duration,
    pub(crate) duration_max: Duration,
    pub(crate) rollback_window: Duration,
    pub(crate) shadow_rows: u64,
    pub(crate) shadow_share: Weight,
    pub(crate) error_ratio_max: f64,
    pub(crate) error_rate_ok: f64,
    /// `None`: latency is not watched.
    pub(crate) p99_tolerance: Option<f64>,
    pub(crate) flip_rate_max: Option<f64>,
    pub(crate) difference_max: Option<f64>,
    pub(crate) output_drift_max: Option<f64>,
    pub(crate) loss_increase_max: Option<f64>,
    pub(crate) non_finite: bool,
    pub(crate) alpha: f64,
    pub(crate) promote_margin: f64,
}

impl Plan {
    /// The steps in which requests are split: all but the last, which is the promotion.
    pub fn splits(&self) -> &[Weight] {
        self.steps.split_last().map_or(&[], |(_, splits)| splits)
    }

    /// What may roll the candidate back; α is shared among them.
    pub fn guards(&self) -> Vec<Guard> {
        let optional = [
            (Guard::Latency, self.p99_tolerance.is_some()),
            (Guard::Flips, self.flip_rate_max.is_some()),
            (Guard::Difference, self.difference_max.is_some()),
            (Guard::OutputDrift, self.output_drift_max.is_some()),
            (Guard::Loss, self.loss_increase_max.is_some()),
        ];
        let optional = optional.into_iter().filter(|(_, watched)| *watched).map(|(it, _)| it);
        [Guard::Errors].into_iter().chain(optional).collect()
    }

    /// Stages in which something is counted.
    pub(crate) fn stages(&self) -> usize {
        self.splits().len() + usize::from(self.shadow_rows > 0)
    }

    /// ln of the e-value at which one guard rolls back.
    pub(crate) fn log_worse(&self) -> f64 {
        (self.guards().len() as f64 / self.alpha).ln()
    }

    /// ln of the e-value at which a test of promotion holds. All must, so nothing is shared.
    pub(crate) fn log_good_enough(&self) -> f64 {
        -self.alpha.ln()
    }

    /// Share of the requests that are copied in the shadow phase.
    pub fn shadow_share(&self) -> Weight {
        self.shadow_share
    }

    /// Later than this an answer is slow, where 99 % of the stable version's take no longer than
    /// `p99`. `None`: latency is not watched.
    pub(crate) fn slow_above(&self, p99: Duration) -> Option<Duration> {
        let seconds = p99.as_secs_f64() * (1.0 + self.p99_tolerance?);
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

impl TryFrom<RawPlan> for Plan {
    type Error = PlanFaults;

    fn try_from(raw: RawPlan) -> Result<Plan, PlanFaults> {
        raw.validate()
    }
}

impl From<Plan> for RawPlan {
    fn from(plan: Plan) -> RawPlan {
        let steps: Vec<String> = plan.steps.iter().map(|it| String::from(*it)).collect();
        RawPlan {
            steps: Some(steps.join(",")),
            step_requests_min: Some(plan.step_requests_min),
            step_labels_min: Some(plan.step_labels_min).filter(|it| *it > 0),
            step_duration_s_min: Some(plan.step_duration_min.as_secs()),
            duration_s_max: Some(plan.duration_max.as_secs()),
            rollback_window_s: Some(plan.rollback_window.as_secs()),
            shadow_rows: Some(plan.shadow_rows),
            shadow_percent: Some(plan.shadow_share.into()),
            error_ratio_max: Some(plan.error_ratio_max),
            error_rate_ok: Some(plan.error_rate_ok),
            latency: Some(plan.p99_tolerance.is_some()),
            p99_tolerance: plan.p99_tolerance,
            flip_rate_max: plan.flip_rate_max,
            difference_max: plan.difference_max,
            output_drift_max: plan.output_drift_max,
            loss_increase_max: plan.loss_increase_max,
            non_finite: Some(plan.non_finite),
            alpha: Some(plan.alpha),
            promote_margin: Some(plan.promote_margin),
        }
    }
}
