//! What the rest of the server may ask of the lifecycle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use crossbeam_channel::{Sender, bounded};
use server_base::{IdError, Kind, ModelName, Version};
use tokio::sync::{oneshot, watch};

use crate::declared::Declared;
use crate::direction::{Directed, Direction};
use crate::manager::Message;
use crate::state::State;

/// One line of the repository's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the model.
    pub model: ModelName,
    /// `None` if the folder holds no version.
    pub version: Option<Version>,
    /// Where it is in its life.
    pub state: State,
    /// Why it is not available; empty if it is, or is on its way.
    pub reason: String,
    /// Its load has failed, and is tried again by itself.
    pub is_tried_again: bool,
    /// It was replaced, and stays loaded for a roll-back: it answers those who name it.
    pub is_warm: bool,
    /// Which bytes were loaded, where that is found out: see [`crate::digest`].
    pub digest: Option<String>,
}

/// Why the lifecycle did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleError {
    /// That is no name.
    #[error(transparent)]
    Name(#[from] IdError),
    /// The repository has no such model.
    #[error("failed to load '{model}': the repository has no folder of that name")]
    Unknown {
        /// As asked.
        model: String,
    },
    /// Something of it could not be loaded.
    #[error("load failed for model '{model}': {}", reasons.join("; "))]
    Failed {
        /// Name of the model.
        model: String,
        /// Why, for each version or fault.
        reasons: Vec<String>,
    },
    /// Too many commands wait already.
    #[error("too many repository commands wait; try again later")]
    Busy,
    /// The server is going down.
    #[error("the server is shutting down")]
    Stopping,
}

impl LifecycleError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            LifecycleError::Name(_) | LifecycleError::Failed { .. } => Kind::Invalid,
            LifecycleError::Unknown { .. } => Kind::NotFound,
            LifecycleError::Busy => Kind::Overloaded,
            LifecycleError::Stopping => Kind::Unavailable,
        }
    }
}

/// May traffic be sent to this server?
#[derive(Debug, Default)]
pub struct Readiness {
    settled: AtomicBool,
    draining: AtomicBool,
    unserved: AtomicUsize,
    strict: bool,
}

impl Readiness {
    /// Strict: not ready while a model of the repository has no version that answers.
    pub(crate) fn new(strict: bool) -> Readiness {
        Readiness { strict, ..Readiness::default() }
    }

    /// True once the models found at the start have come up or failed, until the server stops.
    pub fn is_ready(&self) -> bool {
        let served = !self.strict || self.unserved.load(Ordering::Relaxed) == 0;
        self.settled.load(Ordering::Relaxed) && !self.draining.load(Ordering::Relaxed) && served
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Has [`Lifecycle::drain`] been called?
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn settle(&self) -> bool {
        !self.settled.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn set_unserved(&self, models: usize) {
        self.unserved.store(models, Ordering::Relaxed);
    }
}

/// What the manager tells everybody.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) index: Arc<ArcSwap<Vec<Entry>>>,
    pub(crate) declared: Arc<ArcSwap<Vec<Declared>>>,
    pub(crate) directed: Arc<ArcSwap<Directed>>,
}

/// The lifecycle, for those who do not run it. Clones speak to the same manager.
#[derive(Clone)]
pub struct Lifecycle {
    pub(crate) commands: Sender<Message>,
    pub(crate) told: Told,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) changed: Arc<watch::Sender<u64>>,
}

impl Lifecycle {
    /// Every model and version, by name and number.
    pub fn index(&self) -> Arc<Vec<Entry>> {
        self.told.index.load_full()
    }

    /// What the files of models ask to have rolled out, whether that has happened or not.
    pub fn declared(&self) -> Arc<Vec<Declared>> {
        self.told.declared.load_full()
    }

    /// What rollouts want.
    pub fn directed(&self) -> Arc<Directed> {
        self.told.directed.load_full()
    }

    /// Whether traffic may come.
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// Changes whenever the table or the readiness may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// From now on the server is not ready, whatever its models do. Whoever watches hears of it.
    pub fn drain(&self) {
        self.readiness.drain();
        self.changed.send_modify(|it| *it = it.wrapping_add(1));
    }

    /// Wants a model again, looks at its folder now, and returns when its wanted versions have
    /// come up or failed.
    pub async fn load(&self, model: &str) -> Result<(), LifecycleError> {
        let model = ModelName::new(model)?;
        self.command(|reply| Message::Load(model, reply)).await
    }

    /// Wants nothing of a model any more. Requests that are inside are answered; this does not
    /// wait for them. An unknown model has been unloaded already.
    pub async fn unload(&self, model: &str) -> Result<(), LifecycleError> {
        let model = ModelName::new(model)?;
        self.command(|reply| Message::Unload(model, reply)).await
    }

    /// From now on a rollout says which versions of a model are wanted and how they share its
    /// requests, over its `model.toml`; `None`: no longer. Returns when the table says so; versions
    /// that are wanted anew are still to be loaded then.
    pub async fn direct(
        &self,
        model: &str,
        direction: Option<Direction>,
    ) -> Result<(), LifecycleError> {
        let model = ModelName::new(model)?;
        self.command(|reply| Message::Direct(model, direction, reply)).await
    }

    /// Ends the lifecycle: retires everything and returns when it is drained, or at `by`. `false`:
    /// something was still running. Blocks; called last.
    pub fn stop(&self, by: Instant) -> bool {
        let (reply, stopped) = bounded(1);
        let left = by.saturating_duration_since(Instant::now());
        if self.commands.send_timeout(Message::Stop(by, reply), left).is_err() {
            return false;
        }
        stopped.recv_deadline(by).unwrap_or(false)
    }

    async fn command(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<(), LifecycleError>>) -> Message,
    ) -> Result<(), LifecycleError> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(message(reply)).map_err(|it| {
            if it.is_full() { LifecycleError::Busy } else { LifecycleError::Stopping }
        })?;
        answer.await.unwrap_or(Err(LifecycleError::Stopping))
    }
}
