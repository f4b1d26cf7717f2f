//! Has a version's folder, or a configuration, come to rest, or is it still being copied?
//!
//! Settled is what last changed far enough back, or what has looked the same for long enough. The second holds when the machine's clock, or that of the file server, is
//! wrong. Time is a parameter.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use server_base::{ModelName, Version};

use crate::repository::Look;

/// What of a model's folder comes to rest by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Its `model.toml`, or that there is none.
    Config,
    /// A version's folder.
    Version(Version),
}

/// Remembers since when each part has looked as it does.
pub(crate) struct Settling {
    rest: Duration,
    seen: BTreeMap<(ModelName, Part), (u64, Instant)>,
}

impl Settling {
    /// A part has settled after so much rest.
    pub(crate) fn new(rest: Duration) -> Settling {
        Settling { rest, seen: BTreeMap::new() }
    }

    /// Takes note of how it looks now.
    pub(crate) fn is_settled(
        &mut self,
        key: (ModelName, Part),
        look: Look,
        (now, today): (Instant, SystemTime),
    ) -> bool {
        let (print, since) = *self.seen.get(&key).unwrap_or(&(look.print, now));
        let since = if print == look.print { since } else { now };
        self.seen.insert(key, (look.print, since));
        let changed_long_ago = today.duration_since(look.changed).is_ok_and(|it| it >= self.rest);
        changed_long_ago || now.saturating_duration_since(since) >= self.rest
    }

    /// Forgets what is gone.
    pub(crate) fn keep(&mut self, exists: impl Fn(&(ModelName, Part)) -> bool) {
        self.seen.retain(|key, _| exists(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks of `(second, print, changed at second)`; expects which of them were settled. The rest
    /// is two seconds.
    #[track_caller]
    fn check(looks: &[(u64, u64, u64)], expect: &[bool]) {
        let mut settling = Settling::new(Duration::from_secs(2));
        let (start, epoch) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let seconds = Duration::from_secs;
        let settled = looks.iter().map(|&(at, print, changed)| {
            let changed = epoch + seconds(changed);
            let key = (ModelName::new("m").expect("a name"), Part::Config);
            settling.is_settled(
                key,
                Look { print, changed, bytes: 0 },
                (start + seconds(at), epoch + seconds(at)),
            )
        });
        assert_eq!(settled.collect::<Vec<_>>(), expect);
    }

    #[test]
    fn an_old_folder_has_settled_at_once() {
        check(&[(100, 1, 5)], &[true]);
    }

    #[test]
    fn a_growing_one_has_not() {
        check(
            &[(10, 1, 10), (11, 2, 11), (12, 3, 12), (13, 3, 12), (14, 3, 12)],
            &[false, false, false, false, true],
        );
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_matter() {
        check(&[(10, 1, 9_999), (11, 1, 9_999), (12, 1, 9_999)], &[false, false, true]);
    }
}
