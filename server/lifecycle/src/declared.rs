//! What a `model.toml` with `[rollout]` asks for: new versions take over step by step.

use std::path::PathBuf;
use std::sync::Arc;

use server_base::settings::Section;
use server_base::{ModelName, Version};

use crate::config::{LoadPolicy, ModelConfig, VersionPolicy};
use crate::plan::Plan;

/// The version that a model is to come to by a rollout, or came to want while a rollout directs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Whose.
    pub model: ModelName,
    /// What the version policy wants.
    pub version: Version,
    /// Changes when any file of it looks different. Of this process alone.
    pub look: u64,
    /// Where it lies: what its content is can be read there.
    pub folder: PathBuf,
    /// The digest of what its file says of a load. The same for the same text, wherever and by
    /// whichever release it is read.
    pub settings: String,
    /// How it is to go; `None`: its file asks for no rollout any more.
    pub plan: Option<Arc<Plan>>,
}

/// Reports what does not go together with rollouts.
pub(crate) fn check(config: &ModelConfig, root: &mut Section<'_>) {
    if config.rollout.is_none() {
        return;
    }
    let versions = match &config.versions {
        VersionPolicy::Latest(count) => *count,
        VersionPolicy::Specific(versions) => versions.len(),
        VersionPolicy::All => usize::MAX,
    };
    if versions != 1 {
        let text = "a rollout leads from one version to another: expected a version_policy of one \
                    version, { latest = 1 } or { specific = [N] }";
        root.fault("rollout", text);
    }
    if !config.traffic.weights.is_empty() {
        root.fault("rollout", "shares are the rollout's: expected no traffic.weights");
    }
    if config.traffic.shadow.is_some() {
        root.fault("rollout", "copies are the rollout's: expected no traffic.shadow");
    }
    if config.load == LoadPolicy::Lazy {
        root.fault(
            "rollout",
            "a model that is loaded on demand cannot be compared: expected load = \"eager\"",
        );
    }
}

#[cfg(all(test, feature = "rollouts"))]
#[path = "declared_tests.rs"]
mod tests;
