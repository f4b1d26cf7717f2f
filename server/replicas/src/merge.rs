//! What all replicas have seen together.

use server_rollout::{Counts, Observation, Readiness};

use crate::report::Seen;

/// One observation out of those of all replicas. `lives`: has it been heard of lately?
///
/// What has been counted counts, also by replicas that are gone. How far the candidate is, is decided by the
/// slowest of those that live; one that has not heard of the rollout yet is not far. A fault anywhere is a fault. What is slow
/// must be so for the slowest replica too, or its stable version would be slow by that measure.
pub fn merge<'a>(
    reports: impl IntoIterator<Item = (Option<&'a Seen>, bool)>,
    begun: u64,
    stage: u32,
) -> Observation {
    let mut all = Observation { stage, ..Observation::default() };
    let mut readiness = None;
    for (seen, lives) in reports {
        let seen = seen.filter(|it| it.begun == begun);
        if lives {
            let far = seen.map_or(Readiness::NotLoaded, |it| it.observation.readiness);
            readiness = Some(readiness.map_or(far, |it: Readiness| it.min(far)));
        }
        let Some(Seen { observation: one, .. }) = seen else { continue };
        all.fault = all.fault.or_else(|| one.fault.clone());
        all.stable_p99 = all.stable_p99.max(one.stable_p99);
        if one.stage == stage {
            all.counts.merge(&one.counts);
        } else {
            // Too late to be compared; but an answer that is no number is one whenever it was given.
            let mut late = Counts::default();
            late.canary.non_finite = one.counts.canary.non_finite;
            late.pairs.non_finite = one.counts.pairs.non_finite;
            all.counts.merge(&late);
        }
    }
    all.readiness = readiness.unwrap_or_default();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use server_rollout::{Arm, Fault};

    fn seen(begun: u64, stage: u32, requests: u64) -> Seen {
        let arm = Arm { requests, ..Arm::default() };
        let counts = Counts { stable: arm, canary: arm, ..Counts::default() };
        let readiness = Readiness::Validated;
        let observation = Observation { stage, counts, readiness, ..Observation::default() };
        Seen { begun, observation, ..Seen::default() }
    }

    #[track_caller]
    fn check(reports: &[(Option<Seen>, bool)], requests: u64, readiness: Readiness) {
        let all = merge(reports.iter().map(|(it, lives)| (it.as_ref(), *lives)), 7, 2);
        assert_eq!((all.counts.canary.requests, all.readiness), (requests, readiness));
        assert_eq!(all.stage, 2);
    }

    #[test]
    fn counts_of_the_stage_add_up() {
        let (one, gone) = (seen(7, 2, 10), seen(7, 2, 5));
        check(&[], 0, Readiness::NotLoaded);
        check(&[(Some(one.clone()), true)], 10, Readiness::Validated);
        check(&[(Some(one.clone()), true), (Some(gone), false)], 15, Readiness::Validated);
        // Of another stage, of another rollout.
        let others = [seen(7, 1, 100), seen(6, 2, 100)].map(|it| (Some(it), false));
        check(&others, 0, Readiness::NotLoaded);
        check(&[(Some(one.clone()), true), (Some(seen(7, 3, 1)), true)], 10, Readiness::Validated);
        // The slowest counts, and who has not heard of it is the slowest.
        check(&[(Some(one.clone()), true), (None, true)], 10, Readiness::NotLoaded);
        check(&[(Some(one), true), (None, false)], 10, Readiness::Validated);
    }

    #[test]
    fn what_is_wrong_anywhere_is_wrong() {
        let (mut a, mut b, mut c) = (seen(7, 2, 1), seen(7, 1, 1), seen(6, 2, 1));
        a.observation.stable_p99 = Some(Duration::from_millis(3));
        b.observation.stable_p99 = Some(Duration::from_millis(5));
        b.observation.counts.canary.non_finite = 2;
        let all = merge([&a, &b].map(|it| (Some(it), false)), 7, 2);
        assert_eq!(all.stable_p99, Some(Duration::from_millis(5)));
        assert_eq!(all.counts.canary.non_finite, 2, "late, and seen all the same");
        assert_eq!(all.fault, None);
        let fault = Some(Fault::LoadFailed("no".to_owned()));
        (b.observation.fault, c.observation.fault) = (fault.clone(), fault.clone());
        assert_eq!(merge([(Some(&c), true)], 7, 2).fault, None, "of another rollout");
        assert_eq!(merge([&a, &b].map(|it| (Some(it), true)), 7, 2).fault, fault);
    }
}
