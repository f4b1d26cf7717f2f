//! One loaded version, ready to be asked, and the threads that answer for it.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::Guard;
use backend_api::{Instance, Model, Signature};
use bytes::Bytes;
use server_base::{ModelName, Version, VersionLog, limits};
use tokio::runtime::Handle;

use crate::cores::{Claimant, Cores, Share};
use crate::cost::Cost;
use crate::error::InferError;
use crate::instance::{Runner, thread_name};
use crate::lane::Lane;
use crate::ledger::Ledger;
use crate::metrics::{LaneView, VersionMetrics};
use crate::pending::Pending;
use crate::plan::Plan;
use crate::seat::{End, Seat};
use crate::shadow::Shadow;
use crate::shadows::Shadows;
use crate::tally::Counts;

/// Why a version could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gave no thread.
    #[error("cannot start an instance thread")]
    Thread(#[from] io::Error),
    /// An instance could not be made or failed to warm up.
    #[error("instance {instance} failed to start: {source}")]
    Instance {
        /// Which one.
        instance: usize,
        /// Why.
        source: InferError,
    },
    /// Making or warming up an instance did not end.
    #[error("an instance was not ready within {waited:?}")]
    Slow {
        /// How long was waited.
        waited: Duration,
    },
    /// The thread ended without a word.
    #[error("an instance thread ended before it was ready")]
    Vanished,
}

/// Warms an instance up. Called on each instance's thread before it serves.
pub type WarmUp = Arc<dyn Fn(&mut dyn Instance) -> Result<(), InferError> + Send + Sync>;

/// A version that can be asked. Requests share it; it ends when the last of them lets go.
pub struct Servable {
    model: ModelName,
    version: Version,
    /// The same as text, which every answer bears.
    number: Bytes,
    signature: Signature,
    plan: Plan,
    lane: Lane<Pending>,
    ledger: Arc<Ledger>,
    cores: Cores,
    share: Arc<Share>,
    /// Requests that have come in. Next to those that have left, so that both are one cache line.
    entered: AtomicU64,
    left: AtomicU64,
    /// Copies of its requests go there.
    shadows: Shadows,
    /// Where its requests are logged, if they are.
    log: OnceLock<Arc<dyn VersionLog>>,
    /// Tells others, by being held, that it is loaded.
    presence: OnceLock<Box<dyn Any + Send + Sync>>,
    /// The runtime that requests come on; instances with short runs move there.
    runtime: OnceLock<Handle>,
}

/// The instances of a servable. Held by the control plane alone.
pub struct Workers {
    servable: Arc<Servable>,
    instances: usize,
    ended: Receiver<()>,
}

impl Servable {
    /// Starts the instances of `model`, as `signature` says it is to be served, and returns when
    /// all of them are warm.
    pub fn start(
        (model_name, version): (ModelName, Version),
        (model, signature): (Arc<dyn Model>, Signature),
        plan: Plan,
        cores: &Cores,
        warm_up: &WarmUp,
    ) -> Result<Workers, StartError> {
        let metrics = VersionMetrics::new(&model_name, version);
        let servable = Arc::new(Servable {
            ledger: Arc::new(Ledger::new(model_name.clone(), metrics)),
            share: Share::new(cores, plan.weight, plan.width),
            cores: cores.clone(),
            lane: Lane::new(plan.batching.clone()),
            runtime: OnceLock::new(),
            entered: AtomicU64::new(0),
            left: AtomicU64::new(0),
            shadows: Shadows::default(),
            log: OnceLock::new(),
            presence: OnceLock::new(),
            model: model_name,
            number: version.to_string().into(),
            version,
            signature,
            plan,
        });
        let instances = servable.plan.instances.max(1);
        let (ready, readiness) = sync_channel(instances);
        let (end, ended) = sync_channel(instances);
        let workers = Workers { servable, instances, ended };
        for number in 0..instances {
            let start = Start {
                servable: Arc::clone(&workers.servable),
                model: Arc::clone(&model),
                number,
                warm_up: Arc::clone(warm_up),
            };
            // On an error the workers are dropped, which closes the lane: the others end too.
            start.spawn(ready.clone(), End(end.clone()))?;
        }
        drop((ready, end, model));
        let by = Instant::now() + limits::START_MAX;
        for _ in 0..instances {
            let left = by.saturating_duration_since(Instant::now());
            let (instance, outcome) = readiness.recv_timeout(left).map_err(|it| match it {
                RecvTimeoutError::Timeout => StartError::Slow { waited: limits::START_MAX },
                RecvTimeoutError::Disconnected => StartError::Vanished,
            })?;
            outcome.map_err(|source| StartError::Instance { instance, source })?;
        }
        Ok(workers)
    }

    /// Name of the model.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// Which version of it.
    pub fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn number(&self) -> &Bytes {
        &self.number
    }

    /// What it takes and gives, as served: unbatched if requests are not joined.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// How it is served.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Requests between the door and their answer.
    pub fn in_flight(&self) -> usize {
        // Those that left first: whoever has left had entered before.
        let left = self.left.load(Ordering::Acquire);
        let inside = self.entered.load(Ordering::Relaxed).saturating_sub(left);
        usize::try_from(inside).unwrap_or(usize::MAX)
    }

    /// Requests that have come in since it was loaded: tells whether it is used.
    pub fn entered(&self) -> u64 {
        self.entered.load(Ordering::Relaxed)
    }

    /// What came of its requests, for a comparison with another version.
    pub fn counts(&self) -> Counts {
        self.metrics().requests.tally().counts()
    }

    /// From now on: answers that take longer than that are slow, and outputs are looked at for what is
    /// no number.
    pub fn watch(&self, slow_over: Option<Duration>, outputs: bool) {
        self.metrics().requests.tally().watch(slow_over, outputs);
    }

    /// From now on it is measured how long answers take.
    pub fn measure(&self) {
        self.metrics().requests.tally().measure();
    }

    /// No more than one in a hundred of its answers took longer, since that is measured; `None` while
    /// there are too few to say.
    pub fn p99(&self) -> Option<Duration> {
        self.metrics().requests.tally().p99()
    }

    /// From now on a rollout's copies of requests go there, or nowhere. False, and nothing is changed: that
    /// version takes other inputs or gives other outputs.
    pub fn set_shadow(&self, shadow: Option<Arc<Shadow>>) -> bool {
        let fits = self.fits(shadow.as_ref());
        if fits {
            self.shadows.by_rollout(shadow);
        }
        fits
    }

    /// The same of copies that the model's file asks for, which are made while no rollout makes any. One that
    /// does not fit is none.
    pub fn set_standing_shadow(&self, shadow: Option<Arc<Shadow>>) -> bool {
        let fits = self.fits(shadow.as_ref());
        self.shadows.standing(shadow.filter(|_| fits));
        fits
    }

    fn fits(&self, shadow: Option<&Arc<Shadow>>) -> bool {
        shadow.is_none_or(|it| it.servable().signature().stands_in_for(&self.signature))
    }

    /// Its requests are logged there. Said once, before it is published.
    pub fn set_log(&self, log: Arc<dyn VersionLog>) {
        let _ = self.log.set(log);
    }

    /// Somebody wants to know as long as it is loaded. Said once.
    pub fn set_presence(&self, presence: Box<dyn Any + Send + Sync>) {
        let _ = self.presence.set(presence);
    }

    pub(crate) fn log(&self) -> Option<&Arc<dyn VersionLog>> {
        self.log.get()
    }

    pub(crate) fn shadow(&self) -> Guard<Option<Arc<Shadow>>> {
        self.shadows.now()
    }

    /// Requests that wait for an instance.
    pub fn queued(&self) -> usize {
        self.lane.waiting().0
    }

    /// Sets the gauges that are read off at scrape time.
    pub fn observe(&self, now: Instant) {
        let (depth, oldest) = self.lane.waiting();
        self.metrics().observe(LaneView {
            depth,
            capacity: self.plan.batching.queue_max,
            oldest: oldest.map_or(Duration::ZERO, |it| now.saturating_duration_since(it)),
            in_flight: self.in_flight(),
        });
    }

    pub(crate) fn lane(&self) -> &Lane<Pending> {
        &self.lane
    }

    /// Runs that can go on side by side.
    pub(crate) fn parallel(&self) -> u32 {
        u32::try_from(self.plan.instances.max(1)).unwrap_or(u32::MAX)
    }

    /// What its runs cost.
    pub(crate) fn cost(&self) -> &Cost {
        &self.ledger.cost
    }

    /// The runtime that requests come on, once one has.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    pub(crate) fn metrics(&self) -> &VersionMetrics {
        &self.ledger.metrics
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Counts a request in until the guard is dropped. Called on the data runtime.
    pub(crate) fn enter(self: Arc<Servable>) -> InFlight {
        self.runtime.get_or_init(Handle::current);
        self.entered.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }
}

impl fmt::Debug for Servable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.model, self.version)
    }
}

/// A request in flight.
pub(crate) struct InFlight(Arc<Servable>);

impl InFlight {
    /// The version that it was put to.
    pub(crate) fn servable(&self) -> &Servable {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::Release);
    }
}

impl Workers {
    /// What they serve.
    pub fn servable(&self) -> &Arc<Servable> {
        &self.servable
    }

    /// Lets nothing more in. What is inside is still answered.
    pub fn close(&self) {
        self.servable.lane.close();
    }

    /// Lets nothing more in, waits until all that is inside is answered and the instances are
    /// gone. `false`: a run was not over by then; its thread is left behind and ends with it.
    pub fn stop(self, by: Instant) -> bool {
        self.close();
        for _ in 0..self.instances {
            let left = by.saturating_duration_since(Instant::now());
            match self.ended.recv_timeout(left) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
        true
    }
}

impl Drop for Workers {
    /// A forgotten version ends by itself once its queue is empty.
    fn drop(&mut self) {
        self.close();
    }
}

/// What a new instance thread is given.
struct Start {
    servable: Arc<Servable>,
    model: Arc<dyn Model>,
    number: usize,
    warm_up: WarmUp,
}

type Ready = SyncSender<(usize, Result<(), InferError>)>;

impl Start {
    fn spawn(self, ready: Ready, end: End) -> io::Result<()> {
        let name = thread_name(&self.servable, self.number);
        thread::Builder::new().name(name).spawn(move || self.run(ready, end))?;
        Ok(())
    }

    fn run(self, ready: Ready, end: End) {
        let Start { servable, model, number, warm_up } = self;
        let device = servable.plan.device(number);
        let claimant = Claimant::new(&servable.cores, &servable.share);
        let started = Runner::new(servable, model, (number, device)).and_then(|mut runner| {
            runner.with_instance(|instance| warm_up(instance))?;
            Ok(runner)
        });
        match started {
            Ok(runner) => {
                let _ = ready.try_send((number, Ok(())));
                drop(ready);
                Seat::new(runner, claimant, end).serve();
            }
            Err(error) => {
                let _ = ready.try_send((number, Err(error)));
            }
        }
    }
}
