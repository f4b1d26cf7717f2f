//! Which replaced version stays loaded, so that going back to it is no load. Pure: time is a
//! parameter.
//!
//! One of a model at most: the one that was replaced last. A rollout keeps its own versions for as
//! long as its plan says, so what it replaces is not kept here too.

use std::time::{Duration, Instant};

use server_base::Version;

/// What a version is kept for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Warmth {
    /// It is wanted, or nothing has replaced it yet.
    #[default]
    Wanted,
    /// It was replaced, and stays loaded for a roll-back.
    Kept {
        /// When it was replaced.
        since: Instant,
        /// When it goes.
        until: Instant,
    },
    /// It was replaced, and goes as soon as what is wanted answers.
    Cold,
    /// It was kept, and goes as soon as another answers: its time is over.
    Spent,
    /// The same, because others need its memory.
    Evicted,
}

/// A version in memory, as this decision sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) version: Version,
    /// Does it answer?
    pub(crate) is_available: bool,
    /// Is it wanted?
    pub(crate) is_desired: bool,
    /// Is its content still there? Of what is not, nothing could be loaded again.
    pub(crate) is_there: bool,
    /// As it was.
    pub(crate) warmth: Warmth,
}

/// What is wanted of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// How long a version stays that was replaced.
    pub(crate) window: Duration,
    /// Is any version wanted, in memory or not?
    pub(crate) is_wanted: bool,
    /// Does a rollout say which?
    pub(crate) is_directed: bool,
}

/// What becomes of each of a model's versions, in their order.
pub(crate) fn warmths(all: &[Candidate], wish: Wish, now: Instant) -> Vec<Warmth> {
    let Wish { window, is_wanted, is_directed } = wish;
    let is_replaced = all.iter().any(|it| it.is_desired && it.is_available);
    let keep = |since: Instant| Warmth::Kept { since, until: since + window };
    let next = |it: &Candidate| match it.warmth {
        _ if !it.is_available || it.is_desired => Warmth::Wanted,
        Warmth::Evicted => Warmth::Evicted,
        // Where nothing is wanted there is nothing to go back from.
        Warmth::Kept { since, .. } if is_wanted && it.is_there => keep(since),
        Warmth::Kept { .. } | Warmth::Spent => Warmth::Spent,
        Warmth::Wanted if !is_replaced => Warmth::Wanted,
        Warmth::Wanted if it.is_there && !is_directed => keep(now),
        Warmth::Wanted | Warmth::Cold => Warmth::Cold,
    };
    let mut found: Vec<Warmth> = all.iter().map(next).collect();
    let rank = |(it, place): (&Warmth, usize)| match it {
        Warmth::Kept { since, until } if *until > now => {
            Some((*since, all.get(place)?.version, place))
        }
        Warmth::Kept { .. } | Warmth::Wanted | Warmth::Cold | Warmth::Spent | Warmth::Evicted => {
            None
        }
    };
    let last = found.iter().zip(0..).filter_map(rank).max().map(|(.., place)| place);
    for (place, (it, was)) in found.iter_mut().zip(all).enumerate() {
        if matches!(it, Warmth::Kept { .. }) && Some(place) != last {
            let was_kept = matches!(was.warmth, Warmth::Kept { .. });
            *it = if was_kept { Warmth::Spent } else { Warmth::Cold };
        }
    }
    found
}

#[cfg(test)]
#[path = "warm_tests.rs"]
mod tests;
