//! What will be known of a request when it is over, for the prediction log.
//!
//! There is one only if the request's version is logged. It gathers what is there anyway.
//! Where nobody waits for the log, it stays with the trip and is offered when that ends, whatever the end.
//! Where the answer is to wait for the disk, it goes with the request's [`crate::Reply`]: every way to an
//! answer leads through that, so none can forget it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use backend_api::Tensor;
use server_base::{
    Drawn, EventId, Kept, Kind, LogConfig, LogMode, Protocol, REQUEST_ID_BYTES_MAX, Reason, Record,
    Route, Timing, Told, Trace, VersionLog,
};
use smallvec::SmallVec;

use crate::admission::Permit;
use crate::confidence::is_low;
use crate::dispute::{Dispute, Side};
use crate::pending::Inputs;
use crate::sheet;
use crate::traffic::Caller;

/// With it a caller says that a request was asked before, by others, and is no traffic. It is logged all
/// the same, as such: whoever may ask could otherwise keep out of a log that is evidence.
pub const REPLAY_HEADER: &str = "x-salver-replay";

/// If the wall clock is set, records have its time after so long.
const CLOCK_AGE_MAX: Duration = Duration::from_millis(10);

/// A record in the making.
pub(crate) struct Draft {
    log: Arc<dyn VersionLog>,
    record: Box<Record>,
    arrived: Instant,
    /// Where it is kept if nothing else has it logged; its answer is to be compared then.
    dispute: Option<Arc<Dispute>>,
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
            (draft.dispute, draft.record.drawn) = (None, None);
            draft.came(Route::Direct);
            return;
        }
        let time = wall(arrived);
        let names = ["x-request-id", "traceparent", REPLAY_HEADER];
        let [called, trace, replay] = caller.headers(names);
        let is_replay = replay.is_some();
        let mut record = sheet::fresh(time);
        // Most have neither.
        if let Some(id) = called {
            record.request_id.extend_from_slice(clipped(id));
        }
        if let Some(trace) = trace {
            record.trace = Trace::parse(trace);
        }
        record.protocol = protocol;
        record.route = if is_replay { Route::Replay } else { Route::Direct };
        let log = Arc::clone(log);
        *place = Some(Draft { log, record, arrived, dispute: None });
    }

    fn came(&mut self, route: Route) {
        if self.record.route != Route::Replay {
            self.record.route = route;
        }
    }

    pub(crate) fn drawn(&mut self, drawn: Drawn) {
        self.record.drawn = Some(drawn);
    }

    pub(crate) fn is_called(&mut self, id: &[u8]) {
        if !id.is_empty() {
            self.record.request_id = SmallVec::from_slice(clipped(id));
        }
    }

    /// The request's inputs, once they are known to fit; `held` bytes are kept in memory by them.
    pub(crate) fn takes(&mut self, inputs: &Inputs, (rows, held): (usize, usize), route: Route) {
        // One that is not sampled is logged only if it ends badly.
        let config = self.log.config();
        let rules = config.errors || config.slow_over.is_some() || config.low_confidence.is_some();
        if rules || is_sampled(config, &self.record) {
            keep(&mut self.record.inputs, inputs);
            (self.record.rows, self.record.held) = (rows, held);
        }
        self.came(route);
    }

    pub(crate) fn answered(&mut self, outputs: &[Tensor], timing: &Timing) {
        keep(&mut self.record.outputs, outputs);
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

    /// Its request is copied: with that `probability`, and within that budget. What the sample has chosen is
    /// logged anyhow, the copy too.
    pub(crate) fn copied(
        &mut self,
        (inputs, rows, held): (&Inputs, usize, usize),
        probability: f32,
        permit: Option<Arc<Permit>>,
    ) -> Option<Arc<Dispute>> {
        if !self.log.config().disagreement || self.is_sampled() {
            return None;
        }
        keep(&mut self.record.inputs, inputs);
        (self.record.rows, self.record.held) = (rows, held);
        self.dispute = Some(Dispute::new(probability, permit));
        self.dispute.clone()
    }

    /// Of the same request, answered by another version beside it. How the traffic has chosen is said of both.
    pub(crate) fn shadow(
        &self,
        log: Option<&Arc<dyn VersionLog>>,
        inputs: &Inputs,
    ) -> Option<Draft> {
        let Some(log) = log.cloned().filter(|_| self.dispute.is_some() || self.is_sampled()) else {
            self.dispute.iter().for_each(|it| it.settle(Side::Copy));
            return None;
        };
        let mut record = self.record.clone();
        record.pair = Some(record.event);
        record.event = EventId::new(record.time);
        keep(&mut record.inputs, inputs);
        let (arrived, dispute) = (self.arrived, self.dispute.clone());
        let mut draft = Draft { log, record, arrived, dispute };
        draft.came(Route::Shadow);
        Some(draft)
    }

    /// Since its request came in.
    pub(crate) fn elapsed(&self) -> Duration {
        self.arrived.elapsed()
    }

    /// Offers it, if it is one that is logged, or keeps it until its answer has been compared.
    pub(crate) fn finish(mut self, failure: Option<(Kind, String)>, took: Duration) {
        let is_logged = self.settle(failure, took);
        let is_copy = self.record.pair.is_some();
        // Without an answer there is nothing to compare.
        let is_answered = self.record.failure.is_none();
        match self.dispute.take() {
            // No rule but this one is for copies.
            Some(dispute) if is_copy => {
                if is_answered {
                    dispute.keep(Side::Copy, self);
                }
            }
            Some(dispute) if is_answered && !is_logged => dispute.keep(Side::Served, self),
            dispute => {
                if let Some(dispute) = dispute.filter(|_| is_answered) {
                    dispute.settle(Side::Served);
                }
                if is_logged {
                    self.log.offer(&self.record);
                }
                sheet::done(self.record);
            }
        }
    }

    /// Offers it for a reason that was found later.
    pub(crate) fn offer_as(mut self, reason: Reason, probability: f32) {
        (self.record.reason, self.record.probability) = (reason, probability);
        self.log.offer(&self.record);
        sheet::done(self.record);
    }

    /// Has it written; the caller is told when it is on the disk, or why it is not.
    pub(crate) fn commit(mut self, failure: Option<(Kind, String)>, took: Duration, told: Told) {
        self.settle(failure, took);
        self.log.commit(&self.record, told);
        sheet::done(self.record);
    }

    /// Why and with what probability it is logged; false: it is not.
    fn settle(&mut self, failure: Option<(Kind, String)>, took: Duration) -> bool {
        let config = self.log.config();
        let (is_failed, is_sampled) = (failure.is_some(), is_sampled(config, &self.record));
        if is_failed {
            self.record.outputs.clear();
        }
        let is_slow = config.slow_over.is_some_and(|it| took > it);
        let is_low = || {
            let rule = config.low_confidence.as_ref();
            rule.is_some_and(|it| is_low(&self.record.outputs, it))
        };
        // What the sample has chosen is a fair part of the traffic, whatever else is true of it.
        let rule = if is_failed && config.errors {
            Some(Reason::Error)
        } else if is_slow {
            Some(Reason::Slow)
        } else {
            is_low().then_some(Reason::LowConfidence)
        };
        let reason = rule.filter(|it| *it == Reason::Error || !is_sampled);
        let probability = rule.map_or(config.sample.probability(), |_| 1.0);
        (self.record.reason, self.record.probability) =
            (reason.unwrap_or(Reason::Uniform), probability);
        (self.record.failure, self.record.latency) = (failure, took);
        rule.is_some() || is_sampled
    }

    fn is_sampled(&self) -> bool {
        is_sampled(self.log.config(), &self.record)
    }
}

/// By the caller's name for it, so that the same request is logged by every replica or by none.
fn is_sampled(config: &LogConfig, record: &Record) -> bool {
    let sample = config.sample;
    if record.request_id.is_empty() {
        return sample.takes(&record.event.0.to_le_bytes());
    }
    sample.takes(&record.request_id)
}

thread_local! {
    /// When this thread last asked for the wall clock's time, and what that was.
    static CLOCK: Cell<Option<Tick>> = const { Cell::new(None) };
}

/// A look at both clocks.
#[derive(Clone, Copy)]
struct Tick {
    read: Instant,
    time: SystemTime,
    /// The same in microseconds since 1970: counting on is faster than taking times apart.
    micros: u64,
}

/// The time at that instant by the wall clock, which is read once for many requests; in milliseconds since 1970 too.
fn wall(at: Instant) -> (SystemTime, u64) {
    let near = |it: Tick| match at.checked_duration_since(it.read) {
        Some(since) if since >= CLOCK_AGE_MAX => None,
        Some(since) => {
            let millis = (it.micros + u64::from(since.subsec_micros())) / 1_000;
            Some((it.time.checked_add(since)?, millis))
        }
        None => {
            let time = it.time.checked_sub(it.read.saturating_duration_since(at))?;
            Some((time, micros(time) / 1_000))
        }
    };
    CLOCK.get().and_then(near).unwrap_or_else(|| {
        let (read, time) = (Instant::now(), SystemTime::now());
        let now = Tick { read, time, micros: micros(time) };
        CLOCK.set(Some(now));
        near(now).unwrap_or((now.time, now.micros / 1_000))
    })
}

/// Since 1970.
fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs().wrapping_mul(1_000_000) + u64::from(since.subsec_micros())
}

/// These tensors alone.
fn keep(into: &mut Kept, tensors: &[Tensor]) {
    into.clear();
    into.extend(tensors);
}

fn clipped(id: &[u8]) -> &[u8] {
    id.get(..REQUEST_ID_BYTES_MAX).unwrap_or(id)
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
