//! `[rollout]` in a `model.toml`: how a new version takes over.

use std::sync::Arc;

pub use server_rollout::Plan;
use server_rollout::RawPlan;

/// The section, with the keys of a rollout's plan.
pub(crate) fn read(value: &toml::Value) -> Result<Arc<Plan>, String> {
    let raw: RawPlan = value.clone().try_into().map_err(|it: toml::de::Error| {
        // The place is in the file, not in the value.
        it.message().to_owned()
    })?;
    raw.validate().map(Arc::new).map_err(|it| it.0.join("; "))
}
