//! How long callers wait, learned from those that did not.
//!
//! Whoever sends a deadline is refused at the door if it cannot be met. Others give up without a
//! word: under overload every run then is for somebody who leaves while it goes on. When that
//! happens the time in the queue is limited to less than they wait. Callers that are patient never
//! cause a limit, however many there are.
//!
//! Pure: the time goes in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The limit is this share of the time after which callers were seen to have left.
const SHARE: (u32, u32) = (3, 4);

/// So many requests at least are looked at before anything is concluded.
const WINDOW: u32 = 16;

/// One in so many answers that nobody takes is too many: a healthy service loses a few to clients
/// that go away.
const WASTE: u32 = 4;

/// How long a limit stands before more is tried. A try that fails costs about as long as callers
/// wait, seconds, in which little is answered: one part in a hundred.
const TRY_AFTER: Duration = Duration::from_secs(300);

/// A limit that has refused nobody for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(900);

/// What callers of one version put up with.
pub(crate) struct Patience {
    /// Nanoseconds; the maximum is none.
    limit: AtomicU64,
    /// Is a window open?
    watching: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    served: u32,
    wasted: u32,
    /// The least time in the queue of a request whose caller then left.
    shortest: Option<Duration>,
    limited: Option<Instant>,
    refused: Option<Instant>,
}

/// One answered request, as the instance saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) arrived: Instant,
    /// In the queue.
    pub(crate) waited: Duration,
    /// When the run was over.
    pub(crate) ended: Instant,
    /// Was anybody there to take the answer?
    pub(crate) taken: bool,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            limit: AtomicU64::new(u64::MAX),
            watching: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }
}

impl Patience {
    /// How long a request may have to wait, if that is limited.
    pub(crate) fn limit(&self) -> Option<Duration> {
        match self.limit.load(Ordering::Relaxed) {
            u64::MAX => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// After how long in the queue a request is not worth a run, if that is known.
    pub(crate) fn longest(&self) -> Option<Duration> {
        self.limit().map(|it| it / SHARE.0 * SHARE.1)
    }

    /// A request was run and answered.
    pub(crate) fn learn(&self, outcome: Outcome) {
        // The common case costs a look: nobody left, and nobody did lately.
        if outcome.taken && !self.watching.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        state.count(outcome);
        self.watching.store(true, Ordering::Relaxed);
        if state.served < WINDOW {
            return;
        }
        let (wasted, shortest) = (state.wasted, state.shortest.take());
        if let Some(shortest) = shortest
            && wasted * WASTE >= state.served
        {
            self.set(Some(shortest / SHARE.1 * SHARE.0));
            state.limited = Some(outcome.ended);
        }
        (state.served, state.wasted) = (0, 0);
        self.watching.store(wasted > 0, Ordering::Relaxed);
    }

    /// A request was refused because of the limit.
    pub(crate) fn refused(&self, now: Instant) {
        let mut state = self.lock();
        let since = |then: Option<Instant>| then.map(|it| now.saturating_duration_since(it));
        if since(state.refused).is_some_and(|it| it >= FORGET_AFTER) {
            self.set(None);
        } else if since(state.limited).is_some_and(|it| it >= TRY_AFTER) {
            state.limited = Some(now);
            self.set(self.limit().map(|it| it + it / 2));
        }
        state.refused = Some(now);
    }

    fn set(&self, limit: Option<Duration>) {
        let nanos = limit.map_or(u64::MAX, |it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
        self.limit.store(nanos, Ordering::Relaxed);
    }

    /// Nothing under the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, outcome: Outcome) {
        // Who came in under the old limit says nothing about the new one.
        if self.limited.is_some_and(|it| outcome.arrived < it) {
            return;
        }
        self.served += 1;
        if !outcome.taken {
            self.wasted += 1;
            let shortest = self.shortest.unwrap_or(Duration::MAX);
            self.shortest = Some(shortest.min(outcome.waited));
        }
    }
}

#[cfg(test)]
#[path = "patience_tests.rs"]
mod tests;
