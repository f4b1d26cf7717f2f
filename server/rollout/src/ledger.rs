//! What has been counted and proven over the stages of a rollout.

use serde::{Deserialize, Serialize};

use crate::counts::{Arm, Counts};
use crate::evidence::{log_e_above, log_e_less_often, log_e_more_often};
use crate::loss::log_e_loss;
use crate::plan::Plan;
use crate::stakes::Stakes;
use crate::state::Phase;
use crate::weight::Weight;

/// Of a hundred answers of the stable version one takes longer than its 99th percentile.
pub(crate) const SLOW_SHARE: f64 = 0.01;

/// The stages that are over: their counts, and what each test had made of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// Counts while the candidate only shadowed.
    shadow: Counts,
    /// Counts while it answered.
    canary: Counts,
    more_errors: Stakes,
    fewer_errors: Stakes,
    slow: Stakes,
    slower: Stakes,
    faster: Stakes,
    /// What was written down before this was judged by stage has none.
    #[serde(default)]
    loss: Stakes,
}

/// ln of the e-values of the tests that depend on the split, of one stage or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Logs {
    /// Errors are more than the allowed ratio.
    pub(crate) more_errors: f64,
    /// Errors are less than the ratio with its margin.
    pub(crate) fewer_errors: f64,
    /// More than one answer in a hundred is slow.
    pub(crate) slow: f64,
    /// Slow answers are more frequent than the stable version's.
    pub(crate) slower: f64,
    /// They are less frequent than those, with the margin.
    pub(crate) faster: f64,
    /// The loss is greater than allowed.
    pub(crate) loss: f64,
}

impl Logs {
    /// Of one stage.
    fn of(plan: &Plan, phase: Phase, counts: &Counts) -> Logs {
        let Counts { stable, canary, .. } = counts;
        let margin = 1.0 + plan.promote_margin;
        let errors = (errors(canary), errors(stable));
        let mut logs = Logs::default();
        // Each stage for itself: its split is another, and so is the world by then.
        let loss = plan.loss_increase_max.map(|max| log_e_loss(&counts.labels, max));
        logs.loss = loss.unwrap_or_default();
        let shares = shares(phase.weight(plan), counts);
        if let Some((low, high)) = shares {
            logs.more_errors = log_e_more_often(errors.0, errors.1, high, plan.error_ratio_max);
            logs.fewer_errors = log_e_less_often(errors.0, errors.1, low, margin);
        }
        // What shadows gives way to what answers, so it is no wonder if it is slow.
        if matches!(phase, Phase::Canary { .. }) && plan.p99_tolerance.is_some() {
            logs.slow = log_e_above(canary.slow, canary.requests, SLOW_SHARE);
            let slow = (slow(canary), slow(stable));
            if let Some((low, high)) = shares {
                logs.slower = log_e_more_often(slow.0, slow.1, high, 1.0);
                logs.faster = log_e_less_often(slow.0, slow.1, low, margin);
            }
        }
        logs
    }
}

/// Counters are not read at one instant: no more fail than are run.
fn errors(arm: &Arm) -> u64 {
    arm.errors.min(arm.requests)
}

/// As above.
fn slow(arm: &Arm) -> u64 {
    arm.slow.min(arm.requests)
}

/// Least and greatest share of the requests that the candidate can be said to have: what was asked
/// for, and what it got. The two differ where few callers send most of the requests and are
/// held to one version; each test takes what speaks against it. `None`: one side has none.
fn shares(weight: Weight, counts: &Counts) -> Option<(f64, f64)> {
    let (stable, canary) = (counts.stable.requests, counts.canary.requests);
    if stable == 0 || canary == 0 {
        return None;
    }
    let got = canary as f64 / (canary as f64 + stable as f64);
    // A shadow's share is that of the copies, whatever was asked for.
    let asked = if weight == Weight::NONE { got } else { weight.share() };
    Some((got.min(asked), got.max(asked)))
}

impl Ledger {
    /// Ends a stage.
    pub(crate) fn close(&mut self, plan: &Plan, phase: Phase, counts: &Counts) {
        let past = match phase {
            Phase::Loading | Phase::Validating => return,
            Phase::Shadow => &mut self.shadow,
            Phase::Canary { .. } => &mut self.canary,
        };
        past.merge(counts);
        let logs = Logs::of(plan, phase, counts);
        self.more_errors.close(logs.more_errors);
        self.fewer_errors.close(logs.fewer_errors);
        self.slow.close(logs.slow);
        self.slower.close(logs.slower);
        self.faster.close(logs.faster);
        self.loss.close(logs.loss);
    }

    /// Of all stages up to the running one.
    pub(crate) fn logs(&self, plan: &Plan, phase: Phase, counts: &Counts) -> Logs {
        let now = Logs::of(plan, phase, counts);
        let stages = plan.stages();
        Logs {
            more_errors: self.more_errors.log_e(now.more_errors, stages),
            fewer_errors: self.fewer_errors.log_e(now.fewer_errors, stages),
            slow: self.slow.log_e(now.slow, stages),
            slower: self.slower.log_e(now.slower, stages),
            faster: self.faster.log_e(now.faster, stages),
            loss: self.loss.log_e(now.loss, stages),
        }
    }

    /// All that was counted, the running stage's `counts` included.
    pub(crate) fn total(&self, counts: &Counts) -> Counts {
        self.shadow.merged(&self.canary).merged(counts)
    }

    /// What was counted while both versions answered, or is being so.
    pub(crate) fn answered(&self, phase: Phase, counts: &Counts) -> Counts {
        match phase {
            Phase::Canary { .. } => self.canary.merged(counts),
            Phase::Loading | Phase::Validating | Phase::Shadow => self.canary,
        }
    }
}
