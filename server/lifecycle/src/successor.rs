//! The part of a model's books that says what a new version has to stand in for.

use backend_api::Signature;
use server_base::Version;

use super::Model;
use super::artifact::Artifact;
use crate::config::{ModelConfig, VersionPolicy};

impl Model {
    /// The version that answers now, and what it takes and gives, if one that is to be loaded must take and
    /// give the same. A rollout compares the two itself, and says more of it.
    pub(super) fn stands_in_for(&self, new: &Artifact) -> Option<Box<(Version, Signature)>> {
        let asked = new.config.proof.same_signature;
        let is_held_to_it = asked.unwrap_or_else(|| replaces(&new.config));
        if !is_held_to_it || self.direction.is_some() {
            return None;
        }
        let answers = self.artifacts.iter().filter(|it| self.answers(it));
        // Of several the newest is what callers get who name none.
        let newest = answers.max_by_key(|it| (it.version, it.id))?;
        // The same files, configured otherwise: what differs is what is known of them, as of lengths without warm-up.
        if (newest.version, newest.look) == (new.version, new.look) {
            return None;
        }
        let signature = newest.workers.as_ref()?.servable().signature().clone();
        Some(Box::new((newest.version, signature)))
    }
}

/// Does a version take the place of another? Where several are wanted they stand side by side, and
/// whoever wants one asks for it by its number or label.
fn replaces(config: &ModelConfig) -> bool {
    match &config.versions {
        VersionPolicy::Latest(count) => *count == 1,
        VersionPolicy::Specific(versions) => versions.len() == 1,
        VersionPolicy::All => false,
    }
}
