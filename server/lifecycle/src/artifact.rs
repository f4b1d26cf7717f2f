//! One revision of one version, as its model's books have it.

use std::path::PathBuf;
use std::time::Duration;

use backend_api::Device;
use server_base::Version;
use server_serving::Workers;

use crate::audit::By;
use crate::config::ModelConfig;
use crate::metrics::ArtifactMetrics;
use crate::state::State;
use crate::warm::Warmth;

/// See the module.
pub(super) struct Artifact {
    pub(super) id: u64,
    pub(super) version: Version,
    pub(super) print: u64,
    /// Of its content alone.
    pub(super) look: u64,
    pub(super) folder: PathBuf,
    pub(super) config: ModelConfig,
    pub(super) state: State,
    pub(super) workers: Option<Workers>,
    pub(super) took: Duration,
    /// Its files' sizes.
    pub(super) on_disk: u64,
    /// Memory that it takes, as far as is known.
    pub(super) bytes: u64,
    /// Which bytes were loaded.
    pub(super) digest: Option<String>,
    /// Set once its device has failed: why, and which.
    pub(super) lost: Option<(String, Device)>,
    /// Who wanted what was done with it last.
    pub(super) by: By,
    /// Whether it stays once it is replaced.
    pub(super) warmth: Warmth,
    pub(super) metrics: ArtifactMetrics,
}

impl Artifact {
    /// On its way out of memory, or gone: what is wanted anew is a new artifact.
    pub(super) fn is_over(&self) -> bool {
        match &self.state {
            // What has lost its device comes again after a pause, when it is out of memory.
            State::Unloading => self.lost.is_none(),
            State::End { reason: None } => true,
            State::Start | State::Loading | State::Available | State::End { reason: Some(_) } => {
                false
            }
        }
    }

    /// Why it is on its way out, or gone, if its device has failed.
    pub(super) fn why_lost(&self) -> Option<String> {
        self.lost.as_ref().map(|(reason, device)| format!("device {device} failed: {reason}"))
    }

    /// Has its load come to an end, good or bad?
    pub(super) fn has_come(&self) -> bool {
        match &self.state {
            State::Available | State::End { reason: Some(_) } => true,
            State::Start | State::Loading | State::Unloading | State::End { reason: None } => false,
        }
    }

    /// Does it answer, or may it yet?
    pub(super) fn is_hopeful(&self) -> bool {
        match &self.state {
            State::Start | State::Loading | State::Available => true,
            State::Unloading | State::End { .. } => false,
        }
    }

    /// Is it in memory, on its way there or on its way out?
    pub(super) fn is_in_memory(&self) -> bool {
        match &self.state {
            State::Loading | State::Available | State::Unloading => true,
            State::Start | State::End { .. } => false,
        }
    }

    /// Has its load failed?
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state, State::End { reason: Some(_) })
    }
}
