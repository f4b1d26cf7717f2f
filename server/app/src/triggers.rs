//! Starts what asks for retraining, with what it needs of the rest.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use server_base::{Findings, Journal, Series};
use server_serving::Serving;
pub(crate) use server_triggers::Config;
use server_triggers::{Moment, Options, Served, Triggers};

use crate::settings::Settings;
use crate::stock;

/// Its series.
pub(crate) const SERIES: [&[Series]; 1] = [server_triggers::metrics::SERIES];

/// Nothing, if the settings know no trigger: then there is no thread either.
pub(crate) fn start(
    settings: &Settings,
    audit: Option<Arc<Journal>>,
    serving: &Arc<Serving>,
) -> anyhow::Result<Option<Triggers>> {
    let serving = Arc::clone(serving);
    let served = Box::new(move || served(&serving));
    started(&settings.triggers, (settings.state.clone(), audit), served)
}

/// The same, with what is asked for and what answers said by others.
pub(crate) fn started(
    config: &Config,
    (folder, audit): (Option<PathBuf>, Option<Arc<Journal>>),
    served: Box<dyn Fn() -> Vec<Served> + Send>,
) -> anyhow::Result<Option<Triggers>> {
    if config.rules.is_empty() {
        return Ok(None);
    }
    let (config, environment) = (config.clone(), stock::environment());
    let options = Options { config, environment, folder, audit, served };
    server_triggers::start(options).map(Some).context("triggers")
}

/// For who finds something.
pub(crate) fn acting(triggers: &Triggers) -> Arc<dyn Findings> {
    Arc::new(triggers.clone())
}

/// Ends them.
pub(crate) fn stop(triggers: &Triggers, by: Instant) {
    triggers.stop(by);
}

/// What answers, and when it was made, where its registry says so.
fn served(serving: &Serving) -> Vec<Served> {
    let table = serving.table();
    let one = |it: &Arc<server_serving::Servable>| {
        let made = it.plan().facts.get("mlflow.created_ms").and_then(|it| it.parse().ok());
        let made = made.map(|it| Moment(0).after(Duration::from_millis(it)));
        Served { model: it.model().clone(), version: it.version(), made }
    };
    table.servables().map(one).collect()
}
