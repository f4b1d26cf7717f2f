//! The thread of one instance: pull, run, answer, until the lane is closed and empty.
//!
//! Invariants: every pulled request is answered; an error or a panic costs the batch it happened
//! in and, in a batch of several, only the requests that fail on their own as well.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use backend_api::{Device, Instance, Model};

use crate::batch::{self, BatchAnswer};
use crate::error::InferError;
use crate::lane::Pulled;
use crate::metrics::Busy;
use crate::pending::Pending;
use crate::policy::Queued as _;
use crate::reply::Answer;
use crate::servable::Servable;

/// What one instance thread owns.
pub(crate) struct Runner {
    servable: Arc<Servable>,
    model: Arc<dyn Model>,
    device: Device,
    /// Empty after a panic, which may have left it torn; the next batch makes a new one.
    instance: Option<Box<dyn Instance>>,
    busy: Busy,
}

impl Runner {
    /// On the thread that will run it.
    pub(crate) fn new(
        servable: Arc<Servable>,
        model: Arc<dyn Model>,
        (number, device): (usize, Device),
    ) -> Result<Runner, InferError> {
        let busy = Busy::new(servable.model(), servable.version(), number, device.to_string());
        let mut runner = Runner { servable, model, device, instance: None, busy };
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
        guarded.unwrap_or_else(|_| {
            // Its drop may panic too, on the state that the first panic left.
            let torn = self.instance.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(torn)));
            Err(InferError::Panicked)
        })
    }

    /// Serves the lane until it is closed and empty.
    pub(crate) fn serve(mut self) {
        let servable = Arc::clone(&self.servable);
        while let Some(pulled) = servable.lane().pull() {
            let started = Instant::now();
            self.execute(pulled);
            self.busy.add(started.elapsed());
        }
    }

    fn execute(&mut self, Pulled { batch, reason }: Pulled<Pending>) {
        let servable = Arc::clone(&self.servable);
        let picked = Instant::now();
        servable.metrics().closed(reason);
        for request in &batch {
            servable.metrics().queued(picked.saturating_duration_since(request.arrived));
        }
        match self.run(&batch) {
            Ok(answer) => reply(batch, answer, picked),
            Err(error) if batch.len() == 1 => refuse(batch, &error),
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
            Ok(answer) => reply(batch, answer, picked),
            Err(error) => refuse(batch, &error),
        }
    }

    fn run(&mut self, requests: &[Pending]) -> Result<BatchAnswer, InferError> {
        let servable = Arc::clone(&self.servable);
        servable.metrics().ran(requests.iter().map(|it| it.rows).sum());
        let answer = self.with_instance(|instance| {
            batch::run(instance, servable.signature(), requests).map_err(InferError::Backend)
        })?;
        servable.metrics().answered(&answer.timing);
        Ok(answer)
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

fn reply(batch: Vec<Pending>, answer: BatchAnswer, picked: Instant) {
    for (request, outputs) in batch.into_iter().zip(answer.outputs) {
        let queue = picked.saturating_duration_since(request.arrived);
        let timing = server_base::Timing { queue, ..answer.timing };
        request.reply.send(Ok(Answer { outputs, timing }));
    }
}

fn refuse(batch: Vec<Pending>, error: &InferError) {
    batch.into_iter().for_each(|it| it.reply.send(Err(error.clone())));
}
