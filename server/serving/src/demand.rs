//! Models that are loaded when somebody asks for them: how a request says so, and how it waits.
//!
//! The lifecycle keeps one [`Demand`] for each such model and puts it into the table. A request
//! that finds no version there rings the bell and waits for news; the lifecycle loads, publishes
//! and then tells. Nothing here blocks a thread, and a request for what is loaded never comes here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use server_base::{ModelName, Version};
use tokio::sync::Notify;

use crate::error::InferError;
use crate::metrics::{self, WaitEnd};

/// Where requests say which models they need.
pub struct Bell {
    /// At most one entry for each model that is there.
    asked: Mutex<Vec<Arc<Demand>>>,
    ring: Box<dyn Fn() + Send + Sync>,
}

impl Bell {
    /// `ring` is called on the data plane, so it must not block: it tells the lifecycle to look.
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Arc<Bell> {
        Arc::new(Bell { asked: Mutex::default(), ring: Box::new(ring) })
    }

    /// Models that were asked for since the last time, in that order.
    pub fn take(&self) -> Vec<ModelName> {
        let asked = std::mem::take(&mut *self.lock());
        let taken = |it: &Arc<Demand>| {
            it.asked.store(false, Ordering::Release);
            it.model.clone()
        };
        asked.iter().map(taken).collect()
    }

    /// Nothing under the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Demand>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests that wait for one model to be loaded.
pub struct Demand {
    model: ModelName,
    bell: Arc<Bell>,
    /// Is it in the bell's list?
    asked: AtomicBool,
    waiting: AtomicUsize,
    news: Notify,
}

impl Demand {
    /// With nobody waiting.
    pub fn new(model: ModelName, bell: Arc<Bell>) -> Arc<Demand> {
        let (asked, waiting) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Demand { model, bell, asked, waiting, news: Notify::new() })
    }

    /// Of which model.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// The table says something new of the model: whoever waits looks again.
    pub fn tell(&self) {
        self.news.notify_waiters();
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn news(&self) -> &Notify {
        &self.news
    }

    /// However many ask, it is noted once until the lifecycle has looked.
    pub(crate) fn ask(self: &Arc<Demand>) {
        if !self.asked.swap(true, Ordering::AcqRel) {
            self.bell.lock().push(Arc::clone(self));
            (self.bell.ring)();
        }
    }

    /// Takes a place among those that wait.
    pub(crate) fn enter(self: &Arc<Demand>, waiting_max: usize) -> Result<Waiting, InferError> {
        let add = |now: usize| (now < waiting_max).then_some(now + 1);
        if self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            let model = self.model.to_string();
            return Err(InferError::WaitFull { model, waiting_max });
        }
        Ok(Waiting { demand: Arc::clone(self), began: Instant::now(), end: WaitEnd::Cancelled })
    }
}

/// One request that waits; counted until it is dropped.
pub(crate) struct Waiting {
    demand: Arc<Demand>,
    began: Instant,
    end: WaitEnd,
}

impl Waiting {
    pub(crate) fn ended(&mut self, end: WaitEnd) {
        self.end = end;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.demand.waiting.fetch_sub(1, Ordering::Relaxed);
        metrics::waited(self.end, self.began.elapsed());
    }
}

/// A model that is loaded on demand, as the table shows it.
pub struct OnDemand {
    /// Where to ask and to wait.
    pub demand: Arc<Demand>,
    /// What asking comes to.
    pub prospect: Prospect,
    /// Versions that are not loaded and would be.
    pub versions: Vec<Version>,
    /// How long a request may take that does not say.
    pub timeout: Duration,
    /// Requests that may wait: as many as may wait in its lane, into which they go next.
    pub waiting_max: usize,
}

/// What becomes of a request for a version that is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It is loaded if somebody asks.
    Registered,
    /// It is on its way.
    Coming,
    /// It could not be loaded, and is not tried again before this moment.
    Failed(Arc<str>, Instant),
    /// There is too little of something, and no model may go for it before this moment.
    NoRoom(Scarce, Instant),
}

/// Of what there is too little for one more model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Scarce {
    /// So many may be loaded.
    #[error("{0} models are loaded, the limit that --loaded-models-max sets")]
    Models(usize),
    /// So many bytes may be taken.
    #[error(
        "it takes about {} MiB, and so much cannot be freed of the {} MiB that --model-memory-max sets",
        needed.div_ceil(1 << 20), max >> 20
    )]
    Memory {
        /// What it takes.
        needed: u64,
        /// The limit.
        max: u64,
    },
}

impl Prospect {
    /// Why not to wait.
    pub(crate) fn refusal(&self, model: &str) -> Option<InferError> {
        let model = || model.to_owned();
        let left = |until: &Instant| until.saturating_duration_since(Instant::now());
        match self {
            Prospect::Registered | Prospect::Coming => None,
            Prospect::Failed(reason, until) => {
                let reason = reason.to_string();
                Some(InferError::LoadFailed { model: model(), reason, retry: left(until) })
            }
            Prospect::NoRoom(scarce, until) => {
                let scarce = *scarce;
                Some(InferError::NoRoom { model: model(), scarce, retry: left(until) })
            }
        }
    }
}
