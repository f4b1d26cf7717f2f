//! `salver monitor`: its parts put together, run until a signal, and taken down.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use server_base::{Findings, Journal, ModelName, TruthConfig, Version};
use server_frontend::{Bound, Watching};
use server_monitor::fleet::{
    Both, Fleet, FolderSource, Judged, Log, Options, Performance, Repository, Source,
};
use server_triggers::{Moment, Served, Triggers};

use crate::control::{self, ControlPort};
use crate::findings::FanOut;
use crate::fleet_settings::FleetSettings;
use crate::kafka::{self, Topic};
use crate::recorder::Recorded;
use crate::serve::AUDIT_BYTES_MAX;
use crate::{label_log, log_source, telemetry, triggers};

/// What of the state folder is the fleet's own.
const FOLDER: &str = "fleet";

/// How long what is being read may take to its end. What is cut off is read again after the next start.
const DRAIN: Duration = Duration::from_secs(10);

/// And triggers, to write down what they were told last, however long the others took.
const TRIGGERS_DRAIN_MIN: Duration = Duration::from_secs(2);

/// A fleet's monitor that runs.
pub(crate) struct FleetMonitor {
    fleet: Fleet,
    performance: Performance,
    triggers: Option<Triggers>,
    port: ControlPort,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl FleetMonitor {
    /// Takes the port, starts every part, and returns while the log is being read.
    pub(crate) fn start(
        settings: &FleetSettings,
        metrics: Recorded,
    ) -> anyhow::Result<FleetMonitor> {
        let bound = Bound::bind("monitor", SocketAddr::new(settings.host, settings.port))?;
        let address = bound.address()?;
        let folder = settings.state.join(FOLDER);
        fs::create_dir_all(&folder)
            .with_context(|| format!("state folder {}", folder.display()))?;
        let roots: Vec<PathBuf> = settings.repository.clone().into_iter().collect();
        let mut repository = Repository::new(roots.clone(), settings.models.clone());
        repository.look().context("models")?;
        let mut judged = Repository::judged(roots, settings.models.clone());
        judged.look().context("models")?;
        let audit = Arc::new(Journal::new(&settings.state, "audit", AUDIT_BYTES_MAX));
        let triggers =
            asking(settings, ([repository.shown(), judged.shown()], Arc::clone(&audit)))?;
        let acting = triggers.clone().map(|it| Arc::new(it) as Arc<dyn Findings>);
        let findings: Arc<dyn Findings> = FanOut::new(Some(audit), acting.into_iter().collect());
        let options = Options {
            log: log(&settings.logs, &folder).context("log")?,
            repository,
            folder: folder.clone(),
            findings: Arc::clone(&findings),
            bounds: settings.bounds.clone(),
            now: Box::new(now),
        };
        let fleet = Fleet::start(options, settings.interval);
        let fleet = fleet.with_context(|| format!("state folder {}", folder.display()))?;
        // After that, which holds the folder's lock.
        let performance = performance(settings, (&folder, judged, findings))?;
        let (is_ready, lives) = (fleet.is_ready(), performance.lives());
        let is_ready = move || is_ready() && lives();
        let watching = Watching::new(
            Arc::clone(fleet.monitors()),
            triggers.clone(),
            (Box::new(is_ready), control::limits()),
            {
                let metrics = metrics.clone();
                move || telemetry::render(&metrics)
            },
        );
        let watching = watching.with_performance(Box::new(performance.shown()));
        let port = ControlPort::start("monitor", (bound, watching), metrics)?;
        Ok(FleetMonitor { fleet, performance, triggers, port, address })
    }

    /// Ends it. True: nothing was cut off.
    pub(crate) fn stop(self) -> bool {
        let by = Instant::now() + DRAIN;
        let left = || by.saturating_duration_since(Instant::now());
        // All are told before the first is waited for.
        self.fleet.tell();
        self.performance.tell();
        let clean = self.fleet.stop(left()) & self.performance.stop(left());
        let by = by.max(Instant::now() + TRIGGERS_DRAIN_MIN);
        self.triggers.into_iter().for_each(|it| it.stop(by));
        self.port.stop();
        clean
    }
}

/// Starts what holds labels against predictions. They lie beside those, in files or in a topic of their own.
fn performance(
    settings: &FleetSettings,
    (folder, repository, findings): (&Path, Repository<TruthConfig>, Arc<dyn Findings>),
) -> anyhow::Result<Performance> {
    let folder = folder.join("performance");
    let options = Judged {
        logs: both(&settings.logs, &folder)?,
        repository,
        folder: folder.clone(),
        findings,
        bounds: settings.bounds.clone(),
        truth_bytes_max: settings.truth_bytes_max,
        now: Box::new(now),
    };
    let started = Performance::start(options, settings.interval);
    started.with_context(|| format!("state folder {}", folder.display()))
}

/// The wall clock, in microseconds since 1970.
fn now() -> i64 {
    i64::try_from(Moment::now().0).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// Versions that are followed.
type Shown = Arc<Mutex<Vec<(ModelName, Version)>>>;

/// The triggers, which hear of the models that are followed.
fn asking(
    settings: &FleetSettings,
    (shown, audit): ([Shown; 2], Arc<Journal>),
) -> anyhow::Result<Option<Triggers>> {
    let served = move || {
        // One that is watched and judged is one.
        let mut all = BTreeSet::new();
        for it in &shown {
            all.extend(it.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        }
        all.into_iter().map(|(model, version)| Served { model, version, made: None }).collect()
    };
    let kept = (Some(settings.state.clone()), Some(audit));
    triggers::started(&settings.triggers, kept, Box::new(served))
}

fn topic(logs: &[String]) -> Option<Result<Topic, String>> {
    logs.first().and_then(|it| Topic::parse(it))
}

fn log(logs: &[String], folder: &Path) -> anyhow::Result<Log> {
    match topic(logs) {
        Some(topic) => Ok(Log::Stream(topic.map_err(anyhow::Error::msg)?.stream()?)),
        None => files(logs, folder).map(Log::Files),
    }
}

/// Predictions, and the labels beside them.
fn both(logs: &[String], folder: &Path) -> anyhow::Result<Both> {
    match topic(logs) {
        Some(topic) => {
            let topic = topic.map_err(anyhow::Error::msg)?;
            Ok(Both::Streams {
                predictions: topic.stream().context("log")?,
                labels: topic.beside().context("labels")?.stream().context("labels")?,
            })
        }
        None => Ok(Both::Files {
            predictions: files(logs, &folder.join("predictions")).context("log")?,
            labels: labels(logs, &folder.join("labels")).context("labels")?,
        }),
    }
}

fn files(logs: &[String], folder: &Path) -> anyhow::Result<Box<dyn Source>> {
    if let Some(store) = logs.first().and_then(|it| log_source::source(it, folder)) {
        return Ok(store?);
    }
    for log in logs {
        anyhow::ensure!(
            Path::new(log).is_dir(),
            "{log:?} is no folder: expected {}, or {}",
            log_source::FORMS,
            kafka::FORM
        );
    }
    Ok(Box::new(FolderSource::new(logs.iter().map(Into::into).collect())))
}

/// Where labels lie beside those logs.
fn labels(logs: &[String], folder: &Path) -> anyhow::Result<Box<dyn Source>> {
    if let Some(store) = logs.first().and_then(|it| log_source::labels(it, folder)) {
        return Ok(store?);
    }
    let beside = |it: &String| (PathBuf::from(it), label_log::beside(Path::new(it)));
    Ok(Box::new(FolderSource::labels(logs.iter().map(beside).collect())))
}
