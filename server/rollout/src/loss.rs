//! What losses prove, where the truth of answers has become known.

use crate::counts::Labels;
use crate::evidence::{BURN_IN, log_e_mean, log_mean};
use crate::moments::Moments;

/// Evidence that a mean is elsewhere, as soon as there are enough values to know their variance.
pub(crate) fn log_e_moments(distance: f64, moments: &Moments) -> f64 {
    if moments.n < BURN_IN {
        return 0.0;
    }
    log_e_mean(distance, moments.n as f64, moments.variance())
}

/// Evidence that the candidate's loss is greater by more than `max`: from rows that both answered
/// and from rows that one did. The two are separate rows and say the same, so their mean counts.
pub(crate) fn log_e_loss(labels: &Labels, max: f64) -> f64 {
    let Labels { stable, canary, paired } = labels;
    // A smaller loss than allowed is no distance.
    let paired = log_e_moments((paired.mean - max).max(0.0), paired);
    let apart = if stable.n.min(canary.n) < BURN_IN {
        0.0
    } else {
        // As if of pairs: the variance of a difference, and as many as give the mean its own.
        let variance = stable.variance() + canary.variance();
        let of_mean = stable.variance() / stable.n as f64 + canary.variance() / canary.n as f64;
        let n = if of_mean > 0.0 { variance / of_mean } else { stable.n.min(canary.n) as f64 };
        log_e_mean((canary.mean - stable.mean - max).max(0.0), n, variance)
    };
    log_mean(&[paired, apart])
}
