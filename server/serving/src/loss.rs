//! A version whose device has failed.
//!
//! The instances of a version compute on one device, or on a few of one plugin's, so what one of them sees
//! holds for all: no more runs, and what waits is refused with an error that invites to come again. The
//! lifecycle is told once, and of which device; it takes the version out of the table and loads it anew.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use backend_api::{BackendError, Device};

use crate::error::InferError;
use crate::servable::Servable;

/// Takes the reason, and which device it is, to whoever loads versions; false if there was no room for it. Called
/// by an instance at work, so it must not block.
pub type OnLoss = Box<dyn Fn(&str, &Device) -> bool + Send + Sync>;

/// See the module. Empty while all is well.
#[derive(Default)]
pub(crate) struct Loss {
    /// Why, and which device.
    lost: OnceLock<(String, Device)>,
    on_loss: OnceLock<OnLoss>,
    is_told: AtomicBool,
}

impl Loss {
    /// A device has failed. The first reason stays.
    fn happen(&self, reason: String, device: &Device) {
        self.tell(self.lost.get_or_init(|| (reason, device.clone())));
    }

    /// Until it is heard: a full inbox is tried again with the next batch.
    fn tell(&self, (reason, device): &(String, Device)) {
        if let Some(on_loss) = self.on_loss.get()
            && !self.is_told.swap(true, Ordering::AcqRel)
            && !on_loss(reason, device)
        {
            self.is_told.store(false, Ordering::Release);
        }
    }
}

impl Servable {
    /// Who is told that the version's device has failed. Said once, before it is published.
    pub fn on_loss(&self, on_loss: OnLoss) {
        let _ = self.ledger().loss.on_loss.set(on_loss);
    }

    /// An engine says that the device has failed. While nobody listens, as during a load, that is an
    /// error like others.
    pub(crate) fn lose(&self, reason: String, device: &Device) -> InferError {
        let loss = &self.ledger().loss;
        if loss.on_loss.get().is_none() {
            return InferError::Backend(BackendError::DeviceLost { reason });
        }
        loss.happen(reason, device);
        self.lost()
    }

    /// Does nothing unless the device has failed before.
    pub(crate) fn check_device(&self) -> Result<(), InferError> {
        let loss = &self.ledger().loss;
        let Some(lost) = loss.lost.get() else { return Ok(()) };
        loss.tell(lost);
        Err(self.lost())
    }

    fn lost(&self) -> InferError {
        InferError::DeviceLost { model: self.model().to_string() }
    }
}
