//! The part of a model's books from which others read what was done, and who wanted it.

use std::time::SystemTime;

use server_serving::Workers;

use super::Model;
use crate::audit::{By, Done, Record};
use crate::metrics::LoadCause;
use crate::state::State;
use crate::warm::Warmth;

impl Model {
    /// A load begins.
    pub(crate) fn begin(&mut self, id: u64, cause: LoadCause) {
        let by = match cause {
            LoadCause::Command => By::Command,
            LoadCause::Request => By::Request,
            LoadCause::Retry => By::Retry,
            LoadCause::Repository if self.direction.is_some() => By::Rollout,
            LoadCause::Repository => By::Repository,
        };
        self.artifacts.iter_mut().filter(|it| it.id == id).for_each(|it| it.by = by);
    }

    /// One of them is to be unloaded: takes its threads.
    pub(crate) fn end(&mut self, id: u64) -> Option<Workers> {
        let is_evicted =
            self.artifacts.iter().any(|it| it.id == id && it.warmth == Warmth::Evicted);
        let by = match &self.asleep_by {
            _ if is_evicted => By::Room,
            Some(by) if self.unloaded || (self.is_lazy() && !self.lazy.is_wanted()) => *by,
            Some(_) | None if self.direction.is_some() => By::Rollout,
            Some(_) | None => By::Repository,
        };
        self.leave(id, by)
    }

    /// The same, because the server ends.
    pub(crate) fn shut_down(&mut self, id: u64) -> Option<Workers> {
        self.leave(id, By::Shutdown)
    }

    pub(super) fn leave(&mut self, id: u64, by: By) -> Option<Workers> {
        let artifact = self.artifacts.iter_mut().find(|it| it.id == id)?;
        // Of one that is on its way out already the first cause counts.
        let workers = artifact.workers.take()?;
        artifact.by = by;
        Some(workers)
    }

    /// Is one of them on its way out of memory?
    pub(crate) fn is_unloading(&self, id: u64) -> bool {
        self.artifacts.iter().any(|it| it.id == id && it.state == State::Unloading)
    }

    /// The bytes that a loader found.
    pub(crate) fn is_of(&mut self, id: u64, digest: Option<String>) {
        if let Some(artifact) = self.artifacts.iter_mut().find(|it| it.id == id) {
            artifact.digest = digest;
        }
    }

    /// What was done with one of them.
    pub(crate) fn record(&self, id: u64, done: Done) -> Option<Record> {
        let artifact = self.artifacts.iter().find(|it| it.id == id)?;
        Some(Record {
            at: SystemTime::now(),
            model: self.name.clone(),
            version: artifact.version,
            digest: artifact.digest.clone(),
            by: artifact.by,
            done,
        })
    }
}
