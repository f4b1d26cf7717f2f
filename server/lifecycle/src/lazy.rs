//! One model's books as far as it is loaded on demand: asked for, in memory, refused.
//!
//! Kept for every model, of meaning for those whose configuration says `load = "lazy"`. Decides
//! nothing: who may come and who must go is told by `eviction`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use server_serving::{Demand, Prospect, Scarce};

use crate::eviction::{RESIDENCE, backoff};

/// See the module.
pub(crate) struct Lazy {
    demand: Arc<Demand>,
    phase: Phase,
    /// Loaded by command: it stays until it is unloaded by command.
    is_kept: bool,
    /// Failed loads since the last good one.
    failures: u32,
    stay: Option<Stay>,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Known and not wanted.
    Registered,
    /// Asked for; there may have to be room made for it.
    Queued,
    /// Wanted: it is loaded, or on its way there.
    Wanted,
    /// Not wanted before a moment, whoever asks. The prospect says why.
    Refused(Prospect, Instant),
}

/// Its time in memory.
struct Stay {
    until: Instant,
    used: Instant,
    /// Requests it had had when it was last looked at.
    entered: u64,
}

impl Lazy {
    pub(crate) fn new(demand: Arc<Demand>) -> Lazy {
        Lazy { demand, phase: Phase::Registered, is_kept: false, failures: 0, stay: None }
    }

    pub(crate) fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }

    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.phase == Phase::Wanted
    }

    /// What a request may expect.
    pub(crate) fn prospect(&self) -> Prospect {
        match &self.phase {
            Phase::Registered => Prospect::Registered,
            Phase::Queued | Phase::Wanted => Prospect::Coming,
            Phase::Refused(prospect, _) => prospect.clone(),
        }
    }

    /// Somebody asked for it. True if that is news.
    pub(crate) fn ask(&mut self) -> bool {
        let is_news = self.phase == Phase::Registered;
        if is_news {
            self.phase = Phase::Queued;
        }
        is_news
    }

    /// It may be loaded, or is loaded already.
    pub(crate) fn admit(&mut self) {
        self.phase = Phase::Wanted;
    }

    /// It is loaded by command.
    pub(crate) fn keep(&mut self) {
        (self.phase, self.is_kept, self.failures) = (Phase::Wanted, true, 0);
    }

    /// Nothing of it is wanted until somebody asks again.
    pub(crate) fn sleep(&mut self) {
        (self.phase, self.is_kept, self.stay) = (Phase::Registered, false, None);
    }

    /// It waits for room, and there will be none before `until`.
    pub(crate) fn refuse(&mut self, scarce: Scarce, until: Instant) {
        self.phase = Phase::Refused(Prospect::NoRoom(scarce, until), until);
    }

    /// Nothing of it could be loaded, nor may be before `barred`, which counts what good loads between do not end.
    pub(crate) fn fail(&mut self, reason: &str, now: Instant, barred: Option<Instant>) {
        self.sleep();
        self.failures = self.failures.saturating_add(1);
        let until = barred.unwrap_or(now + backoff(self.failures));
        self.phase = Phase::Refused(Prospect::Failed(reason.into(), until), until);
    }

    /// Its content is another, so that what failed may succeed.
    pub(crate) fn forget_failure(&mut self) {
        self.failures = 0;
        if let Phase::Refused(Prospect::Failed(..), _) = self.phase {
            self.phase = Phase::Registered;
        }
    }

    /// Until when it is refused.
    pub(crate) fn refused_until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Refused(_, until) => Some(until),
            Phase::Registered | Phase::Queued | Phase::Wanted => None,
        }
    }

    /// It answers. The first time is the beginning of its stay, before which its load took some
    /// time.
    pub(crate) fn answers(&mut self, took: Duration, now: Instant) {
        let until = now + took.max(RESIDENCE);
        self.failures = 0;
        self.stay.get_or_insert(Stay { until, used: now, entered: 0 });
    }

    /// It has had so many requests, and some are still in it or not.
    pub(crate) fn look(&mut self, (entered, is_busy): (u64, bool), now: Instant) {
        if let Some(stay) = &mut self.stay {
            if is_busy || stay.entered != entered {
                stay.used = now;
            }
            stay.entered = entered;
        }
    }

    /// Until when it stays and when it was last used, if it may be unloaded at all.
    pub(crate) fn stay(&self) -> Option<(Instant, Instant)> {
        let stay = self.stay.as_ref().filter(|_| !self.is_kept && self.is_wanted());
        stay.map(|it| (it.until, it.used))
    }
}
