//! Which models that are loaded on demand may come in, and which must go. Pure.
//!
//! What is kept for a roll-back only goes before any model that answers.

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
    /// Memory that it takes.
    pub(crate) bytes: u64,
    /// It is not unloaded before.
    pub(crate) stays_until: Instant,
    /// When it was last seen to be used.
    pub(crate) used: Instant,
    /// Unused for so long, it goes by itself.
    pub(crate) idle_max: Option<Duration>,
}

/// A version that was replaced and stays loaded for a roll-back.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    /// Its model's name.
    pub(crate) name: ModelName,
    /// Memory that it takes.
    pub(crate) bytes: u64,
}

/// Places among the models in memory, and bytes of it: what is taken, or needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) models: usize,
    pub(crate) bytes: u64,
}

/// How much there is, if that is limited.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) models: Option<usize>,
    pub(crate) bytes: Option<u64>,
}

impl Space {
    pub(crate) fn plus(self, other: Space) -> Space {
        Space { models: self.models + other.models, bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Limits {
    pub(crate) fn is_some(self) -> bool {
        self.models.is_some() || self.bytes.is_some()
    }
}

/// What is in memory, and what wants to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    pub(crate) limits: Limits,
    /// Taken by what is in memory or on its way there, what leaves it included.
    pub(crate) occupied: Space,
    /// Taken by what leaves.
    pub(crate) leaving: Space,
    /// What those need who wait for room, in the order in which they came.
    pub(crate) newcomers: Vec<Space>,
    /// Those that may be unloaded, without what they keep for a roll-back.
    pub(crate) residents: Vec<Resident>,
    /// What models keep for that.
    pub(crate) spares: Vec<Spare>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// One for each newcomer.
    pub(crate) fates: Vec<Fate>,
    pub(crate) evicted: Vec<(ModelName, Cause)>,
    /// Models that keep nothing for a roll-back any more.
    pub(crate) cooled: Vec<ModelName>,
    /// When the refused may try again.
    pub(crate) retry: Instant,
}

/// What becomes of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Admitted,
    /// For what leaves.
    Waits,
    /// Room cannot be made: of what there is too little.
    Refused(Cause),
}

/// Why a model goes, or may not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// More are wanted than may be loaded, and it was used least recently.
    Count,
    /// More memory is wanted than there is, and it was used least recently.
    Memory,
    /// Nobody has used it for long.
    Idle,
}

impl Cause {
    /// The label's value.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Cause::Count => "count",
            Cause::Memory => "memory",
            Cause::Idle => "idle",
        }
    }
}

/// Space that is left; below zero where more is taken than there is.
#[derive(Clone, Copy, Debug)]
struct Left {
    models: i128,
    bytes: i128,
}

impl Left {
    fn new(limits: Limits, occupied: Space) -> Left {
        // Enough for everything, and far from an overflow.
        let all = i128::from(u64::MAX);
        Left {
            models: limits.models.map_or(all, |it| it as i128) - occupied.models as i128,
            bytes: limits.bytes.map_or(all, i128::from) - i128::from(occupied.bytes),
        }
    }

    fn give(&mut self, space: Space) {
        self.models += space.models as i128;
        self.bytes += i128::from(space.bytes);
    }

    fn take(&mut self, space: Space) {
        self.models -= space.models as i128;
        self.bytes -= i128::from(space.bytes);
    }

    /// What there is too little of for somebody. Who needs no place has one.
    fn lacks(self, space: Space) -> Option<Cause> {
        if space.models > 0 && self.models < space.models as i128 {
            Some(Cause::Count)
        } else {
            (self.bytes < i128::from(space.bytes)).then_some(Cause::Memory)
        }
    }

    fn is_overdrawn(self) -> Option<Cause> {
        let memory = (self.bytes < 0).then_some(Cause::Memory);
        if self.models < 0 { Some(Cause::Count) } else { memory }
    }
}

/// Those that may go, the least recently used first, and before them what is only kept.
struct Leavers {
    spares: Vec<Spare>,
    rest: Vec<Resident>,
    cooled: Vec<ModelName>,
    evicted: Vec<(ModelName, Cause)>,
}

/// How many of them would go, and why.
#[derive(Default)]
struct Going {
    spares: usize,
    causes: Vec<Cause>,
}

impl Leavers {
    /// The next goes, if there is one; gives the space that it leaves. What a model keeps takes no
    /// place of its own, and is counted as left only when it goes by itself.
    fn next(&self, going: &mut Going, cause: Cause) -> Option<Space> {
        if cause == Cause::Memory
            && let Some(it) = self.spares.get(going.spares)
        {
            going.spares += 1;
            return Some(Space { models: 0, bytes: it.bytes });
        }
        let it = self.rest.get(going.causes.len())?;
        going.causes.push(cause);
        Some(Space { models: 1, bytes: it.bytes })
    }

    /// Makes `left` large enough for somebody. Nobody goes if that does not do.
    fn make_room(&mut self, left: &mut Left, need: Space) -> Option<Cause> {
        let (mut would, mut going) = (*left, Going::default());
        while let Some(cause) = would.lacks(need) {
            let Some(space) = self.next(&mut going, cause) else { return Some(cause) };
            would.give(space);
        }
        *left = would;
        self.go(going);
        None
    }

    /// Brings what is overdrawn back, as far as that goes.
    fn pay_back(&mut self, left: &mut Left) {
        let mut going = Going::default();
        while let Some(cause) = left.is_overdrawn() {
            let Some(space) = self.next(&mut going, cause) else { break };
            left.give(space);
        }
        self.go(going);
    }

    fn go(&mut self, Going { spares, causes }: Going) {
        self.cooled.extend(self.spares.drain(..spares).map(|it| it.name));
        let gone = self.rest.drain(..causes.len()).map(|it| it.name);
        self.evicted.extend(gone.zip(causes));
    }
}

/// Makes room. Newcomers are served in their order: who waits is not overtaken.
pub(crate) fn plan(picture: Picture, now: Instant) -> Room {
    let Picture { limits, occupied, leaving, newcomers, residents, mut spares } = picture;
    let may_go = |it: &Resident| it.stays_until <= now;
    let is_idle = |it: &Resident| {
        it.idle_max.is_some_and(|max| now.saturating_duration_since(it.used) >= max)
    };
    let (idle, others): (Vec<Resident>, Vec<Resident>) =
        residents.into_iter().partition(|it| may_go(it) && is_idle(it));
    let (mut rest, stay): (Vec<Resident>, Vec<Resident>) = others.into_iter().partition(may_go);
    rest.sort_by_key(|it| it.used);
    let mut free = Left::new(limits, occupied);
    // What leaves already, or has just been told to, makes room by itself.
    let mut soon = free;
    soon.give(leaving);
    idle.iter().for_each(|it| soon.give(Space { models: 1, bytes: it.bytes }));
    // With them goes what they keep.
    let goes_along = |spare: &Spare| idle.iter().any(|it| it.name == spare.name);
    spares.iter().filter(|it| goes_along(it)).for_each(|it| {
        soon.give(Space { models: 0, bytes: it.bytes });
    });
    spares.retain(|it| !goes_along(it));
    let evicted = idle.into_iter().map(|it| (it.name, Cause::Idle)).collect();
    let mut leavers = Leavers { spares, rest, cooled: Vec::new(), evicted };
    leavers.pay_back(&mut soon);
    let mut somebody_waits = false;
    let fates = newcomers.into_iter().map(|need| {
        if !somebody_waits && free.lacks(need).is_none() {
            free.take(need);
            soon.take(need);
            return Fate::Admitted;
        }
        if let Some(cause) = leavers.make_room(&mut soon, need) {
            return Fate::Refused(cause);
        }
        soon.take(need);
        somebody_waits = true;
        Fate::Waits
    });
    let fates = fates.collect();
    let retry = stay.iter().map(|it| it.stays_until).chain(leavers.rest.iter().map(|_| now)).min();
    // Never at once: whoever is refused is not to ask in a circle.
    let retry = retry.unwrap_or(now + NO_ROOM_RETRY).max(now + BACKOFF);
    Room { fates, evicted: leavers.evicted, cooled: leavers.cooled, retry }
}

/// The pause after so many failures in a row.
pub(crate) fn backoff(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    BACKOFF.saturating_mul(doubled).min(BACKOFF_MAX)
}

#[cfg(test)]
#[path = "eviction_tests.rs"]
mod tests;
