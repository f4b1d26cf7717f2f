//! Reads counts off the versions, from a point in time on.

use std::sync::Arc;

use server_rollout::{Arm, Counts, Labels, Moments, Pairs};
use server_serving::{self as serving, Servable, Shadow};

use crate::truth::Truth;

/// Where the counters stood when a stage began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge {
    stable: serving::Counts,
    canary: serving::Counts,
    /// Are losses of this stage counted?
    is_watched: bool,
}

impl Gauge {
    /// From now on.
    pub(crate) fn begin(stable: Option<&Arc<Servable>>, canary: Option<&Arc<Servable>>) -> Gauge {
        let counts = |it: Option<&Arc<Servable>>| it.map(|it| it.counts()).unwrap_or_default();
        Gauge { stable: counts(stable), canary: counts(canary), is_watched: false }
    }

    /// What has come since. A version that was loaded anew meanwhile counts from there.
    pub(crate) fn read(
        &mut self,
        (stable, canary): (Option<&Arc<Servable>>, Option<&Arc<Servable>>),
        shadow: Option<&Arc<Shadow>>,
        truth: Option<&Truth>,
    ) -> Counts {
        let arm = |it: Option<&Arc<Servable>>, base: &serving::Counts| {
            it.map(|it| since(it.counts(), base)).unwrap_or_default()
        };
        let pairs = shadow.map(|it| it.pairs());
        Counts {
            stable: arm(stable, &self.stable),
            canary: match &pairs {
                // Copies are nobody's requests.
                Some(pairs) => copies(pairs),
                None => arm(canary, &self.canary),
            },
            pairs: pairs.as_ref().map(compared).unwrap_or_default(),
            labels: self.labels((stable, canary), truth).unwrap_or_default(),
        }
    }

    /// Losses of what was predicted in this stage: from the first look at it on.
    fn labels(
        &mut self,
        (stable, canary): (Option<&Arc<Servable>>, Option<&Arc<Servable>>),
        truth: Option<&Truth>,
    ) -> Option<Labels> {
        let (stable, canary, truth) = (stable?, canary?, truth?);
        let model = stable.model().as_str();
        if !self.is_watched {
            truth.watch(model, stable.version(), canary.version());
            self.is_watched = true;
        }
        Some(truth.losses(model))
    }
}

fn since(now: serving::Counts, base: &serving::Counts) -> Arm {
    let serving::Counts { requests, errors, slow, nonfinite } = now;
    if requests < base.requests {
        return Arm { requests, errors, slow, non_finite: nonfinite };
    }
    Arm {
        requests: requests - base.requests,
        errors: errors.saturating_sub(base.errors),
        slow: slow.saturating_sub(base.slow),
        non_finite: nonfinite.saturating_sub(base.nonfinite),
    }
}

fn copies(pairs: &serving::Pairs) -> Arm {
    let requests = pairs.compared.saturating_add(pairs.failed);
    Arm { requests, errors: pairs.failed, slow: 0, non_finite: 0 }
}

fn compared(pairs: &serving::Pairs) -> Pairs {
    let moments = |(n, mean, m2): (u64, f64, f64)| Moments { n, mean, m2 };
    Pairs {
        pairs: pairs.compared,
        flips: pairs.flips,
        non_finite: pairs.nonfinite,
        difference: moments(pairs.moments),
        classes: pairs.classes.map(moments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_since_the_stage_began() {
        let base = serving::Counts { requests: 100, errors: 10, slow: 5, nonfinite: 1 };
        let now = serving::Counts { requests: 150, errors: 12, slow: 5, nonfinite: 1 };
        let expect = Arm { requests: 50, errors: 2, slow: 0, non_finite: 0 };
        assert_eq!(since(now, &base), expect);
        // It was loaded anew: its counters began at zero.
        let anew = serving::Counts { requests: 3, errors: 1, slow: 0, nonfinite: 0 };
        let expect = Arm { requests: 3, errors: 1, slow: 0, non_finite: 0 };
        assert_eq!(since(anew, &base), expect);
    }
}
