//! `salver monitor`: its parts put together, run until a signal, and taken down.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use server_base::{Findings, Journal};
use server_frontend::{Bound, Watching};
use server_monitor::fleet::{Fleet, FolderSource, Options, Repository, Source};
use server_triggers::{Moment, Served, Triggers};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::findings::FanOut;
use crate::fleet_settings::FleetSettings;
use crate::recorder::Recorded;
use crate::serve::{AUDIT_BYTES_MAX, CONTROL_DRAIN, control_limits, keep_up};
use crate::{fleet_store, telemetry, triggers};

/// What of the state folder is the fleet's own.
const FOLDER: &str = "fleet";

/// How long what is being read may take to its end. What is cut off is read again after the next start.
const DRAIN: Duration = Duration::from_secs(10);

/// A fleet's monitor that runs.
pub(crate) struct FleetMonitor {
    fleet: Fleet,
    triggers: Option<Triggers>,
    port: Port,
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
        let roots = settings.repository.clone().into_iter().collect();
        let mut repository = Repository::new(roots, settings.models.clone());
        repository.look().context("models")?;
        let triggers = asking(settings, &repository)?;
        let acting = triggers.clone().map(|it| Arc::new(it) as Arc<dyn Findings>);
        let options = Options {
            source: source(&settings.logs, &folder).context("log")?,
            repository,
            folder: folder.clone(),
            findings: FanOut::new(acting.into_iter().collect()),
            bounds: settings.bounds.clone(),
            now: Box::new(now),
        };
        let fleet = Fleet::start(options, settings.interval);
        let fleet = fleet.with_context(|| format!("state folder {}", folder.display()))?;
        let watching = Watching::new(
            Arc::clone(fleet.monitors()),
            triggers.clone(),
            (fleet.is_ready(), control_limits()),
            {
                let metrics = metrics.clone();
                move || telemetry::render(&metrics)
            },
        );
        let port = Port::start(bound, watching, metrics)?;
        Ok(FleetMonitor { fleet, triggers, port, address })
    }

    /// Ends it. True: nothing was cut off.
    pub(crate) fn stop(self) -> bool {
        let by = Instant::now() + DRAIN;
        let clean = self.fleet.stop(DRAIN);
        self.triggers.into_iter().for_each(|it| it.stop(by));
        self.port.stop();
        clean
    }
}

/// The wall clock, in microseconds since 1970.
fn now() -> i64 {
    i64::try_from(Moment::now().0).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// The triggers, which hear of the models that are followed.
fn asking(settings: &FleetSettings, repository: &Repository) -> anyhow::Result<Option<Triggers>> {
    let audit = Journal::new(&settings.state, "audit", AUDIT_BYTES_MAX);
    let shown = repository.shown();
    let served = move || {
        let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(model, version): &(_, _)| Served {
            model: Clone::clone(model),
            version: *version,
            made: None,
        };
        shown.iter().map(one).collect()
    };
    let kept = (Some(settings.state.clone()), Some(Arc::new(audit)));
    triggers::started(&settings.triggers, kept, Box::new(served))
}

fn source(logs: &[String], folder: &Path) -> anyhow::Result<Box<dyn Source>> {
    if let Some(store) = logs.first().and_then(|it| fleet_store::source(it, folder)) {
        return Ok(store?);
    }
    for log in logs {
        anyhow::ensure!(
            Path::new(log).is_dir(),
            "{log:?} is no folder: expected {}",
            fleet_store::FORMS
        );
    }
    Ok(Box::new(FolderSource::new(logs.iter().map(Into::into).collect())))
}

/// The port's own thread and runtime.
struct Port {
    thread: thread::JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Port {
    fn start(bound: Bound, watching: Watching, metrics: Recorded) -> io::Result<Port> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let listening = {
            let _inside = runtime.enter();
            bound.serve(Arc::new(watching), control_limits())?
        };
        let thread = thread::Builder::new().name("monitor".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = keep_up(&metrics) => {}
                }
                listening.drain(Instant::now() + CONTROL_DRAIN).await;
            });
        })?;
        Ok(Port { thread, stop })
    }

    fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}
