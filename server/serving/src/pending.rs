//! A request between the door and its batch.

use std::sync::Arc;
use std::time::Instant;

use backend_api::Tensor;
use smallvec::SmallVec;

use crate::admission::Permit;
use crate::error::InferError;
use crate::metrics::VersionMetrics;
use crate::policy::Queued;
use crate::reply::Reply;

/// Inputs in the signature's order; most models take one or two.
pub(crate) type Inputs = SmallVec<[Tensor; 2]>;

/// A checked request that waits.
pub(crate) struct Pending {
    pub(crate) inputs: Inputs,
    pub(crate) rows: usize,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply,
    pub(crate) metrics: Arc<VersionMetrics>,
    /// What its bytes take of the budget: they are here even when the caller is not.
    pub(crate) _permit: Option<Arc<Permit>>,
}

impl Queued for Pending {
    fn rows(&self) -> usize {
        self.rows
    }

    fn arrived(&self) -> Instant {
        self.arrived
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn is_gone(&self) -> bool {
        self.reply.is_gone()
    }

    /// Rows can be joined if all other axes are as long.
    fn joins(&self, other: &Pending) -> bool {
        let alike =
            |(a, b): (&Tensor, &Tensor)| a.shape().dims().get(1..) == b.shape().dims().get(1..);
        self.inputs.iter().zip(&other.inputs).all(alike)
    }

    fn expire(self, now: Instant) {
        // A caller whose time was up has gone too: the deadline is looked at first.
        if self.deadline > now {
            self.metrics.queue_left_cancelled();
        } else {
            self.metrics.queue_left_expired();
            let waited = now.saturating_duration_since(self.arrived);
            self.reply.send(Err(InferError::Expired { waited }));
        }
    }
}
