//! The threads that load and unload: few, named, and never the ones that serve.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use server_base::PredictionLog;
use server_serving::{Cores, Workers, give_way};

use crate::digest::digest;
use crate::engines::Engines;
use crate::fault::LoadError;
use crate::lacks::Lacks;
use crate::load::{LoadJob, Loaded, load};
use crate::logging;
use crate::manager::Message;
use crate::memory::Scale;
use crate::monitoring::{self, Monitors};
use crate::placement::{Need, Placed, Placement};
use crate::replay::Before;

/// Work for a loader thread; the number is the artifact's id.
pub(crate) enum Job {
    Load(u64, Need, Box<LoadJob>),
    Unload(u64, Workers),
}

/// What a load came to.
pub(crate) struct End {
    /// Which bytes were loaded, if that was to be found out.
    pub(crate) digest: Option<String>,
    /// By how much the process grew, if that could be measured.
    pub(crate) grown: Option<u64>,
    pub(crate) result: Result<Loaded, LoadError>,
}

/// What versions are loaded with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) engines: Engines,
    pub(crate) cores: Cores,
    pub(crate) log: Option<Arc<dyn PredictionLog>>,
    /// What they take is measured.
    pub(crate) scale: Arc<Scale>,
    /// On which GPU they go.
    pub(crate) placement: Arc<Placement>,
    pub(crate) monitors: Option<Arc<dyn Monitors>>,
    pub(crate) lacks: Lacks,
    /// What they are held against.
    pub(crate) before: Before,
    /// Is it to be found out which bytes were loaded?
    pub(crate) digests: bool,
}

impl Means {
    /// Where it may be loaded. What no engine would have on a GPU asks no driver and takes no GPU's memory.
    fn place(&self, need: Need, job: &LoadJob) -> Result<Placed<'_>, LoadError> {
        let (engine, wish) = (job.config.engine.as_deref(), &job.config.options.device);
        let gpus = self.engines.gpus_used(engine, &job.folder);
        if gpus == 0 {
            return Ok((None, None));
        }
        self.placement.place(wish, (need, gpus.min(job.config.instances.max(1))))
    }

    fn load(&self, need: Need, job: &mut LoadJob) -> End {
        // What cannot be read has no digest; the load says why.
        let wanted = self.digests || job.config.log.is_some();
        let digest = wanted.then(|| digest(&job.folder).ok()).flatten();
        let (gpus, _promise) = match self.place(need, job) {
            Ok(placed) => placed,
            Err(error) => return End { digest, grown: None, result: Err(error) },
        };
        job.config.options.gpus = gpus;
        let job = &*job;
        let (loaded, grown) =
            self.scale.weigh(|| load((&self.engines, &self.cores), job, &self.before));
        let result = loaded.and_then(|it| {
            let content = (job, digest.as_deref());
            let opened = logging::open(self.log.as_ref(), content, &it);
            let watched =
                opened.and_then(|()| monitoring::watch(self.monitors.as_ref(), content, &it));
            let LoadJob { model, version, config, .. } = job;
            self.lacks.of(config).for_each(|it| tracing::warn!(%model, %version, "{it}"));
            watched.map(|()| it).map_err(LoadError::lasting)
        });
        End { digest, grown, result }
    }
}

/// The pool.
pub(crate) struct Loader {
    jobs: Sender<Job>,
    queue: Receiver<Job>,
}

impl Loader {
    /// Starts `threads` of them; `digests`: they find out which bytes they load. What they finish goes to `done`. A retired version has `drain` to
    /// finish its requests. The threads end when the pool is dropped and its work is done.
    pub(crate) fn start(
        threads: usize,
        means: Means,
        done: &Sender<Message>,
        drain: Duration,
    ) -> io::Result<Loader> {
        // One job in hand and one waiting for each: the manager keeps the rest, where it can still
        // change its mind.
        let (jobs, queue) = bounded(threads);
        for number in 0..threads {
            let (means, done, queue) = (means.clone(), done.clone(), queue.clone());
            let name = format!("load/{number}");
            thread::Builder::new().name(name).spawn(move || work(&means, &queue, &done, drain))?;
        }
        Ok(Loader { jobs, queue })
    }

    /// Would a job be taken?
    pub(crate) fn has_room(&self) -> bool {
        !self.jobs.is_full()
    }

    /// Hands a job over. No room: the job comes back, to be tried again after the next message.
    pub(crate) fn give(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|it| match it {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Takes back what no thread has begun.
    pub(crate) fn take_back(&self) -> Vec<Job> {
        self.queue.try_iter().collect()
    }
}

fn work(means: &Means, queue: &Receiver<Job>, done: &Sender<Message>, drain: Duration) {
    // Engines start their own threads here: those give way too.
    give_way();
    for job in queue {
        let message = match job {
            Job::Load(id, need, mut job) => {
                let end = means.load(need, &mut job);
                end.result.iter().for_each(|it| listen(it, id, done));
                Message::Loaded(id, Box::new(end))
            }
            Job::Unload(id, workers) => {
                let (clean, _) = means.scale.weigh(|| workers.stop(Instant::now() + drain));
                Message::Unloaded(id, clean)
            }
        };
        if done.send(message).is_err() {
            return; // the manager has gone; so has the reason to load
        }
    }
}

/// The manager is told when the device of what was loaded fails.
fn listen(loaded: &Loaded, id: u64, done: &Sender<Message>) {
    let done = done.clone();
    loaded.workers.servable().on_loss(Box::new(move |reason, device| {
        done.try_send(Message::Lost(id, reason.to_owned(), device.clone())).is_ok()
    }));
}
