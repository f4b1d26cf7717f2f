//! The bounded queue of one version. Request tasks push, instance threads pull.
//!
//! Invariants: never more than `queue_max` requests wait; a pulled batch obeys the policy; after
//! `close` nothing enters, and what is inside is still pulled; whoever waits is woken when there
//! is work. The last is checked by enumeration in `tests/lane_loom.rs`.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::policy::{Batching, Queued, Reason, Step};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How often a full lane looks for requests that are no longer wanted: a look walks the whole
/// queue, and under overload every push would otherwise take one.
const SWEEP_INTERVAL: Duration = Duration::from_millis(1);

/// One version's queue.
pub struct Lane<T> {
    batching: Batching,
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    queue: VecDeque<T>,
    closed: bool,
    /// Instance threads that wait: waking nobody costs a system call all the same.
    waiting: usize,
    swept: Option<Instant>,
}

/// A batch and why it was closed.
pub struct Pulled<T> {
    /// In order of arrival.
    pub batch: Vec<T>,
    /// Why now.
    pub reason: Reason,
}

/// Why a push was refused; the request comes back.
pub enum Refused<T> {
    /// The lane is full.
    Full(T),
    /// The version is being retired.
    Closed(T),
}

impl<T: Queued> Lane<T> {
    /// An empty lane.
    pub fn new(batching: Batching) -> Lane<T> {
        let state = State { queue: VecDeque::new(), closed: false, waiting: 0, swept: None };
        Lane { batching, state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Puts a request in. Success means taken: it will be pulled, or expired.
    pub fn push(&self, item: T, now: Instant) -> Result<(), Refused<T>> {
        let mut unwanted = Vec::new();
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed(item));
        }
        if state.queue.len() >= self.batching.queue_max {
            state.sweep_at_most_every(SWEEP_INTERVAL, now, &mut unwanted);
        }
        if state.queue.len() >= self.batching.queue_max {
            return Err(Refused::Full(item));
        }
        state.queue.push_back(item);
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        unwanted.into_iter().for_each(|it: T| it.expire(now));
        Ok(())
    }

    /// Blocks the calling instance thread until a batch is due. `None`: closed and empty.
    pub fn pull(&self) -> Option<Pulled<T>> {
        let mut unwanted = Vec::new();
        let mut state = self.lock();
        let pulled = loop {
            let now = Instant::now();
            state.sweep(now, &mut unwanted);
            match self.batching.step(&state.queue, now) {
                Step::Wait { .. } if state.closed => {
                    let batch = self.batching.take(&mut state.queue);
                    break Some(Pulled { batch, reason: Reason::Drain });
                }
                Step::Run { reason } => {
                    let batch = self.batching.take(&mut state.queue);
                    break Some(Pulled { batch, reason });
                }
                Step::Idle if state.closed => break None,
                Step::Idle | Step::Wait { .. } if !unwanted.is_empty() => {
                    // Callers that are answered late are answered before this thread sleeps.
                    drop(state);
                    unwanted.drain(..).for_each(|it: T| it.expire(now));
                    state = self.lock();
                }
                Step::Idle => state = self.wait(state, None),
                Step::Wait { until } => state = self.wait(state, Some(until - now)),
            }
        };
        // The rest must not wait for this batch to end.
        let wake = state.waiting > 0 && !state.queue.is_empty();
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        let now = Instant::now();
        unwanted.into_iter().for_each(|it| it.expire(now));
        pulled
    }

    /// Lets nothing more in and wakes every instance: they pull what is left, then `None`.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Requests that wait, and since when the oldest.
    pub fn waiting(&self) -> (usize, Option<Instant>) {
        let state = self.lock();
        (state.queue.len(), state.queue.front().map(Queued::arrived))
    }

    /// How requests are joined here.
    pub fn batching(&self) -> &Batching {
        &self.batching
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State<T>>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, State<T>> {
        state.waiting += 1;
        let mut state = match timeout {
            None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let woken = self.arrived.wait_timeout(state, timeout);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.waiting -= 1;
        state
    }

    /// A panic under the lock cannot leave the queue torn: no call in between can panic half way.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Queued> State<T> {
    /// Moves what nobody wants any more out of the queue. It is ended outside the lock.
    fn sweep(&mut self, now: Instant, unwanted: &mut Vec<T>) {
        let is_unwanted = |it: &T| it.deadline() <= now || it.is_gone();
        if !self.queue.iter().any(is_unwanted) {
            return;
        }
        for item in std::mem::take(&mut self.queue) {
            if is_unwanted(&item) { unwanted.push(item) } else { self.queue.push_back(item) }
        }
    }

    fn sweep_at_most_every(&mut self, interval: Duration, now: Instant, unwanted: &mut Vec<T>) {
        if self.swept.is_none_or(|it| now.saturating_duration_since(it) >= interval) {
            self.swept = Some(now);
            self.sweep(now, unwanted);
        }
    }
}

#[cfg(all(test, not(feature = "loom")))]
#[path = "lane_tests.rs"]
mod tests;
