//! Which versions of a model are wanted now, and which one waits for a rollout.

use std::collections::BTreeSet;

use server_base::Version;

use super::Model;
use crate::declared::Declared;
use crate::desired::{desired, or_else};
use crate::state::State;

impl Model {
    pub(super) fn desired(&self) -> BTreeSet<Version> {
        if self.is_lazy() && !self.lazy.is_wanted() { BTreeSet::new() } else { self.wanted() }
    }

    /// The same, if it is asked for.
    pub(super) fn wanted(&self) -> BTreeSet<Version> {
        if !self.may_be_wanted() {
            return BTreeSet::new();
        }
        let present = self.present();
        if let Some(direction) = &self.direction {
            let there: BTreeSet<Version> =
                present.intersection(&direction.wanted).copied().collect();
            // What is not there replaces nothing.
            return if there.is_empty() { self.answering() } else { there };
        }
        let (config, broken) = (self.folder.config(), self.broken());
        let wanted = desired(&config.versions, &present, &broken);
        let wanted = or_else(wanted, config.fallback, (&present, &broken));
        let answer = self.answering();
        let is_new = wanted.is_empty() || !wanted.is_subset(&answer);
        if self.folder.config().rollout.is_some() && is_new && !answer.is_empty() {
            return answer; // what is new, or still to come, is loaded when its rollout begins
        }
        wanted
    }

    /// What its file asks to have rolled out, whether that has happened or not; and what it wants without, while a rollout
    /// directs the model: that may be another version than the rollout's.
    pub(crate) fn declared(&self) -> Option<Declared> {
        let config = self.folder.config();
        let plan = config.rollout.clone();
        if !self.may_be_wanted() || (plan.is_none() && self.direction.is_none()) {
            return None;
        }
        // Even one that cannot be loaded: its rollout says so.
        let wanted = desired(&config.versions, &self.present(), &BTreeSet::new());
        let version = wanted.last().copied()?;
        let found = self.folder.present().get(&version)?;
        let (look, folder) = (found.look.print, found.folder.clone());
        let (model, settings) = (self.name.clone(), self.folder.settings().to_owned());
        Some(Declared { model, version, look, folder, settings, plan })
    }

    fn may_be_wanted(&self) -> bool {
        let is_sound = self.folder.faults().is_empty() || self.is_available();
        !self.unloaded && self.folder.is_configured() && is_sound
    }

    fn present(&self) -> BTreeSet<Version> {
        self.folder.present().keys().copied().collect()
    }

    /// Versions that answer whoever asks, and whose content is still there.
    fn answering(&self) -> BTreeSet<Version> {
        let versions = self.artifacts.iter().filter(|it| self.answers(it)).map(|it| it.version);
        versions.filter(|it| self.folder.present().contains_key(it)).collect()
    }

    /// Versions whose content on disk cannot be loaded, and of which no older content answers.
    fn broken(&self) -> BTreeSet<Version> {
        let prints: BTreeSet<(Version, u64)> = self.folder.prints().collect();
        let failed = |it: &&super::Artifact| {
            matches!(it.state, State::End { reason: Some(_) })
                && prints.contains(&(it.version, it.print))
        };
        let answers = |version: Version| {
            self.artifacts.iter().any(|it| it.version == version && it.state == State::Available)
        };
        let failed = self.artifacts.iter().filter(failed).map(|it| it.version);
        failed.filter(|it| !answers(*it)).collect()
    }
}
