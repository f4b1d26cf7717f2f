//! A request between the door and its batch.

use std::sync::Arc;
use std::time::Instant;

use backend_api::{Shape, Tensor};
use smallvec::SmallVec;

use crate::admission::Permit;
use crate::error::InferError;
use crate::extent::Extent;
use crate::ledger::Ledger;
use crate::policy::Queued;
use crate::reply::{Answer, Reply};

/// Inputs in the signature's order; most models take one or two.
pub(crate) type Inputs = SmallVec<[Tensor; 2]>;

/// A checked request that waits. Fields are dropped in their order: one that nobody answers gives back
/// what it holds before its reply says so.
pub(crate) struct Pending {
    pub(crate) inputs: Inputs,
    /// What its bytes take of the budget: they are here even when the caller is not.
    pub(crate) permit: Option<Arc<Permit>>,
    pub(crate) extent: Extent,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Instant,
    /// Has the caller said how long it waits? Who has not is taken to be like others.
    pub(crate) stated: bool,
    pub(crate) reply: Reply,
    pub(crate) ledger: Arc<Ledger>,
}

impl Pending {
    /// Answers. What it held is given back first, so that whoever hears the answer finds room for the
    /// next request. False: the caller has gone away.
    pub(crate) fn answer(self, result: Result<Answer, InferError>) -> bool {
        let Pending { inputs, permit, reply, .. } = self;
        drop((inputs, permit));
        reply.send(result)
    }
}

impl Queued for Pending {
    fn rows(&self) -> usize {
        self.extent.rows
    }

    fn units(&self) -> usize {
        self.extent.units
    }

    fn arrived(&self) -> Instant {
        self.arrived
    }

    fn deadline(&self) -> Instant {
        let others = if self.stated { None } else { self.ledger.patience.longest() };
        others.map_or(self.deadline, |it| self.deadline.min(self.arrived + it))
    }

    fn lost(&self, then: Instant) -> bool {
        self.deadline <= then
    }

    fn is_gone(&self) -> bool {
        self.reply.is_gone()
    }

    /// Rows can be joined if all other axes are as long, once they are padded.
    fn joins(&self, other: &Pending) -> bool {
        let alike = |a: &Shape, b: &Shape| a.dims().get(1..) == b.dims().get(1..);
        match (&self.extent.padded, &other.extent.padded) {
            (Some(a), Some(b)) => a.shapes().iter().zip(b.shapes()).all(|(a, b)| alike(a, b)),
            (_, _) => {
                let both = self.inputs.iter().zip(&other.inputs);
                both.into_iter().all(|(a, b)| alike(a.shape(), b.shape()))
            }
        }
    }

    fn expire(self, now: Instant) {
        // A caller whose time was up has gone too: the deadline is looked at first.
        let (metrics, waited) = (&self.ledger.metrics, now.saturating_duration_since(self.arrived));
        if !self.lost(now) && self.reply.is_gone() {
            metrics.queue_left_cancelled();
        } else if !self.lost(now) && self.deadline() <= now {
            metrics.queue_refused_long();
            let model = self.ledger.model.to_string();
            self.answer(Err(InferError::Long { model, wait: waited }));
        } else {
            metrics.queue_left_expired();
            self.answer(Err(InferError::Expired { waited }));
        }
    }
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
