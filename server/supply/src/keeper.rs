//! Keeps the models of one registry as it has them.
//!
//! Each address is pulled once at the start; from then on it is watched (`Rounds`), and pulled when it
//! names something else. Pulls go on beside the watching.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use server_registry::{Progress, Pulled, Puller, RegistryError, Rounds, Seen, Uri, Watch};
use tokio::time::timeout;

use crate::desk::{Desk, is_silent};
use crate::hurry::Hurry;

/// Pulls of one registry at a time: one that is large or slow does not hold up the others, and each takes
/// 16 MiB of memory at most.
const PULLS_MAX: usize = 2;

/// How long the start waits for a registry before it takes what the cache has, or goes on without: longer
/// than a registry takes to answer and small models to come; the pull goes on in any case.
const FIRST_MAX: Duration = Duration::from_secs(30);

/// An address, how often it is asked, and whether it is pulled for the first time.
struct Errand {
    uri: Uri,
    poll: Duration,
    is_first: bool,
}

type Brought = (Errand, Result<String, RegistryError>);

/// See the module.
pub(crate) struct Keeper<'a> {
    desk: &'a Desk<'a>,
    /// Addresses whose first pull is not over.
    awaited: &'a AtomicUsize,
    /// Has it not answered during the start? Then the rest of its models come from the cache at once.
    is_silent: &'a Cell<bool>,
    rounds: Rounds,
    hurry: Rc<Hurry>,
    waiting: VecDeque<Errand>,
    /// Those that wait, and those that are under way.
    pulled: BTreeSet<String>,
    /// Those of them of which something was seen or said meanwhile: looked at once more when they are here.
    again: BTreeSet<String>,
    pulls: FuturesUnordered<LocalBoxFuture<'a, Brought>>,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(
        desk: &'a Desk<'a>,
        (awaited, is_silent): (&'a AtomicUsize, &'a Cell<bool>),
        (addresses, hurry): (Vec<(Uri, Duration)>, Rc<Hurry>),
    ) -> Keeper<'a> {
        let pulled = addresses.iter().map(|(uri, _)| uri.as_str().to_owned()).collect();
        let errand = |(uri, poll)| Errand { uri, poll, is_first: true };
        let waiting = addresses.into_iter().map(errand).collect();
        let (rounds, pulls) = (Rounds::default(), FuturesUnordered::new());
        let again = BTreeSet::new();
        Keeper { desk, awaited, is_silent, rounds, hurry, waiting, pulled, again, pulls }
    }

    /// Goes on for ever.
    pub(crate) async fn keep(mut self) {
        loop {
            while self.pulls.len() < PULLS_MAX
                && let Some(errand) = self.waiting.pop_front()
            {
                self.pulls.push(Box::pin(bring(self.desk, (self.awaited, self.is_silent), errand)));
            }
            tokio::select! {
                Some((errand, placed)) = self.pulls.next() => self.brought(errand, placed),
                Some((uri, seen)) = self.rounds.next(draw()) => self.looked(uri, seen),
                changed = self.hurry.next() => changed.iter().for_each(|it| self.hurried(it)),
            }
        }
    }

    fn hurried(&mut self, uri: &Uri) {
        self.again_if_pulled(uri);
        self.rounds.hurry(uri);
    }

    /// A pull may bring what was there before that; at the first there is nobody in the rounds yet who could hurry.
    fn again_if_pulled(&mut self, uri: &Uri) {
        if self.pulled.contains(uri.as_str()) {
            self.again.insert(uri.as_str().to_owned());
        }
    }

    fn looked(&mut self, uri: Uri, seen: Result<Seen, RegistryError>) {
        if seen.is_ok() {
            self.again_if_pulled(&uri);
        }
        match seen {
            Ok(Seen::Same) => self.desk.is_well(&uri, false),
            Ok(Seen::Changed) => {
                if self.pulled.insert(uri.as_str().to_owned()) {
                    // Its watch is there already, with its own pause.
                    self.waiting.push_back(Errand { uri, poll: Duration::ZERO, is_first: false });
                }
            }
            Err(error) => self.desk.is_ill(&uri, &error),
        }
    }

    fn brought(&mut self, errand: Errand, placed: Result<String, RegistryError>) {
        let uri = &errand.uri;
        self.pulled.remove(uri.as_str());
        let is_again = self.again.remove(uri.as_str());
        // What is pinned changes no more once it is here.
        let is_over = placed.is_ok() && self.desk.stock.lock.get(uri).is_some();
        if errand.is_first && !is_over {
            let known = placed.as_ref().ok().cloned();
            let registries = &self.desk.stock.registries;
            match Watch::new(registries, uri.clone(), known, errand.poll) {
                Ok(watch) => self.rounds.add(watch, draw()),
                Err(error) => return self.desk.is_ill(uri, &error),
            }
        }
        match placed {
            Ok(identity) => {
                self.desk.is_well(uri, true);
                self.rounds.pulled(uri, &identity);
                if is_again {
                    self.rounds.hurry(uri);
                }
            }
            // It is tried again in its time, whatever was said: else it would be at once, for ever.
            Err(error) => {
                self.desk.is_ill(uri, &error);
                self.rounds.failed(uri, draw());
            }
        }
        if is_over {
            self.rounds.remove(uri);
        }
    }
}

/// Fetches and places; what its registry calls it is returned.
async fn bring<'a>(
    desk: &'a Desk<'a>,
    (awaited, is_silent): (&'a AtomicUsize, &'a Cell<bool>),
    errand: Errand,
) -> Brought {
    let placed = if errand.is_first {
        first(desk, &errand.uri, (Awaited(awaited), is_silent)).await
    } else {
        let pulled = desk.puller().pull(&errand.uri).await;
        pulled.and_then(|it| place(desk, &errand.uri, it))
    };
    (errand, placed)
}

fn place(desk: &Desk<'_>, uri: &Uri, pulled: Pulled) -> Result<String, RegistryError> {
    let identity = pulled.record.identity.clone();
    desk.place(uri, pulled)?;
    Ok(identity)
}

/// The start does not wait for the address any more when this is dropped.
struct Awaited<'a>(&'a AtomicUsize);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Has a registry given any bytes of a model, or said that there are none to fetch? Then it answers, and what breaks off
/// after that is this one model's trouble. One that only says what there is may have lost its store.
#[derive(Default)]
struct Answered(AtomicBool);

impl Progress for Answered {
    fn expects(&self, bytes: u64) {
        self.0.fetch_or(bytes == 0, Ordering::Relaxed);
    }

    fn moved(&self, _: u64) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// If the registry does not help, what the cache has is placed, and the registry's error returned.
async fn first(
    desk: &Desk<'_>,
    uri: &Uri,
    (awaited, silent): (Awaited<'_>, &Cell<bool>),
) -> Result<String, RegistryError> {
    if silent.get() {
        take_cached(desk, uri).await;
        let words = format!("{uri}: its registry did not answer for another model");
        return Err(RegistryError::Unavailable(words));
    }
    let answered = Answered::default();
    let puller = Puller { progress: &answered, ..desk.puller() };
    let mut pull = pin!(puller.pull(uri));
    let pulled = match timeout(FIRST_MAX, &mut pull).await {
        Ok(pulled) => pulled,
        Err(_) => {
            take_cached(desk, uri).await;
            drop(awaited);
            pull.await
        }
    };
    match pulled {
        Ok(pulled) => {
            let placed = place(desk, uri, pulled);
            desk.recall_named(uri).await;
            placed
        }
        Err(error) => {
            if is_silent(&error) && !answered.0.load(Ordering::Relaxed) {
                silent.set(true);
            }
            take_cached(desk, uri).await;
            Err(error)
        }
    }
}

async fn take_cached(desk: &Desk<'_>, uri: &Uri) {
    let Ok(cached) = desk.puller().offline(uri).await else { return desk.recall_named(uri).await };
    tracing::warn!(
        %uri, tree = %cached.lease.digest(), "the registry does not help; taking what the cache has"
    );
    if let Err(error) = desk.place(uri, cached) {
        desk.is_ill(uri, &error);
    }
    desk.recall_named(uri).await;
}

/// A number from 0 to 1 by chance.
fn draw() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
