//! In place of `plan` in a build without rollouts.

use std::sync::Arc;

/// There is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {}

/// Refuses it. To serve such a model with a warning, as other sections are passed over that ask for what is not
/// there, would let versions take over that nobody has compared.
pub(crate) fn read(_: &toml::Value) -> Result<Arc<Plan>, String> {
    let text = "this build is without rollouts, which `--features rollouts` adds; \
                without a [rollout] new versions take over at once";
    Err(text.to_owned())
}
