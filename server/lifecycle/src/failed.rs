//! The part of a model's books that is about loads that have come to an end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backend_api::Device;
use server_base::Version;
use server_serving::Workers;

use super::Model;
use crate::audit::By;
use crate::fault::{Fault, LoadError};
use crate::load::Loaded;
use crate::policy::Transition;
use crate::state::State;

impl Model {
    /// A load has come to a good end: keeps its threads, and how long it took.
    pub(crate) fn keep(&mut self, id: u64, loaded: Loaded) {
        if let Some(artifact) = self.artifacts.iter_mut().find(|it| it.id == id) {
            artifact.metrics.loaded(Some(loaded.took));
            artifact.took = loaded.took;
            artifact.workers = Some(loaded.workers);
            self.retries.succeed((artifact.version, artifact.print));
        }
    }

    /// A load has failed. Gives how long it is until it is tried again.
    pub(crate) fn fail(&mut self, id: u64, error: &LoadError, now: Instant) -> Option<Duration> {
        let artifact = self.artifacts.iter_mut().find(|it| it.id == id)?;
        artifact.metrics.loaded(None);
        let key = (artifact.version, artifact.print);
        // One that was loaded and proved too slow had its memory.
        if error.fault == Fault::Doubtful && error.rule.is_none() {
            // Memory may have been short: what is kept for a roll-back is not to stand in the next try's way.
            self.cool();
        }
        self.retries.fail(key, error.fault, now).map(|it| it.saturating_duration_since(now))
    }

    /// A device of one that answers has failed: takes its threads. `None` if it is on its way out.
    pub(crate) fn lose(&mut self, id: u64, reason: &str, device: Device) -> Option<Workers> {
        let artifact = self.artifacts.iter_mut().find(|it| it.id == id)?;
        artifact.workers.as_ref().filter(|_| artifact.state == State::Available)?;
        artifact.lost = Some((reason.to_owned(), device));
        self.leave(id, By::Device)
    }

    /// One is out of memory. If that was because its device has failed: why, and how long it is until
    /// it is loaded again.
    pub(crate) fn mourn(&mut self, id: u64, now: Instant) -> Option<(String, Option<Duration>)> {
        let artifact = self.artifacts.iter().find(|it| it.id == id)?;
        let (reason, (_, device)) = (artifact.why_lost()?, artifact.lost.as_ref()?);
        let again = self.retries.lose((artifact.version, artifact.print), device, now);
        Some((reason, again.map(|it| it.saturating_duration_since(now))))
    }

    /// The GPU that has failed it.
    pub(crate) fn avoids(&self, id: u64) -> Option<u32> {
        let artifact = self.artifacts.iter().find(|it| it.id == id)?;
        self.retries.avoids((artifact.version, artifact.print))
    }

    /// Forgets failures whose pause is over, so that what is wanted is loaded again. Gives when the
    /// next pause is over.
    pub(super) fn try_again(&mut self, now: Instant) -> Option<Instant> {
        let due = self.retries.due(now);
        // Where the old has to go before the new comes, a try would cost the one that answers.
        let is_dear =
            self.folder.config().transition == Transition::Resources && self.is_available();
        // Requests see to it that what they wait for is tried again.
        let is_asleep = self.is_lazy() && !self.lazy.is_wanted();
        if !due.is_empty() && !is_dear && !is_asleep {
            self.artifacts.retain(|it| !(it.has_failed() && due.contains(&(it.version, it.print))));
            self.touch();
        }
        self.retries.next()
    }

    /// What has failed is tried again at once, unless a device that has failed bars it.
    pub(super) fn forget_failures(&mut self, now: Instant) {
        self.retries.forget(now);
        self.retain_failed();
    }

    /// The same for an operator, who knows better.
    pub(super) fn absolve(&mut self) {
        self.retries.absolve();
        self.retain_failed();
    }

    fn retain_failed(&mut self) {
        let retries = &self.retries;
        self.artifacts.retain(|it| !it.has_failed() || retries.has_failed((it.version, it.print)));
    }

    /// Until when none of these versions may be loaded, because the devices of all of them have failed.
    pub(super) fn barred(&self, versions: &BTreeSet<Version>, now: Instant) -> Option<Instant> {
        let keys = self.folder.prints().filter(|(version, _)| versions.contains(version));
        let barred: Option<Vec<Instant>> = keys.map(|it| self.retries.barred(it, now)).collect();
        barred?.into_iter().min()
    }
}
