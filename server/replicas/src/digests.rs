//! Which bytes replicas have of a version.

use std::collections::BTreeMap;

use crate::id::ReplicaId;

/// The digest of each version's content, as `FORMAT:HEX`, by its number.
pub(crate) type Digests = BTreeMap<u64, String>;

/// As much of a digest as people compare.
const DIGEST_CHARS: usize = 19;

/// Replicas that are named; of more there is the number.
const NAMED_MAX: usize = 3;

/// Are these other bytes? Digests of two formats say nothing of each other.
fn differ(one: &str, other: &str) -> bool {
    let format = |it: &str| it.split_once(':').map(|it| it.0.to_owned());
    one != other && format(one) == format(other)
}

/// The versions of which two replicas have other bytes, as far as both know.
pub(crate) fn others(one: &Digests, other: &Digests) -> Vec<u64> {
    let differ = |(version, digest): (&u64, &String)| {
        other.get(version).is_some_and(|it| differ(digest, it)).then_some(*version)
    };
    one.iter().filter_map(differ).collect()
}

/// Who has other bytes of a version than the first of the replicas that knows its own, in words.
pub(crate) fn told<'a>(
    version: u64,
    replicas: impl IntoIterator<Item = (&'a ReplicaId, &'a Digests)>,
) -> Option<String> {
    let known = |(id, digests): (&'a ReplicaId, &'a Digests)| Some((id, digests.get(&version)?));
    let mut known = replicas.into_iter().filter_map(known);
    let (first, digest) = known.next()?;
    let others: Vec<_> = known.filter(|(_, it)| differ(it, digest)).collect();
    let more = others.len().saturating_sub(NAMED_MAX);
    let named = others.iter().take(NAMED_MAX).map(|(id, it)| format!("{id} has {}", short(it)));
    let more = (more > 0).then(|| format!("{more} more have others"));
    let named: Vec<String> = named.chain(more).collect();
    let first = || format!("{first} has {} of version {version}", short(digest));
    (!named.is_empty()).then(|| format!("{}, {}", first(), named.join(", ")))
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGEST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(of: &[(u64, &str)]) -> Digests {
        of.iter().map(|(version, it)| (*version, (*it).to_owned())).collect()
    }

    #[test]
    fn what_both_know_is_compared() {
        let mine = digests(&[(1, "sha256:a"), (2, "sha256:b"), (3, "sha256:c"), (4, "v2:d")]);
        let theirs = digests(&[(1, "sha256:a"), (2, "sha256:x"), (4, "sha256:d"), (5, "sha256:e")]);
        assert_eq!(others(&mine, &theirs), [2]);
        assert!(others(&mine, &mine).is_empty());
        assert!(others(&mine, &Digests::new()).is_empty());
    }

    #[track_caller]
    fn check(has: &[&str], expect: Option<&str>) {
        let ids = ["a", "b", "c", "d", "e", "f"].map(|it| ReplicaId::new(it).expect("a name"));
        let has: Vec<Digests> = has
            .iter()
            .map(|it| if it.is_empty() { Digests::new() } else { digests(&[(2, it)]) })
            .collect();
        assert_eq!(told(2, ids.iter().zip(&has)).as_deref(), expect);
    }

    #[test]
    fn who_differs_is_named() {
        check(&[], None);
        check(&["", ""], None);
        check(&["sha256:1", "sha256:1", ""], None);
        check(&["", "v2:1", "sha256:1"], None);
        check(
            &["", "sha256:0123456789abcdef", "sha256:1", "sha256:0123456789abcdef"],
            Some("b has sha256:0123456789ab of version 2, c has sha256:1"),
        );
        let many = ["sha256:0", "sha256:1", "sha256:2", "sha256:3", "sha256:4", "sha256:5"];
        let named = "b has sha256:1, c has sha256:2, d has sha256:3, 2 more have others";
        check(&many, Some(&format!("a has sha256:0 of version 2, {named}")));
    }
}
