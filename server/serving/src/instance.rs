//! One instance at work on a batch: run, answer, and nobody is forgotten.
//!
//! Invariants: every pulled request is answered; an error or a panic costs the batch it happened
//! in and, in a batch of several, only the requests that fail on their own as well.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_api::{BackendError, Device, Instance, Model};

use crate::batch::{self, BatchAnswer};
use crate::busy::Busy;
use crate::compare::{is_finite, is_nonfinite};
use crate::error::InferError;
use crate::lane::Pulled;
use crate::patience::Outcome;
use crate::pending::Pending;
use crate::policy::Queued as _;
use crate::reply::Answer;
use crate::servable::Servable;

/// What one instance needs, wherever it runs.
pub(crate) struct Runner {
    servable: Arc<Servable>,
    model: Arc<dyn Model>,
    device: Device,
    /// Empty after a panic, which may have left it torn; the next batch makes a new one.
    instance: Option<Box<dyn Instance>>,
    number: usize,
    busy: Busy,
}

impl Runner {
    /// With an instance that is ready to run.
    pub(crate) fn new(
        servable: Arc<Servable>,
        model: Arc<dyn Model>,
        (number, device): (usize, Device),
    ) -> Result<Runner, InferError> {
        let busy = Busy::new(servable.model(), servable.version(), number, device.to_string());
        let mut runner = Runner { servable, model, device, instance: None, number, busy };
        runner.instance()?;
        Ok(runner)
    }

    /// Lets `work` have the instance, behind a fence.
    pub(crate) fn with_instance<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Instance) -> Result<T, InferError>,
    ) -> Result<T, InferError> {
        let instance = self.instance()?;
        let guarded = catch_unwind(AssertUnwindSafe(|| work(instance)));
        match guarded {
            Ok(Err(InferError::Backend(BackendError::DeviceLost { reason }))) => {
                self.discard();
                Err(self.servable.lose(reason, &self.device))
            }
            Ok(worked) => worked,
            Err(_) => {
                self.discard();
                Err(InferError::Panicked)
            }
        }
    }

    /// Its drop may panic too, on the state that a panic or a failed device left.
    fn discard(&mut self) {
        let torn = self.instance.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(torn)));
    }

    /// The version that it serves.
    pub(crate) fn servable(&self) -> &Arc<Servable> {
        &self.servable
    }

    /// Which of the version's instances it is.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// What `top -H` and panics show; Linux cuts it to 15 bytes.
    pub(crate) fn thread_name(&self) -> String {
        thread_name(&self.servable, self.number)
    }

    /// Answers a batch. Returns how long it took.
    pub(crate) fn execute(&mut self, pulled: Pulled<Pending>) -> Duration {
        let started = Instant::now();
        self.answer(pulled, started);
        let took = started.elapsed();
        self.busy.add(took);
        took
    }

    fn answer(&mut self, Pulled { batch, reason }: Pulled<Pending>, picked: Instant) {
        let servable = Arc::clone(&self.servable);
        servable.metrics().closed(reason);
        for request in &batch {
            servable.metrics().queued(picked.saturating_duration_since(request.arrived));
        }
        match self.run(&batch) {
            Ok(answer) => self.reply(batch, answer, picked),
            Err(error) if batch.len() == 1 => refuse(batch, &error),
            // None of them would fare better alone.
            Err(error @ InferError::DeviceLost { .. }) => refuse(batch, &error),
            Err(error) => {
                tracing::warn!(
                    model = %servable.model(), version = %servable.version(),
                    requests = batch.len(), %error, "a batch failed; running its requests one by one"
                );
                batch.into_iter().for_each(|it| self.run_alone(it, picked));
            }
        }
    }

    fn run_alone(&mut self, request: Pending, picked: Instant) {
        let now = Instant::now();
        if request.is_gone() || request.deadline() <= now {
            return request.expire(now);
        }
        let batch = vec![request];
        match self.run(&batch) {
            Ok(answer) => self.reply(batch, answer, picked),
            Err(error) => refuse(batch, &error),
        }
    }

    fn run(&mut self, requests: &[Pending]) -> Result<BatchAnswer, InferError> {
        let servable = Arc::clone(&self.servable);
        servable.check_device()?;
        servable.metrics().ran(requests.iter().map(|it| it.extent.rows).sum());
        let answer = self.with_instance(|instance| {
            let served = (servable.signature(), servable.plan());
            batch::run(instance, served, requests).map_err(InferError::Backend)
        })?;
        let (timing, size) = (&answer.timing, answer.size);
        servable.metrics().answered(timing);
        servable.metrics().elements(size.units, size.padding);
        servable.cost().learn(size.rows, size.units, timing.compute_infer);
        Ok(answer)
    }

    fn reply(&self, batch: Vec<Pending>, answer: BatchAnswer, picked: Instant) {
        let (patience, tally) =
            (&self.servable.ledger().patience, self.servable.metrics().requests.tally());
        if tally.looks() {
            let both = batch.iter().zip(&answer.outputs);
            // Whoever asks with what is no number is answered in kind: no fault of the model's.
            let bad = both.filter(|(asked, it)| is_nonfinite(it) && is_finite(&asked.inputs));
            tally.nonfinite(bad.count() as u64);
        }
        let server_base::Timing { compute_input, compute_infer, compute_output, .. } =
            answer.timing;
        let ended = picked + compute_input + compute_infer + compute_output;
        for (request, outputs) in batch.into_iter().zip(answer.outputs) {
            let arrived = request.arrived;
            let waited = picked.saturating_duration_since(arrived);
            let timing = server_base::Timing { queue: waited, ..answer.timing };
            let taken = request.answer(Ok(Answer { outputs, timing, logged: None }));
            patience.learn(Outcome { arrived, waited, ended, taken });
        }
    }

    fn instance(&mut self) -> Result<&mut dyn Instance, InferError> {
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                let make = || self.model.instance(&self.device).map_err(InferError::Backend);
                catch_unwind(AssertUnwindSafe(make)).unwrap_or(Err(InferError::Panicked))?
            }
        };
        Ok(&mut **self.instance.insert(instance))
    }
}

/// Of the thread on which an instance starts.
pub(crate) fn thread_name(servable: &Servable, number: usize) -> String {
    format!("run/{}/{}/{number}", servable.model(), servable.version())
}

fn refuse(batch: Vec<Pending>, error: &InferError) {
    for request in batch {
        // Nobody there is nobody to tell.
        let _ = request.answer(Err(error.clone()));
    }
}
