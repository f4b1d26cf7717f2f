//! The part of a model's books that is about the version that stays loaded for a roll-back.

use std::collections::BTreeSet;
use std::time::Instant;

use server_base::Version;

use super::Model;
use super::artifact::Artifact;
use crate::metrics;
use crate::policy::Transition;
use crate::state::State;
use crate::warm::{Candidate, Warmth, Wish, warmths};

impl Artifact {
    /// Does it stay loaded though it was replaced?
    pub(super) fn is_warm(&self) -> bool {
        match self.warmth {
            Warmth::Kept { .. } => true,
            Warmth::Wanted | Warmth::Cold | Warmth::Spent | Warmth::Evicted => false,
        }
    }

    /// Did it, and is that over?
    pub(super) fn is_spent(&self) -> bool {
        match self.warmth {
            Warmth::Spent | Warmth::Evicted => true,
            Warmth::Wanted | Warmth::Kept { .. } | Warmth::Cold => false,
        }
    }
}

impl Model {
    /// Takes note of what was replaced, and of whose time is over.
    pub(super) fn keep_warm(&mut self, now: Instant) {
        let desired = self.desired();
        let prints: BTreeSet<(Version, u64)> = self.folder.prints().collect();
        let candidate = |it: &Artifact| {
            let is_there = prints.contains(&(it.version, it.print));
            Candidate {
                version: it.version,
                is_available: it.state == State::Available,
                is_desired: is_there && desired.contains(&it.version),
                is_there,
                warmth: it.warmth,
            }
        };
        let all: Vec<Candidate> = self.artifacts.iter().map(candidate).collect();
        let window = self.folder.config().rollback_window;
        // What is wanted may have no life here yet.
        let (is_wanted, is_directed) = (!desired.is_empty(), self.direction.is_some());
        let found = warmths(&all, Wish { window, is_wanted, is_directed }, now);
        for (it, warmth) in self.artifacts.iter_mut().zip(found) {
            let was_warm = it.is_warm();
            it.warmth = warmth;
            if it.is_warm() && !was_warm {
                let (model, version, window_s) = (&self.name, it.version, window.as_secs());
                tracing::info!(%model, %version, window_s, "a version that was replaced stays loaded");
            }
        }
    }

    /// Does it answer whoever asks? What stays for a roll-back does so only where nothing else of the model can, as
    /// when the device of what is wanted has failed.
    pub(super) fn answers(&self, it: &Artifact) -> bool {
        let is_available = |it: &Artifact| it.state == State::Available;
        let is_aside =
            it.is_warm() && self.artifacts.iter().any(|it| is_available(it) && !it.is_warm());
        is_available(it) && !is_aside
    }

    /// What stays for a roll-back, while something else answers.
    fn aside(&self) -> Option<&Artifact> {
        self.artifacts.iter().find(|it| it.is_warm() && !self.answers(it))
    }

    /// Until when one stays that was replaced.
    pub(super) fn warm_until(&self) -> Option<Instant> {
        let until = |it: &Artifact| match it.warmth {
            Warmth::Kept { until, .. } => Some(until),
            Warmth::Wanted | Warmth::Cold | Warmth::Spent | Warmth::Evicted => None,
        };
        self.artifacts.iter().find_map(until)
    }

    /// Which version stays that was replaced.
    pub(super) fn warm_version(&self) -> Option<Version> {
        self.artifacts.iter().find(|it| it.is_warm()).map(|it| it.version)
    }

    /// The same, if it answers only those who name it.
    pub(super) fn aside_version(&self) -> Option<Version> {
        self.aside().map(|it| it.version)
    }

    /// What is gained if that one goes. What nothing else answers for goes with its model.
    pub(crate) fn aside_bytes(&self) -> Option<u64> {
        self.aside().map(|it| it.bytes)
    }

    /// That one goes, because others need its memory, or may.
    pub(crate) fn cool(&mut self) {
        let Some((id, version)) = self.aside().map(|it| (it.id, it.version)) else { return };
        tracing::info!(model = %self.name, %version, "what was kept for a roll-back goes for its memory");
        metrics::cooled();
        for it in self.artifacts.iter_mut().filter(|it| it.id == id) {
            it.warmth = Warmth::Evicted;
            self.is_changed = true;
        }
    }

    /// Versions stay only where the next is loaded before the old one goes.
    pub(super) fn is_kept(&self, it: &Artifact) -> bool {
        it.is_warm() && self.folder.config().transition == Transition::Availability
    }
}
