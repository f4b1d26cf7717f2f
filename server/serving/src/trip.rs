//! One request's way through the house, for the books.
//!
//! The frontend starts a trip when a request comes in and finishes it when the answer is encoded;
//! every end is counted exactly once, a caller's disappearance (the trip is dropped) included.
//! The clock is read once between two stages: where one ends, the next begins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_api::{BackendError, Tensor};
use server_base::{Kind, Protocol, Timing, Version};

use crate::admission::Permit;
use crate::draft::Draft;
use crate::error::InferError;
use crate::metrics::RequestMetrics;
use crate::reply::Reply;
use crate::servable::Servable;
use crate::traffic::{Caller, Traffic};

/// Counts one request. See the module.
pub struct Trip {
    protocol: Protocol,
    arrived: Instant,
    /// When the stage under way began.
    stage: Instant,
    requests: Arc<RequestMetrics>,
    finished: bool,
    permit: Option<Arc<Permit>>,
    /// Bytes of the budget that it has for what its message becomes, and for its padding.
    unfolded: usize,
    padded: usize,
    /// And for what was copied out of its client's memory.
    read: usize,
    /// Where in its model's traffic it falls; `None` as long as nothing depends on it.
    point: Option<u64>,
    /// Something does, and its own parameters say where, which have not been read.
    awaits_parameters: bool,
    /// What is to be logged of it, if its version is logged.
    draft: Option<Draft>,
}

/// A trip that is over.
pub struct Finished {
    /// When.
    pub ended: Instant,
    /// From the request's arrival on.
    pub took: Duration,
    /// Its share of the budget, to be held until the last of the answer is about to be sent.
    pub permit: Option<Arc<Permit>>,
}

impl Trip {
    pub(crate) fn new(protocol: Protocol, unknown: Arc<RequestMetrics>) -> Trip {
        let arrived = Instant::now();
        let (stage, finished) = (arrived, false);
        Trip {
            protocol,
            arrived,
            stage,
            requests: unknown,
            finished,
            permit: None,
            unfolded: 0,
            padded: 0,
            read: 0,
            point: None,
            awaits_parameters: false,
            draft: None,
        }
    }

    /// When the request came in. Its deadline counts from here.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Its share of the budget: held until the request's tensors are gone, even if its caller
    /// leaves before that.
    pub fn holds(&mut self, permit: Arc<Permit>) {
        self.permit = Some(permit);
    }

    /// Takes so many more bytes of the budget for what it holds.
    pub fn grow(&self, more: usize) -> Result<(), InferError> {
        self.permit.as_ref().map_or(Ok(()), |it| it.grow(more))
    }

    /// Takes what its message needs beyond its own bytes once it is decoded: once, however often that is
    /// done.
    pub fn unfolds(&mut self, bytes: usize) -> Result<(), InferError> {
        self.grow(bytes.saturating_sub(self.unfolded))?;
        self.unfolded = self.unfolded.max(bytes);
        Ok(())
    }

    /// Takes what it has copied out of its client's memory by now: once, though a request whose model is not loaded
    /// yet is decoded again.
    pub fn reads(&mut self, bytes: usize) -> Result<(), InferError> {
        self.grow(bytes.saturating_sub(self.read))?;
        self.read = self.read.max(bytes);
        Ok(())
    }

    /// Takes what its padding needs: once, however often it is put to a successor.
    pub(crate) fn pads(&mut self, bytes: usize) -> Result<(), InferError> {
        self.grow(bytes.saturating_sub(self.padded))?;
        self.padded = self.padded.max(bytes);
        Ok(())
    }

    /// Bytes of the budget that it has; 0: it asked for none.
    pub(crate) fn held(&self) -> usize {
        self.permit.as_ref().map_or(0, |it| it.bytes())
    }

    pub(crate) fn permit(&self) -> Option<Arc<Permit>> {
        self.permit.clone()
    }

    /// From here on the request is counted there.
    pub(crate) fn reached(&mut self, requests: &Arc<RequestMetrics>) {
        self.requests = Arc::clone(requests);
    }

    /// It is for that version, and is logged if that is.
    pub(crate) fn addressed(&mut self, servable: &Servable, caller: &dyn Caller) {
        self.reached(&servable.metrics().requests);
        match servable.log() {
            None => self.draft = None,
            Some(log) => Draft::begin(&mut self.draft, log, self.arrived, (self.protocol, caller)),
        }
    }

    /// Its version has that part of its model's traffic, which has chosen it.
    pub(crate) fn drawn(&mut self, traffic: &Traffic, version: Version) {
        if let Some(draft) = &mut self.draft {
            draft.drawn(traffic.drawn(version));
        }
    }

    /// The caller's own name for the request.
    pub fn is_called(&mut self, id: &[u8]) {
        if let Some(draft) = &mut self.draft {
            draft.is_called(id);
        }
    }

    /// What was answered, as far as it is to be logged.
    pub(crate) fn answered(&mut self, outputs: &[Tensor], timing: &Timing) {
        if let Some(draft) = &mut self.draft {
            draft.answered(outputs, timing);
        }
    }

    /// The request did not come in: it is logged with the trip.
    pub(crate) fn keeps(&mut self, reply: &mut Reply) {
        if let Some(draft) = reply.unlogged() {
            self.draft = Some(draft);
        }
    }

    pub(crate) fn draft(&mut self) -> &mut Option<Draft> {
        &mut self.draft
    }

    /// Where in its model's traffic it falls, which is drawn once: a request that is routed again
    /// stays where it was. `None`: its own parameters are to be read first.
    pub(crate) fn falls(&mut self, draw: impl FnOnce() -> Option<u64>) -> Option<u64> {
        if self.point.is_none() {
            self.point = draw();
            self.awaits_parameters = self.point.is_none();
        }
        self.point
    }

    /// Which version it is for is known once its parameters are: it is to be addressed anew then.
    pub fn awaits_parameters(&self) -> bool {
        self.awaits_parameters
    }

    /// Was its version chosen by its model's traffic?
    pub(crate) fn is_shared_out(&self) -> bool {
        self.point.is_some()
    }

    /// A stage begins after a wait.
    pub fn resume(&mut self) {
        self.stage = Instant::now();
    }

    /// When the stage under way began.
    pub(crate) fn stage(&self) -> Instant {
        self.stage
    }

    /// The request's bytes have become tensors.
    pub fn decoded(&mut self) {
        let took = self.stage_took();
        self.requests.decoded(took);
    }

    /// The answer's tensors have become bytes.
    pub fn encoded(&mut self) {
        let took = self.stage_took();
        self.requests.encoded(took);
    }

    fn stage_took(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.stage, now)
    }

    /// The request is answered; `None` is success, which ended with the last stage.
    pub fn finish(mut self, failure: Option<&InferError>) -> Finished {
        let ended = if failure.is_none() { self.stage } else { Instant::now() };
        let took = ended - self.arrived;
        if matches!(failure, Some(InferError::Backend(BackendError::Input { .. }))) {
            self.requests.refused();
        }
        self.count(failure.map(blamed), took);
        if let Some(draft) = self.draft.take() {
            draft.finish(failure.map(|it| (it.kind(), it.to_string())), took);
        }
        Finished { ended, took, permit: self.permit.take() }
    }

    fn count(&mut self, failure: Option<Kind>, took: Duration) {
        if !std::mem::replace(&mut self.finished, true) {
            self.requests.done(self.protocol, failure, took);
        }
    }
}

/// As what a failure is counted. Memory that a client shares is the client's affair, whatever the protocol's code
/// for it: else one client could have a version rolled back that is as good as the other.
fn blamed(failure: &InferError) -> Kind {
    let is_clients = matches!(failure, InferError::Memory { kind: Kind::Internal, .. });
    if is_clients { Kind::Invalid } else { failure.kind() }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if !self.finished {
            let took = self.arrived.elapsed();
            self.count(Some(Kind::Cancelled), took);
            if let Some(draft) = self.draft.take() {
                draft.finish(Some((Kind::Cancelled, "the caller went away".to_owned())), took);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_memory_is_not_the_models_fault() {
        let memory = |kind| InferError::Memory { kind, text: "too small".to_owned() };
        assert_eq!(blamed(&memory(Kind::Internal)), Kind::Invalid);
        assert_eq!(blamed(&memory(Kind::NotFound)), Kind::NotFound);
        assert_eq!(blamed(&InferError::Panicked), Kind::Internal);
    }
}
