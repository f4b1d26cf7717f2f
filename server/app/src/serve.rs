//! The server: its parts put together, run until a signal, and taken down from the outside in.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use server_base::{Findings, Journal, Origins, PredictionLog};
use server_feedback::Log;
use server_frontend::{
    Bound, ConnectionLimits, Control, Drain, Frontend, Listening, Monitors, Shared, Triggers,
    Truth, Webhook,
};
use server_lifecycle::{Audit, Clock, Defaults, Engines, Lacks, Lifecycle};
use server_regions::{Gpus, Regions};
use server_serving::{Admission, Cores, Serving};
use server_supply::{Prepared, Supply, Target};
use tokio::runtime::{Builder, Runtime};

use crate::audit::Auditor;
use crate::cli::SchedulerArg;
use crate::control::{self, ControlPort};
use crate::findings::FanOut;
use crate::label_log::LabelLog;
use crate::loaded::Loaded;
use crate::recorder::Recorded;
use crate::settings::Settings;
use crate::{
    built, gpus, logged, monitors, rollouts, sourced, stock, telemetry, triggers, truth, webhook,
};

/// The audit log is begun anew above this, and the one before is kept: years of decisions.
pub(crate) const AUDIT_BYTES_MAX: u64 = 64 << 20;

/// How long the prediction log has at the least to write down and deliver what has come, and labels before it. What
/// they do not deliver by then comes after the next start.
const LOG_DRAIN: Duration = Duration::from_secs(2);

/// And triggers and the audit log, to write down what they were told last, however long the others took: what was
/// left behind is told when the time is up.
const LAST_DRAIN_MIN: Duration = Duration::from_millis(500);

/// What a platform has to allow beyond the drain: the chart's five seconds. Some of them are for the process to end.
const EXIT: Duration = Duration::from_secs(5);

const _: () = {
    let longest =
        2 * LOG_DRAIN.as_millis() + LAST_DRAIN_MIN.as_millis() + control::DRAIN.as_millis();
    assert!(longest + 300 <= EXIT.as_millis(), "the server would be killed while it stops");
};

/// A server that answers.
pub struct Server {
    lifecycle: Lifecycle,
    /// Brings the models of registries, if there are any.
    supply: Option<Supply>,
    serving: Arc<Serving>,
    log: Option<Arc<Log>>,
    truth: Option<Arc<Truth>>,
    labels: Option<LabelLog>,
    data: Runtime,
    listening: Vec<Listening>,
    control: ControlPort,
    auditor: Option<Auditor>,
    triggers: Option<Triggers>,
    findings: Arc<dyn Findings>,
    _gpus: Option<gpus::Watch>,
    /// Where it listens.
    pub addresses: Addresses,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// HTTP first, gRPC as well.
    pub http: SocketAddr,
    /// gRPC first, HTTP as well.
    pub grpc: SocketAddr,
    /// Metrics and probes.
    pub metrics: SocketAddr,
}

/// The ports, taken.
struct Ports {
    http: Bound,
    grpc: Option<Bound>,
    control: Bound,
}

impl Ports {
    fn take(settings: &Settings) -> anyhow::Result<(Ports, Addresses)> {
        let at = |port| SocketAddr::new(settings.host, port);
        let http = Bound::bind("http", at(settings.http_port))?;
        // Either port speaks both, so one is enough where a platform allows no more.
        let one_port = settings.grpc_port != 0 && settings.grpc_port == settings.http_port;
        let grpc = if one_port { None } else { Some(Bound::bind("grpc", at(settings.grpc_port))?) };
        let control = Bound::bind("metrics", at(settings.metrics_port))?;
        let addresses = Addresses {
            http: http.address()?,
            grpc: grpc.as_ref().unwrap_or(&http).address()?,
            metrics: control.address()?,
        };
        Ok((Ports { http, grpc, control }, addresses))
    }
}

/// Whose threads answer requests.
fn data_runtime(settings: &Settings) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(settings.worker_threads).thread_name("data").enable_all().build()
}

impl Server {
    /// Takes the ports, starts every part, and returns while the models are still loading.
    pub fn start(
        settings: &Settings,
        engines: Engines,
        metrics: Recorded,
    ) -> anyhow::Result<Server> {
        let (Ports { http, grpc, control }, addresses) = Ports::take(settings)?;
        let gpus = gpus::watch(settings.libraries.nvml_library.as_deref())?;
        let serving = Arc::new(Serving::new(Admission::new(settings.admission)));
        let journal = journal(settings)?;
        let (audit, auditor) = journal.clone().map(Auditor::start).transpose()?.unzip();
        let triggers = triggers::start(settings, journal.clone(), &serving)?;
        let kept = rollouts::read(settings, journal.clone())?;
        let mut prepared = prepare(settings, &engines)?.map(|it| it.audited(journal.clone()));
        let webhook = webhook::webhook(settings.webhook_secret_file.as_deref(), prepared.as_mut())?;
        let origins = prepared.as_ref().map(Prepared::origins).unwrap_or_default();
        // Before the first model is loaded, and until the last is gone.
        let findings: Arc<dyn Findings> = FanOut::new(journal, acting(triggers.as_ref()));
        let Logging { log, monitors, truth, labels } = Logging::start(settings, &findings)?;
        let recorded = watched(log.as_ref(), truth.as_ref(), origins.clone());
        let told =
            Told { audit: audit.unwrap_or_default(), log: recorded, monitors: monitors.as_ref() };
        let mut options = lifecycle_options(settings, &engines, told, prepared.as_ref());
        options.directions = kept.directions();
        options.gpus = gpus.as_ref().map(gpus::Watch::places).unwrap_or_default();
        let lifecycle = server_lifecycle::start(options, engines, Arc::clone(&serving))
            .context("model repository")?;
        let limits = ConnectionLimits {
            connections_max: settings.connections_max,
            ..ConnectionLimits::default()
        };
        let driven = (lifecycle.clone(), Arc::clone(&serving));
        let conductor = rollouts::start(kept, driven, prepared.as_ref(), truth.clone())?;
        let shared = Arc::new(Shared {
            serving: Arc::clone(&serving),
            lifecycle: lifecycle.clone(),
            origins,
            conductor,
            monitors,
            truth: truth.clone(),
            triggers: triggers.clone(),
            regions: regions(settings),
            version: env!("CARGO_PKG_VERSION"),
            options: server_frontend::Options {
                request_bytes_max: settings.request_bytes_max,
                connections: limits.clone(),
            },
        });

        let data = data_runtime(settings)?;
        let frontend = Arc::new(Frontend::new(Arc::clone(&shared))?);
        let inside = data.enter();
        let mut listening = vec![http.serve(Arc::clone(&frontend), limits.clone())?];
        if let Some(grpc) = grpc {
            listening.push(grpc.serve(frontend, limits)?);
        }
        drop(inside);
        let operators = operators(shared, webhook, (&metrics, log.clone()));
        let control = ControlPort::start("control", (control, operators), metrics)?;
        let loaded = Loaded::new(&lifecycle, settings);
        let supply =
            prepared.map(|it| it.start(Box::new(loaded), server_serving::give_way)).transpose()?;
        Ok(Server {
            lifecycle,
            supply,
            serving,
            log,
            truth,
            labels,
            data,
            listening,
            control,
            auditor,
            triggers,
            findings,
            _gpus: gpus,
            addresses,
        })
    }

    /// The model repository's handle.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Who is told what monitors find.
    pub fn findings(&self) -> Arc<dyn Findings> {
        Arc::clone(&self.findings)
    }

    /// The hot path.
    pub fn serving(&self) -> &Arc<Serving> {
        &self.serving
    }

    /// Takes the server down from the outside in, under one deadline for all: not ready at once,
    /// no new connections, what is inside is answered, the models' threads end, the control port
    /// last. True if nothing was cut off.
    pub fn stop(self, drain: Duration) -> bool {
        let by = Instant::now() + drain;
        self.lifecycle.drain();
        // Its folder stays until nothing is loaded from it any more.
        let supplied = self.supply.map(Supply::stop);
        let draining = self.listening.into_iter().map(|it| self.data.spawn(it.drain(by)));
        let draining: Vec<_> = draining.collect();
        let mut clean = true;
        for it in draining {
            clean &= matches!(self.data.block_on(it), Ok(Drain::Complete));
        }
        clean &= self.lifecycle.stop(by);
        drop(supplied);
        self.data.shutdown_background();
        // Nobody offers anything any more.
        let log_by = by.max(Instant::now() + LOG_DRAIN);
        clean &= self.truth.is_none_or(|it| truth::stop(&it, log_by));
        clean &= self.labels.is_none_or(|it| it.stop(log_by));
        clean &= self.log.is_none_or(|it| it.stop(by.max(Instant::now() + LOG_DRAIN)));
        // Monitors and labels have told triggers what they found last, and the lifecycle has come to its end.
        let last_by = by.max(Instant::now() + LAST_DRAIN_MIN);
        self.triggers.iter().for_each(|it| triggers::stop(it, last_by));
        self.auditor.into_iter().for_each(|it| it.stop(last_by));
        self.control.stop();
        clean
    }
}

/// What is written down of requests, and who looks on.
#[derive(Default)]
struct Logging {
    log: Option<Arc<Log>>,
    monitors: Option<Arc<Monitors>>,
    truth: Option<Arc<Truth>>,
    labels: Option<LabelLog>,
}

impl Logging {
    fn start(settings: &Settings, findings: &Arc<dyn Findings>) -> anyhow::Result<Logging> {
        let Some(settings) = &settings.log else { return Ok(Logging::default()) };
        let (log, monitors, name) = settings.start(Arc::clone(findings))?;
        let truth = settings.truth(Arc::clone(findings))?;
        let labels = truth.as_ref().map(|_| settings.labels(&name)).transpose()?;
        Ok(Logging { log: Some(log), monitors, truth, labels })
    }
}

/// The log, with what holds labels against it looking on.
fn watched(
    log: Option<&Arc<Log>>,
    truth: Option<&Arc<Truth>>,
    origins: Origins,
) -> Option<Arc<dyn PredictionLog>> {
    let log = sourced::over(origins, Arc::<Log>::clone(log?));
    Some(match truth {
        Some(truth) => truth::over(truth, log),
        None => log,
    })
}

/// Who acts on what monitors find.
fn acting(triggers: Option<&Triggers>) -> Vec<Arc<dyn Findings>> {
    triggers.map(triggers::acting).into_iter().collect()
}

/// Memory that clients share, if they may.
fn regions(settings: &Settings) -> Option<Arc<Regions>> {
    let gpus = settings.gpu_regions.then(|| Gpus::open(None));
    if let Some(why) = gpus.as_ref().and_then(Gpus::lack) {
        tracing::warn!(why, "memory of GPUs cannot be shared");
    }
    Some(Arc::new(Regions::new(settings.regions?).with_gpus(gpus)))
}

/// Where decisions and loads are written down, if anything is.
fn journal(settings: &Settings) -> anyhow::Result<Option<Arc<Journal>>> {
    let Some(folder) = &settings.state else { return Ok(None) };
    fs::create_dir_all(folder).with_context(|| format!("state folder {}", folder.display()))?;
    Ok(Some(Arc::new(Journal::new(folder, "audit", AUDIT_BYTES_MAX))))
}

/// Nothing, if no model comes from a registry: then no cache is made either.
fn prepare(settings: &Settings, engines: &Engines) -> anyhow::Result<Option<Prepared>> {
    if settings.targets.is_empty() {
        return Ok(None);
    }
    let stock = stock::open(&settings.place, engines.artifacts())?;
    for uri in settings.targets.iter().flat_map(Target::addresses) {
        stock::pinned(&settings.place, &stock, uri)?;
    }
    let cache = stock.cache.root().display().to_string();
    let prepared = Prepared::new(stock, settings.targets.clone());
    Ok(Some(prepared.with_context(|| format!("cache of models {cache}"))?))
}

/// Who is told of what is loaded and answered.
struct Told<'a> {
    audit: Audit,
    log: Option<Arc<dyn PredictionLog>>,
    monitors: Option<&'a Arc<Monitors>>,
}

fn lifecycle_options(
    settings: &Settings,
    engines: &Engines,
    Told { audit, log, monitors }: Told<'_>,
    prepared: Option<&Prepared>,
) -> server_lifecycle::Options {
    let own = Some(&settings.model_repository).filter(|it| !it.as_os_str().is_empty());
    let supplied = prepared.map(|it| it.folder().to_path_buf());
    server_lifecycle::Options {
        repositories: own.cloned().into_iter().chain(supplied).collect(),
        awaited: prepared.map(Prepared::awaited).unwrap_or_default(),
        scan_interval: settings.scan_interval,
        rest: settings.rest,
        loader_threads: settings.loader_threads,
        drain: settings.drain,
        strict_readiness: settings.strict_readiness,
        cores: match settings.scheduler {
            SchedulerArg::Fair => Cores::new(settings.cores),
            SchedulerArg::Off => Cores::unscheduled(),
        },
        loaded_models_max: settings.loaded_models_max,
        model_memory_max: settings.model_memory_max,
        memory: server_lifecycle::Gauge::default(),
        gpus: server_lifecycle::Gpus::default(),
        clock: Clock::default(),
        audit,
        // Replicas tell each other which bytes they serve.
        digests: settings.rollout_share.is_some(),
        log,
        requests: logged::requests(settings.log.as_ref()),
        monitors: monitors.map(monitors::watching),
        lacks: Lacks { drift: !built::DRIFT.is_built, truth: !built::TRUTH.is_built },
        defaults: Defaults {
            instances: settings.instances,
            transition: settings.transition,
            load: settings.load,
            engines: engines.names(),
        },
        directions: BTreeMap::new(),
    }
}

/// What answers scrapers, probes and operators.
fn operators(
    shared: Arc<Shared>,
    webhook: Option<Webhook>,
    (metrics, log): (&Recorded, Option<Arc<Log>>),
) -> Control {
    let metrics = metrics.clone();
    let render = move || {
        log.iter().for_each(|it| it.observe());
        telemetry::render(&metrics)
    };
    Control::new(shared, render).with_webhook(webhook)
}
