//! Which versions of a model are wanted. Pure.

use std::collections::BTreeSet;

use server_base::Version;

use crate::config::VersionPolicy;

/// The wanted versions among those `present`. `broken` are those that cannot be loaded and of
/// which nothing older is in memory: a policy that counts versions passes over them, so that a
/// restart on a broken newest version serves the one before.
pub(crate) fn desired(
    policy: &VersionPolicy,
    present: &BTreeSet<Version>,
    broken: &BTreeSet<Version>,
) -> BTreeSet<Version> {
    match policy {
        VersionPolicy::Latest(count) => {
            let whole = present.iter().rev().filter(|it| !broken.contains(it));
            let newest: BTreeSet<Version> = whole.take(*count).copied().collect();
            // If nothing is whole, the newest stays wanted: its reason is what people must see.
            if newest.is_empty() { present.last().copied().into_iter().collect() } else { newest }
        }
        VersionPolicy::All => present.clone(),
        VersionPolicy::Specific(versions) => present.intersection(versions).copied().collect(),
    }
}

/// What is wanted if nothing of `wanted` can be loaded: the one to fall back to, if it is there.
pub(crate) fn or_else(
    wanted: BTreeSet<Version>,
    fallback: Option<Version>,
    (present, broken): (&BTreeSet<Version>, &BTreeSet<Version>),
) -> BTreeSet<Version> {
    match fallback.filter(|it| present.contains(it)) {
        Some(it) if wanted.is_subset(broken) => [it].into(),
        Some(_) | None => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: VersionPolicy, present: &[u64], broken: &[u64], expect: &[u64]) {
        let set = |it: &[u64]| it.iter().copied().map(Version).collect::<BTreeSet<_>>();
        assert_eq!(desired(&policy, &set(present), &set(broken)), set(expect), "{policy:?}");
    }

    #[test]
    fn each_policy_picks_its_own() {
        check(VersionPolicy::Latest(1), &[1, 3, 10], &[], &[10]);
        check(VersionPolicy::Latest(2), &[1, 3, 10], &[], &[3, 10]);
        check(VersionPolicy::Latest(5), &[1], &[], &[1]);
        check(VersionPolicy::All, &[1, 3], &[3], &[1, 3]);
        check(VersionPolicy::Specific([Version(2), Version(3)].into()), &[1, 3], &[], &[3]);
    }

    #[test]
    fn another_answers_if_nothing_that_is_wanted_can() {
        let set = |it: &[u64]| it.iter().copied().map(Version).collect::<BTreeSet<_>>();
        for (wanted, fallback, present, broken, expect) in [
            (&[3][..], Some(2), &[2, 3][..], &[3][..], &[2][..]),
            (&[3], Some(2), &[2, 3], &[], &[3]),
            (&[3], Some(2), &[3], &[3], &[3]),
            (&[3], None, &[2, 3], &[3], &[3]),
            (&[3, 4], Some(2), &[2, 3, 4], &[4], &[3, 4]),
            (&[], Some(2), &[2], &[], &[2]),
        ] {
            let (present, broken) = (set(present), set(broken));
            let got = or_else(set(wanted), fallback.map(Version), (&present, &broken));
            assert_eq!(got, set(expect), "{wanted:?} {fallback:?} {present:?} {broken:?}");
        }
    }

    #[test]
    fn the_latest_passes_over_broken_versions() {
        check(VersionPolicy::Latest(1), &[1, 2, 3], &[3], &[2]);
        check(VersionPolicy::Latest(1), &[3], &[3], &[3]);
        check(VersionPolicy::Latest(1), &[], &[], &[]);
    }
}
