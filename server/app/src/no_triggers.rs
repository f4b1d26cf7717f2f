//! In place of `triggers` in a build without them.

use std::sync::Arc;
use std::time::Instant;

use server_base::settings::Section;
use server_base::{Findings, Journal, Series};
use server_frontend::Triggers;
use server_serving::Serving;

use crate::settings::Settings;

/// None.
pub(crate) const SERIES: [&[Series]; 0] = [];

/// There are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {}

impl Config {
    /// Refuses them.
    pub(crate) fn read(root: &mut Section<'_>) -> Config {
        for key in ["trigger", "target"] {
            let missing = "this build is without triggers, which `--features triggers` adds";
            root.with(key, |_| Err::<(), _>(missing));
        }
        Config::default()
    }
}

/// There are none.
pub(crate) fn start(
    settings: &Settings,
    _audit: Option<Arc<Journal>>,
    _serving: &Arc<Serving>,
) -> anyhow::Result<Option<Triggers>> {
    let Config {} = settings.triggers;
    Ok(None)
}

/// For who finds something.
pub(crate) fn acting(triggers: &Triggers) -> Arc<dyn Findings> {
    match *triggers {}
}

/// Ends them.
pub(crate) fn stop(triggers: &Triggers, _by: Instant) {
    match *triggers {}
}
