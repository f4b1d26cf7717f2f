//! Which models that are loaded on demand may come in, and which must go. Pure.

use std::time::{Duration, Instant};

use server_base::ModelName;

/// How long a model stays at least, once it answers, and no shorter than its load took: else a
/// server that is asked for more models than it may hold would load more than it answers. Use is
/// looked at once a second, so less would not tell who was used last.
pub(crate) const RESIDENCE: Duration = Duration::from_secs(5);

/// How long a request is told to wait if nothing that is loaded will ever make room by itself.
const NO_ROOM_RETRY: Duration = Duration::from_secs(5);

/// First pause after a failed load; each further one is twice as long, up to `BACKOFF_MAX`.
const BACKOFF: Duration = Duration::from_secs(1);

/// Longest pause: a fault that is mended is noticed by the folder's change long before that.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A loaded model that may be unloaded.
#[derive(Clone, Debug)]
pub(crate) struct Resident {
    pub(crate) name: ModelName,
    /// It is not unloaded before.
    pub(crate) stays_until: Instant,
    /// When it was last seen to be used.
    pub(crate) used: Instant,
    /// Unused for so long, it goes by itself.
    pub(crate) idle_max: Option<Duration>,
}

/// What is in memory, and what wants to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    /// Models that may be in memory at a time.
    pub(crate) loaded_max: Option<usize>,
    /// Models in memory or on their way there, those that leave it included.
    pub(crate) occupied: usize,
    /// Models that leave it.
    pub(crate) leaving: usize,
    /// Models that were asked for and wait for room.
    pub(crate) newcomers: usize,
    /// Those that may be unloaded.
    pub(crate) residents: Vec<Resident>,
}

/// What is to be done. Newcomers are taken in the order in which they came: the first are
/// admitted, the last refused, those between wait for what leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) admitted: usize,
    pub(crate) evicted: Vec<(ModelName, Cause)>,
    pub(crate) refused: usize,
    /// When the refused may try again.
    pub(crate) retry: Instant,
}

/// Why a model goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// More are wanted than may be loaded, and it was used least recently.
    Count,
    /// Nobody has used it for long.
    Idle,
}

impl Cause {
    /// The label's value.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Cause::Count => "count",
            Cause::Idle => "idle",
        }
    }
}

/// Makes room.
pub(crate) fn plan(picture: Picture, now: Instant) -> Room {
    let Picture { loaded_max, occupied, leaving, newcomers, residents } = picture;
    let may_go = |it: &Resident| it.stays_until <= now;
    let is_idle = |it: &Resident| {
        it.idle_max.is_some_and(|max| now.saturating_duration_since(it.used) >= max)
    };
    let (idle, mut others): (Vec<Resident>, Vec<Resident>) =
        residents.into_iter().partition(|it| may_go(it) && is_idle(it));
    let mut evicted: Vec<_> = idle.into_iter().map(|it| (it.name, Cause::Idle)).collect();
    let max = loaded_max.unwrap_or(usize::MAX);
    let admitted = newcomers.min(max.saturating_sub(occupied));
    // What leaves already, or has just been told to, makes room by itself.
    let leaves = leaving + evicted.len();
    let over = (occupied + newcomers).saturating_sub(max).saturating_sub(leaves);
    others.sort_by_key(|it| (!may_go(it), it.used));
    let goes = others.iter().take(over).filter(|it| may_go(it)).count();
    let stay = others.split_off(goes);
    evicted.extend(others.into_iter().map(|it| (it.name, Cause::Count)));
    let refused = (over - goes).min(newcomers - admitted);
    let retry = stay.iter().map(|it| it.stays_until).min();
    // Never at once: whoever is refused is not to ask in a circle.
    let retry = retry.unwrap_or(now + NO_ROOM_RETRY).max(now + BACKOFF);
    Room { admitted, evicted, refused, retry }
}

/// The pause after so many failures in a row.
pub(crate) fn backoff(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    BACKOFF.saturating_mul(doubled).min(BACKOFF_MAX)
}

#[cfg(test)]
#[path = "eviction_tests.rs"]
mod tests;
