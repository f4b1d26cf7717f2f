//! Who may run on the processor next: one scheduler for all instances of all versions.
//!
//! An instance on a thread asks for as many cores as its engine uses before it takes its batch, so
//! that models never run on more cores than there are, and what arrives meanwhile joins the batch.
//! Among those that wait, a model that has had less than its share goes first; among models of
//! about equal standing the earliest deadline that can still be met. Runs are not interrupted, so
//! short ones have places of their own: the kernel lets them in between long ones.
//!
//! Invariants: never more cores are given than there are; whoever waits is given its cores once
//! they are free and its turn has come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Models whose use of the processor differs by no more than this are of equal standing: about a
/// run of a large model, so that a deadline can matter and no model falls far behind.
const LAG: Duration = Duration::from_millis(50);

/// Runs this short do not wait for long ones: the kernel's own time slices are as long.
const SHORT: Duration = Duration::from_millis(2);

/// The cores of this machine as far as they are this process's. Clones are the same cores.
#[derive(Clone, Debug)]
pub struct Cores(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// 0 is no bound: everybody runs at once.
    count: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// For long runs, and for short ones.
    used: [usize; 2],
    waiting: Vec<Waiting>,
    asked: u64,
    /// What the model that was last given cores had had before: who was idle starts from here.
    floor: Duration,
}

/// One instance that waits.
#[derive(Debug)]
struct Waiting {
    claim: Claim,
    number: u64,
    share: Arc<Share>,
    turn: Arc<Turn>,
}

/// What an instance asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// When the oldest request's answer is due.
    pub(crate) deadline: Instant,
    /// How long the run will take, as far as that is known.
    pub(crate) run: Option<Duration>,
}

/// One version's part of the processor.
#[derive(Debug)]
pub(crate) struct Share {
    weight: u32,
    /// Cores that a run uses.
    width: usize,
    /// Nanoseconds of a core so far, by weight. Written under the lock.
    had: AtomicU64,
}

#[derive(Debug, Default)]
struct Turn {
    given: std::sync::atomic::AtomicBool,
    changed: Condvar,
}

/// An instance's place in front of the scheduler.
pub(crate) struct Claimant {
    cores: Cores,
    share: Arc<Share>,
    turn: Arc<Turn>,
}

/// Cores in use. Dropping it gives them back.
pub(crate) struct Slot<'a> {
    claimant: &'a Claimant,
    class: usize,
    since: Instant,
}

impl Cores {
    /// So many.
    pub fn new(count: usize) -> Cores {
        Cores(Arc::new(Shared { count: count.max(1), state: Mutex::default() }))
    }

    /// Without a scheduler: every instance runs when it has something to run.
    pub fn unscheduled() -> Cores {
        Cores(Arc::new(Shared { count: 0, state: Mutex::default() }))
    }

    /// How many there are; `None` without a scheduler.
    pub fn count(&self) -> Option<usize> {
        Some(self.0.count).filter(|&it| it > 0)
    }

    /// Nothing under the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// A run uses so many cores; the weight says how much of them the model gets beside others.
    pub(crate) fn new(cores: &Cores, weight: u32, width: usize) -> Arc<Share> {
        let width = width.clamp(1, cores.0.count.max(1));
        Arc::new(Share { weight: weight.max(1), width, had: AtomicU64::new(0) })
    }

    fn had(&self) -> Duration {
        Duration::from_nanos(self.had.load(Ordering::Relaxed))
    }

    fn set(&self, had: Duration) {
        self.had.store(u64::try_from(had.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Claimant {
    pub(crate) fn new(cores: &Cores, share: &Arc<Share>) -> Claimant {
        Claimant { cores: cores.clone(), share: Arc::clone(share), turn: Arc::default() }
    }

    /// Blocks until the cores are this instance's.
    pub(crate) fn enter(&self, claim: Claim) -> Slot<'_> {
        let class = class(&claim);
        if self.cores.0.count > 0 {
            let mut state = self.cores.lock();
            state.asked += 1;
            // Idleness is not saved up.
            self.share.set(self.share.had().max(state.floor));
            let (number, share) = (state.asked, Arc::clone(&self.share));
            self.turn.given.store(false, Ordering::Relaxed);
            state.waiting.push(Waiting { claim, number, share, turn: Arc::clone(&self.turn) });
            state.give(self.cores.0.count, Instant::now());
            while !self.turn.given.load(Ordering::Relaxed) {
                state = self.turn.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        Slot { claimant: self, class, since: Instant::now() }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let Claimant { cores, share, .. } = self.claimant;
        if cores.0.count == 0 {
            return;
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(self.since);
        let width = u32::try_from(share.width).unwrap_or(u32::MAX);
        let mut state = cores.lock();
        share.set(share.had() + took.saturating_mul(width) / share.weight);
        if let Some(used) = state.used.get_mut(self.class) {
            *used -= share.width;
        }
        state.give(cores.0.count, now);
    }
}

impl State {
    /// Gives free cores to those whose turn it is.
    fn give(&mut self, count: usize, now: Instant) {
        for class in 0..self.used.len() {
            while let Some(place) = self.next(class, now) {
                let fits = self.waiting.get(place).zip(self.used.get_mut(class));
                let Some((next, used)) = fits else { break };
                // Whoever needs many cores is not overtaken by those that need few.
                if *used + next.share.width > count {
                    break;
                }
                *used += next.share.width;
                self.floor = self.floor.max(next.share.had());
                let next = self.waiting.remove(place);
                next.turn.given.store(true, Ordering::Relaxed);
                next.turn.changed.notify_one();
            }
        }
    }

    /// Whose turn it is, of those with long or with short runs.
    fn next(&self, of: usize, now: Instant) -> Option<usize> {
        let waiting = || self.waiting.iter().enumerate().filter(|(_, it)| class(&it.claim) == of);
        let least = waiting().map(|(_, it)| it.share.had()).min()?;
        let equals = || waiting().filter(|(_, it)| it.share.had() <= least + LAG);
        let feasible = |it: &Waiting| now + it.claim.run.unwrap_or_default() <= it.claim.deadline;
        let earliest = equals().filter(|(_, it)| feasible(it));
        let earliest = earliest.min_by_key(|(_, it)| (it.claim.deadline, it.number));
        let first = || equals().min_by_key(|(_, it)| it.number);
        earliest.or_else(first).map(|(place, _)| place)
    }
}

fn class(claim: &Claim) -> usize {
    usize::from(claim.run.is_some_and(|it| it <= SHORT))
}

#[cfg(test)]
#[path = "cores_tests.rs"]
mod tests;
