//! One request's way through the house, for the books.
//!
//! The frontend starts a trip when a request comes in and finishes it when the answer is encoded;
//! every end is counted exactly once, a caller's disappearance (the trip is dropped) included.

use std::sync::Arc;
use std::time::{Duration, Instant};

use server_base::{Kind, Protocol};

use crate::admission::Permit;
use crate::metrics::RequestMetrics;

/// Counts one request. See the module.
pub struct Trip {
    protocol: Protocol,
    arrived: Instant,
    requests: Arc<RequestMetrics>,
    finished: bool,
    permit: Option<Arc<Permit>>,
}

impl Trip {
    pub(crate) fn new(protocol: Protocol, unknown: Arc<RequestMetrics>) -> Trip {
        Trip { protocol, arrived: Instant::now(), requests: unknown, finished: false, permit: None }
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

    /// What it holds.
    pub fn permit(&self) -> Option<Arc<Permit>> {
        self.permit.clone()
    }

    /// From here on the request is counted there.
    pub(crate) fn reached(&mut self, requests: &Arc<RequestMetrics>) {
        self.requests = Arc::clone(requests);
    }

    /// The request's bytes have become tensors.
    pub fn decoded(&self, took: Duration) {
        self.requests.decoded(took);
    }

    /// The answer's tensors have become bytes.
    pub fn encoded(&self, took: Duration) {
        self.requests.encoded(took);
    }

    /// The request is answered; `None` is success.
    pub fn finish(mut self, failure: Option<Kind>) {
        self.count(failure);
    }

    fn count(&mut self, failure: Option<Kind>) {
        if !std::mem::replace(&mut self.finished, true) {
            self.requests.done(self.protocol, failure, self.arrived.elapsed());
        }
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        self.count(Some(Kind::Cancelled));
    }
}
