//! Starts what drives rollouts, with what it needs of the rest.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use server_base::{Journal, Series};
use server_conductor::{Beside, Conductor, Contents, Kept};
use server_frontend::Truth;
use server_lifecycle::Lifecycle;
use server_serving::Serving;
use server_supply::Prepared;

use crate::process;
use crate::settings::Settings;
pub use crate::share::Meeting;
use crate::verdicts;

/// Its series.
pub(crate) const SERIES: [&[Series]; 1] = [server_conductor::metrics::SERIES];

/// Reads what was under way, here and elsewhere.
pub(crate) fn read(settings: &Settings, audit: Option<Arc<Journal>>) -> anyhow::Result<Kept> {
    let folder = settings.state.clone();
    let share = settings.rollout_share.as_ref().map(Meeting::share).transpose()?;
    let mut places =
        folder.as_ref().map(|it| it.display().to_string()).into_iter().collect::<Vec<_>>();
    places.extend(share.as_ref().map(ToString::to_string));
    let options = server_conductor::Options {
        folder,
        share,
        // Without a name a number tells replicas apart.
        host: process::host(),
        audit,
        interval: settings.rollout_interval,
    };
    let read = server_conductor::read(&options);
    read.with_context(|| format!("state of rollouts {}", places.join(" ")))
}

/// Takes it up. Registries hear of what is decided about models that came from them.
pub(crate) fn start(
    kept: Kept,
    (lifecycle, serving): (Lifecycle, Arc<Serving>),
    prepared: Option<&Prepared>,
    truth: Option<Arc<Truth>>,
) -> io::Result<Conductor> {
    let listener = prepared.map(|it| verdicts::listener(it.verdicts()));
    let contents = prepared.map(contents).unwrap_or_default();
    kept.start(lifecycle, serving, Beside { listener, contents, truth })
}

/// What the versions are that came from registries, which need not be read to know it.
fn contents(prepared: &Prepared) -> Contents {
    let (folder, origins) = (prepared.folder().to_path_buf(), prepared.origins());
    Contents::new(move |model, version, at| {
        let origin = origins.get(model.as_str()).filter(|_| at.starts_with(&folder))?;
        origin.versions.get(&version).map(|it| it.digest.clone())
    })
}
