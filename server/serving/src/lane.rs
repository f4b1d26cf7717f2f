//! The bounded queue of one version. Request tasks push, instances pull: on threads of their own,
//! which block, or as tasks of the data runtime, which are polled.
//!
//! Invariants: never more than `queue_max` requests wait; a pulled batch obeys the policy; after
//! `close` nothing enters, and what is inside is still pulled; whoever waits is woken when there
//! is work. The last is checked by enumeration in `tests/lane_loom.rs`.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::PoisonError;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::pace::Pace;
use crate::policy::{Batching, Bounded, Most, Queued, Reason, Step, Taken, is_unwanted};
use crate::sync::{Condvar, Mutex, MutexGuard, sleep_until, yield_now};

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
    /// Units of all that wait.
    units: usize,
    closed: bool,
    /// How many requests ever came in: a task sees by it that something has arrived.
    pushed: u64,
    /// Instance threads that wait: waking nobody costs a system call all the same.
    waiting: usize,
    /// Instance tasks that wait, by their number.
    tasks: Vec<(usize, Waker)>,
    /// A task has been woken and has not looked yet: it will take what is there, so that further
    /// requests need wake nobody.
    woken: bool,
    swept: Option<Instant>,
    pace: Pace,
}

/// On what terms a request may wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// What a unit in the queue costs those behind it at the least; zero if that is unknown.
    pub unit: Duration,
    /// How long a run takes at most: one may be under way.
    pub run: Duration,
    /// How long it may wait whatever its deadline says.
    pub wait_max: Option<Duration>,
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
    /// What waits already will take so long, longer than the request's deadline allows.
    Late(T, Duration),
    /// What waits already will take so long, longer than the terms allow.
    Long(T, Duration),
    /// The version is being retired.
    Closed(T),
}

/// What an instance that is free finds.
enum Found<T> {
    Batch(Pulled<T>),
    /// Nothing to do until something arrives, or until then.
    Nothing {
        until: Option<Instant>,
        pushed: u64,
    },
    /// Closed and empty.
    End,
}

/// Whom to wake, outside the lock.
enum Wake {
    Nobody,
    Thread,
    Task(Waker),
}

impl<T: Queued> Lane<T> {
    /// An empty lane.
    pub fn new(batching: Batching) -> Lane<T> {
        let state = State {
            queue: VecDeque::new(),
            units: 0,
            closed: false,
            pushed: 0,
            waiting: 0,
            tasks: Vec::new(),
            woken: false,
            swept: None,
            pace: Pace::default(),
        };
        Lane { batching, state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Puts a request in. Success means taken: it will be pulled, or expired.
    pub fn push(&self, item: T, now: Instant, terms: &Terms) -> Result<(), Refused<T>> {
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
        let units = state.units.saturating_add(item.units());
        let wait = state.wait(units, terms);
        // An empty lane takes everything: how else would it be found out that runs have become
        // shorter?
        if state.units > 0 {
            if terms.wait_max.is_some_and(|it| wait > it.max(2 * terms.run)) {
                return Err(Refused::Long(item, wait));
            }
            // An eighth on top, because an answer that is late by a hair is as lost as any.
            // The run under way is hardly larger than what has come in meanwhile.
            let run = terms.run.min(wait);
            if wait + run + wait / 8 > item.deadline().saturating_duration_since(now) {
                return Err(Refused::Late(item, wait));
            }
        }
        state.units = units;
        state.queue.push_back(item);
        state.pushed += 1;
        let wake = state.wake();
        drop(state);
        self.wake(wake);
        unwanted.into_iter().for_each(|it: T| it.expire(now));
        Ok(())
    }

    /// Blocks the calling instance thread until a batch is due, which is not taken yet. Answers
    /// with the deadline of the oldest request. `None`: closed and empty.
    pub fn due(&self, most: Most) -> Option<Instant> {
        let batching = self.batching.at_most(most);
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let until = match batching.step(&state.queue, now) {
                Step::Wait { until } if !state.closed => Some(until),
                Step::Idle if state.closed => return None,
                Step::Idle => None,
                Step::Run { .. } | Step::Wait { .. } => {
                    return state.queue.front().map(Queued::deadline);
                }
            };
            state = self.wait(state, until.map(|it| it - now));
        }
    }

    /// Takes the batch that is due, if none of the other instances has: at most so
    /// much.
    pub fn take(&self, most: Most, now: Instant) -> Option<Pulled<T>> {
        let mut unwanted = Vec::new();
        let mut state = self.lock();
        let found = state.find(&self.batching.at_most(most), now, &mut unwanted);
        // The rest must not wait for this batch to end.
        let wake = state.wake_for_rest();
        drop(state);
        self.wake(wake);
        unwanted.into_iter().for_each(|it: T| it.expire(now));
        match found {
            Found::Batch(pulled) => Some(pulled),
            Found::Nothing { .. } | Found::End => None,
        }
    }

    /// Waits, as the instance task of that number, until a batch is due.
    ///
    /// A task that was woken lets the runtime's other tasks go first: whatever the connections
    /// have at hand is then in the batch.
    pub async fn pull_task(&self, number: usize, most: Most) -> Option<Pulled<T>> {
        loop {
            let (found, unwanted, now, wake) = {
                let (mut unwanted, now) = (Vec::new(), Instant::now());
                let mut state = self.lock();
                state.tasks.retain(|(it, _)| *it != number);
                state.woken = false;
                let found = state.find(&self.batching.at_most(most), now, &mut unwanted);
                let wake = state.wake_for_rest();
                (found, unwanted, now, wake)
            };
            self.wake(wake);
            unwanted.into_iter().for_each(|it: T| it.expire(now));
            match found {
                Found::Batch(pulled) => return Some(pulled),
                Found::End => return None,
                Found::Nothing { until, pushed } => {
                    let arrival = self.arrival(number, pushed);
                    match until {
                        Some(until) => sleep_until(until, arrival).await,
                        None => arrival.await,
                    }
                    yield_now().await;
                }
            }
        }
    }

    /// Ends when more than `pushed` requests have come in, or the lane is closed.
    async fn arrival(&self, number: usize, pushed: u64) {
        poll_fn(|cx| {
            let mut state = self.lock();
            state.tasks.retain(|(it, _)| *it != number);
            if state.closed || state.pushed != pushed {
                return Poll::Ready(());
            }
            state.tasks.push((number, cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Lets nothing more in and wakes every instance: they pull what is left, then end.
    pub fn close(&self) {
        let tasks = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.tasks)
        };
        self.arrived.notify_all();
        tasks.into_iter().for_each(|(_, it)| it.wake());
    }

    /// Requests that wait, and since when the oldest.
    pub fn waiting(&self) -> (usize, Option<Instant>) {
        let state = self.lock();
        (state.queue.len(), state.queue.front().map(Queued::arrived))
    }

    fn wake(&self, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Thread => self.arrived.notify_one(),
            Wake::Task(waker) => waker.wake(),
        }
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
    /// What there is to do. Requests that nobody wants any more are not run, but handed out.
    fn find(&mut self, batching: &Bounded<'_>, now: Instant, unwanted: &mut Vec<T>) -> Found<T> {
        loop {
            let reason = match batching.step(&self.queue, now) {
                Step::Run { reason } => reason,
                Step::Wait { .. } if self.closed => Reason::Drain,
                Step::Wait { until } => {
                    return Found::Nothing { until: Some(until), pushed: self.pushed };
                }
                Step::Idle if self.closed => return Found::End,
                Step::Idle => return Found::Nothing { until: None, pushed: self.pushed },
            };
            let before = unwanted.len();
            let Taken { batch, stopped } =
                batching.take(&mut self.queue, self.units, now, unwanted);
            let gone = unwanted.iter().skip(before).chain(&batch);
            self.units = gone.map(Queued::units).fold(self.units, usize::saturating_sub);
            if !batch.is_empty() {
                let units = batch.iter().map(Queued::units).fold(0, usize::saturating_add);
                self.pace.pulled(now, units, self.units);
                let reason = reason.and(stopped);
                return Found::Batch(Pulled { batch, reason });
            }
        }
    }

    /// How long so many units at the end of the queue keep whoever comes behind them.
    fn wait(&self, units: usize, terms: &Terms) -> Duration {
        let unit = u64::try_from(self.pace.unit(terms.unit).as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(unit.saturating_mul(units as u64))
    }

    /// Whom a new request wakes.
    fn wake(&mut self) -> Wake {
        if self.waiting > 0 {
            return Wake::Thread;
        }
        if self.woken {
            return Wake::Nobody;
        }
        let task = self.tasks.pop();
        self.woken = task.is_some();
        task.map_or(Wake::Nobody, |(_, it)| Wake::Task(it))
    }

    /// Whom an instance that has taken its batch wakes for what is left.
    fn wake_for_rest(&mut self) -> Wake {
        if self.queue.is_empty() { Wake::Nobody } else { self.wake() }
    }

    /// Moves what nobody wants any more out of the queue. It is ended outside the lock.
    fn sweep(&mut self, now: Instant, unwanted: &mut Vec<T>) {
        for item in std::mem::take(&mut self.queue) {
            if is_unwanted(&item, now) {
                self.units = self.units.saturating_sub(item.units());
                unwanted.push(item);
            } else {
                self.queue.push_back(item);
            }
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
