//! Starts what asks for retraining, with what it needs of the rest.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use server_base::Journal;
use server_serving::Serving;
use server_triggers::{Moment, Options, Served, Triggers};

use crate::settings::Settings;
use crate::stock;

/// Nothing, if the settings know no trigger: then there is no thread either.
pub(crate) fn start(
    settings: &Settings,
    audit: Option<Arc<Journal>>,
    serving: &Arc<Serving>,
) -> anyhow::Result<Option<Triggers>> {
    if settings.triggers.rules.is_empty() {
        return Ok(None);
    }
    let serving = Arc::clone(serving);
    let options = Options {
        config: settings.triggers.clone(),
        environment: stock::environment(),
        folder: settings.state.clone(),
        audit,
        served: Box::new(move || served(&serving)),
    };
    server_triggers::start(options).map(Some).context("triggers")
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
