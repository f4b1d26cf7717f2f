//! What `[drift]` in a `model.toml` says, and the monitor of a version that has been loaded.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use server_base::Subject;
use server_base::settings::Section;
use server_drift::{MonitorPlan, RawMonitorPlan};

use crate::config::ModelConfig;
use crate::load::{LoadJob, Loaded};

/// A version that is to be watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Whose predictions, and how they are logged.
    pub subject: Subject,
    /// Its folder, which may hold the reference.
    pub folder: PathBuf,
    /// How.
    pub plan: MonitorPlan,
}

/// As long as somebody holds it, the version is loaded.
pub type Presence = Box<dyn Any + Send + Sync>;

/// Watches what is logged.
pub trait Monitors: fmt::Debug + Send + Sync {
    /// From now on that version too. An error: what its configuration asks for cannot be done.
    fn watch(&self, watched: Watched) -> Result<Presence, String>;
}

/// How a model is watched, by the text of its `model.toml`; `None`: not at all. The rest of the file is
/// for those to judge who serve the model.
pub fn plan_of(text: &str) -> Result<Option<MonitorPlan>, String> {
    let table: toml::Table = text.parse().map_err(|it: toml::de::Error| it.to_string())?;
    let plan = table.get("drift").map(plan).transpose();
    plan.map_err(|it| format!("drift: {it}"))
}

/// Reads the section.
pub(crate) fn plan(value: &toml::Value) -> Result<MonitorPlan, String> {
    let raw: RawMonitorPlan = value.clone().try_into().map_err(|it: toml::de::Error| {
        // The place is in the file, not in the value.
        it.message().to_owned()
    })?;
    raw.validate().map_err(|it| it.join("; "))
}

/// Reports what does not go together.
pub(crate) fn check(config: &ModelConfig, root: &mut Section<'_>) {
    if config.drift.is_some() && config.log.is_none() {
        root.fault("drift", "a monitor reads the prediction log: expected a [log] beside it");
    }
}

/// Has a version that has been loaded be watched, if it is to be. An error: it cannot be as its
/// configuration says.
pub(crate) fn watch(
    monitors: Option<&Arc<dyn Monitors>>,
    (job, digest): (&LoadJob, Option<&str>),
    loaded: &Loaded,
) -> Result<(), String> {
    let LoadJob { model, version, config, folder, .. } = job;
    // Without a log there is nothing to read; that is said where the log is opened.
    let (Some(plan), Some(log), Some(monitors)) = (&config.drift, &config.log, monitors) else {
        return Ok(());
    };
    let servable = loaded.workers.servable();
    let subject = Subject {
        model: model.clone(),
        version: *version,
        digest: digest.map(str::to_owned),
        backend: Some(loaded.engine.to_owned()),
        source: None,
        signature: servable.signature().clone(),
        config: log.clone(),
        truth: config.truth.clone(),
    };
    let watched = Watched { subject, folder: folder.clone(), plan: plan.clone() };
    servable.set_presence(monitors.watch(watched).map_err(|it| format!("drift: {it}"))?);
    Ok(())
}
