//! Asks every test that the plan wants, over all that has been counted.

use std::time::Duration;

use crate::counts::{Arm, Counts, Labels};
use crate::evidence::{log_e_above, log_e_below, log_mean};
use crate::finding::{Finding, Guard, Question, e_value, number, share};
use crate::ledger::{Ledger, Logs, SLOW_SHARE};
use crate::loss::log_e_moments;
use crate::moments::Moments;
use crate::plan::Plan;
use crate::state::Phase;

/// What the tests look at.
pub(crate) struct Guards<'a> {
    plan: &'a Plan,
    /// Of the tests that depend on the split.
    logs: Logs,
    /// All that was counted.
    total: Counts,
    /// What was counted while both versions answered.
    answered: Counts,
    /// What is slow in the running stage.
    slow_above: Option<Duration>,
}

impl Guards<'_> {
    /// Over the stages that are over, and the `counts` of the running one.
    pub(crate) fn new<'a>(
        plan: &'a Plan,
        ledger: &Ledger,
        phase: Phase,
        counts: &Counts,
        slow_above: Option<Duration>,
    ) -> Guards<'a> {
        let logs = ledger.logs(plan, phase, counts);
        let (total, answered) = (ledger.total(counts), ledger.answered(phase, counts));
        Guards { plan, logs, total, answered, slow_above }
    }

    /// Is the candidate worse than allowed? One finding for each guard; one that holds is enough.
    pub(crate) fn worse(&self) -> Vec<Finding> {
        let guards = self.plan.guards().into_iter();
        guards.filter_map(|guard| self.is_worse(guard)).collect()
    }

    fn is_worse(&self, guard: Guard) -> Option<Finding> {
        let Guards { plan, logs, total, .. } = self;
        let (log_e, words) = match guard {
            Guard::Errors => {
                let ratio = plan.error_ratio_max;
                (logs.more_errors, format!("{}, more than {ratio} times as often", self.errors()))
            }
            Guard::Latency => {
                // A machine that is slow for both is not the candidate's fault, and one slow
                // answer in a hundred is what was asked for: both must be disproven.
                let words = format!("{}, more often and more than 1 %", self.latency());
                (logs.slow.min(logs.slower), words)
            }
            Guard::Flips => {
                let max = plan.flip_rate_max?;
                let (flips, pairs) = (total.pairs.flips, total.pairs.pairs);
                let shown = share(flips, pairs);
                let words = format!("other labels on shadow rows: {shown}, more than {max}");
                (log_e_above(flips, pairs, max), words)
            }
            Guard::Difference => {
                let max = plan.difference_max?;
                let moments = &total.pairs.difference;
                let (mean, n) = (number(moments.mean), moments.n);
                let words = format!("difference on {n} shadow rows: {mean}, beyond {max}");
                (log_e_moments(beyond(moments, max), moments), words)
            }
            Guard::OutputDrift => {
                let max = plan.output_drift_max?;
                let classes = &total.pairs.classes;
                // The mean over all there might be, whichever are seen: none is picked by what it says.
                let log_e = log_mean(&classes.map(|it| log_e_moments(beyond(&it, max), &it)));
                let far = |a: &&Moments, b: &&Moments| a.mean.abs().total_cmp(&b.mean.abs());
                let most = classes.iter().max_by(far).copied().unwrap_or_default();
                let (mean, n) = (number(most.mean), most.n);
                (
                    log_e,
                    format!("change of a class's share on {n} shadow rows: {mean}, beyond {max}"),
                )
            }
            Guard::Loss => {
                let max = plan.loss_increase_max?;
                (logs.loss, self.loss(&total.labels, max))
            }
        };
        let log_threshold = plan.log_worse();
        let (e, enough) = (e_value(log_e), e_value(log_threshold));
        let words = format!("{words}: e-value {e}, rolled back from {enough} on");
        Some(Finding { guard, question: Question::Worse, log_e, log_threshold, words })
    }

    /// Is it certainly not much worse? All must hold for a promotion. What was seen on shadow rows
    /// alone is not asked again: there are no more of them.
    pub(crate) fn good_enough(&self) -> Vec<Finding> {
        let Guards { plan, logs, total, answered, .. } = self;
        let margin = 1.0 + plan.promote_margin;
        let times = number(margin);
        // Either is enough to be good, so both speak against being bad: their mean is evidence.
        let few = log_e_below(total.canary.errors, total.canary.requests, plan.error_rate_ok);
        let below = number(plan.error_rate_ok);
        let words = format!("{}, below {times} times as often or {below}", self.errors());
        let mut found = vec![(Guard::Errors, log_mean(&[logs.fewer_errors, few]), words)];
        if plan.p99_tolerance.is_some() {
            let most = SLOW_SHARE * margin;
            let few = log_e_below(answered.canary.slow, answered.canary.requests, most);
            let below = number(most);
            let words = format!("{}, below {times} times as often or {below}", self.latency());
            found.push((Guard::Latency, log_mean(&[logs.faster, few]), words));
        }
        let log_threshold = plan.log_good_enough();
        let finding = |(guard, log_e, words): (Guard, f64, String)| {
            let (e, enough) = (e_value(log_e), e_value(log_threshold));
            let words = format!("{words}: e-value {e}, promoted from {enough} on");
            Finding { guard, question: Question::GoodEnough, log_e, log_threshold, words }
        };
        found.into_iter().map(finding).collect()
    }

    fn errors(&self) -> String {
        let shown = |it: &Arm| share(it.errors, it.requests);
        let Counts { stable, canary, .. } = &self.total;
        format!("errors: candidate {}, stable {}", shown(canary), shown(stable))
    }

    fn latency(&self) -> String {
        let shown = |it: &Arm| share(it.slow, it.requests);
        let Counts { stable, canary, .. } = &self.answered;
        let limit = self.slow_above.map(|it| format!(" above {it:.1?}")).unwrap_or_default();
        format!("slow answers{limit}: candidate {}, stable {}", shown(canary), shown(stable))
    }

    fn loss(&self, labels: &Labels, max: f64) -> String {
        let mean = |it: &Moments| format!("{} of {}", number(it.mean), it.n);
        format!(
            "mean loss: candidate {}, stable {}, difference on rows of both {}, greater by {max}",
            mean(&labels.canary),
            mean(&labels.stable),
            mean(&labels.paired)
        )
    }
}

/// How far a mean is from what is allowed on either side.
fn beyond(moments: &Moments, max: f64) -> f64 {
    moments.mean - moments.mean.clamp(-max, max)
}

#[cfg(test)]
#[path = "guards_tests.rs"]
mod tests;
