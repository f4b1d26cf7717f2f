//! What will be known of a request when it is over, for the prediction log.
//!
//! There is one only if the request's version is logged. It gathers handles to what is there anyway.
//! Where nobody waits for the log, it stays with the trip and is offered when that ends, whatever the end.
//! Where the answer is to wait for the disk, it goes with the request's [`crate::Reply`]: every way to an
//! answer leads through that, so none can forget it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use backend_api::Tensor;
use server_base::{
    EventId, Kind, LogMode, Protocol, REQUEST_ID_BYTES_MAX, Reason, Record, Route, Timing, Told,
    Trace, VersionLog,
};
use smallvec::SmallVec;

use crate::pending::Inputs;
use crate::traffic::Caller;

/// A record in the making.
pub(crate) struct Draft {
    log: Arc<dyn VersionLog>,
    record: Box<Record>,
    arrived: Instant,
}

impl Draft {
    /// Begins one, or moves it to the version that the request goes to now, which has yet to say that
    /// the inputs fit, in which order they stand and how many rows they are.
    pub(crate) fn begin(
        place: &mut Option<Draft>,
        log: &Arc<dyn VersionLog>,
        arrived: Instant,
        (protocol, caller): (Protocol, &dyn Caller),
    ) {
        if let Some(draft) = place {
            draft.log = Arc::clone(log);
            draft.record.inputs.clear();
            (draft.record.rows, draft.record.held) = (1, 0);
            draft.record.route = Route::Direct;
            return;
        }
        let time = SystemTime::now();
        let called = caller.header("x-request-id").unwrap_or_default();
        let record = Record {
            event: EventId::new(time),
            request_id: clipped(called),
            trace: caller.header("traceparent").and_then(Trace::parse),
            time,
            protocol,
            route: Route::Direct,
            inputs: SmallVec::new(),
            held: 0,
            outputs: Vec::new(),
            rows: 1,
            failure: None,
            timing: Timing::default(),
            latency: Duration::ZERO,
            probability: 1.0,
            reason: Reason::Uniform,
            pair: None,
        };
        *place = Some(Draft { log: Arc::clone(log), record: Box::new(record), arrived });
    }

    pub(crate) fn is_called(&mut self, id: &[u8]) {
        if !id.is_empty() {
            self.record.request_id = clipped(id);
        }
    }

    /// The request's inputs, once they are known to fit; `held` bytes are kept in memory by them.
    pub(crate) fn takes(&mut self, inputs: &Inputs, (rows, held): (usize, usize), route: Route) {
        // One that is not sampled is logged only if it ends badly.
        let config = self.log.config();
        if config.errors || config.slow_over.is_some() || self.is_sampled() {
            self.record.inputs.clone_from(inputs);
            (self.record.rows, self.record.held) = (rows, held);
        }
        self.record.route = route;
    }

    pub(crate) fn answered(&mut self, outputs: &[Tensor], timing: &Timing) {
        self.record.outputs = outputs.to_vec();
        self.record.timing = *timing;
    }

    /// Is the answer to wait until it is on the disk?
    pub(crate) fn waits(&self) -> bool {
        self.log.config().mode != LogMode::BestEffort && self.is_sampled()
    }

    /// Does the request fail if it is not?
    pub(crate) fn is_vital(&self) -> bool {
        self.log.config().mode == LogMode::FailClosed
    }

    /// Of the same request, answered by another version beside it.
    pub(crate) fn shadow(
        &self,
        log: Option<&Arc<dyn VersionLog>>,
        inputs: &Inputs,
    ) -> Option<Draft> {
        let log = Arc::clone(log?);
        if !self.is_sampled() {
            return None;
        }
        let mut record = self.record.clone();
        record.pair = Some(record.event);
        record.event = EventId::new(record.time);
        record.route = Route::Shadow;
        record.inputs.clone_from(inputs);
        Some(Draft { log, record, arrived: self.arrived })
    }

    /// Since its request came in.
    pub(crate) fn elapsed(&self) -> Duration {
        self.arrived.elapsed()
    }

    /// Offers it, if it is one that is logged.
    pub(crate) fn finish(mut self, failure: Option<(Kind, String)>, took: Duration) {
        if self.settle(failure, took) {
            self.log.offer(self.record);
        }
    }

    /// Has it written; the caller is told when it is on the disk, or why it is not.
    pub(crate) fn commit(mut self, failure: Option<(Kind, String)>, took: Duration, told: Told) {
        self.settle(failure, took);
        self.log.commit(self.record, told);
    }

    /// Why and with what probability it is logged; false: it is not.
    fn settle(&mut self, failure: Option<(Kind, String)>, took: Duration) -> bool {
        let config = self.log.config();
        let slow = config.slow_over.is_some_and(|it| took > it);
        let (reason, sure) = match &failure {
            Some(_) if config.errors => (Reason::Error, true),
            Some(_) | None if slow => (Reason::Slow, true),
            Some(_) | None => (Reason::Uniform, false),
        };
        let logged = sure || self.is_sampled();
        self.record.probability = if sure { 1.0 } else { config.sample.probability() };
        (self.record.reason, self.record.failure, self.record.latency) = (reason, failure, took);
        if self.record.failure.is_some() {
            self.record.outputs.clear();
        }
        logged
    }

    /// By the caller's name for it, so that the same request is logged by every replica or by none.
    fn is_sampled(&self) -> bool {
        let sample = self.log.config().sample;
        if self.record.request_id.is_empty() {
            return sample.takes(&self.record.event.0.to_le_bytes());
        }
        sample.takes(&self.record.request_id)
    }
}

fn clipped(id: &[u8]) -> SmallVec<[u8; 40]> {
    SmallVec::from_slice(id.get(..REQUEST_ID_BYTES_MAX).unwrap_or(id))
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
