//! `salver serve`.

use std::fs;
use std::process;
use std::thread;

use anyhow::Context as _;
use server_lifecycle::Engines;
use tokio::signal::unix::{SignalKind, signal};

use super::{Outcome, complain};
use crate::cli::ServeArgs;
use crate::serve::Server;
use crate::settings::Settings;
use crate::{engines, process as own, telemetry};

/// Exit code of a second signal, which waits for nothing: 128 and the number of SIGINT, by custom.
pub(super) const INTERRUPTED: i32 = 130;

/// Runs the server until a signal.
pub(crate) fn serve(args: ServeArgs) -> Outcome {
    let settings = match settings(args) {
        Ok(settings) => settings,
        Err(faults) => {
            let text = format!("the configuration has faults:\n  {}", faults.join("\n  "));
            return complain(&text, Outcome::Misconfigured);
        }
    };
    match run(&settings) {
        Ok(()) => Outcome::Done,
        Err(error) => complain(&format!("{error:#}"), Outcome::Failed),
    }
}

fn settings(args: ServeArgs) -> Result<Settings, Vec<String>> {
    let file = match &args.config {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path);
            Some(text.map_err(|it| vec![format!("config: {}: {it}", path.display())])?)
        }
    };
    Settings::new(args, file.as_deref())
}

fn run(settings: &Settings) -> anyhow::Result<()> {
    telemetry::start_logs(settings.log_format, &settings.log_level)?;
    let metrics = telemetry::start_metrics()?;
    own::raise_open_files();
    let engines = engines::open(&settings.libraries)?;
    announce(settings, &engines);
    // Taken before the ports, so that no signal finds us unprepared.
    let mut signals = Signals::new()?;
    let server = Server::start(settings, engines, metrics)?;
    let at = server.addresses;
    tracing::info!(http = %at.http, grpc = %at.grpc, metrics = %at.metrics, "listening");
    let name = signals.wait();
    tracing::info!(signal = name, drain_s = settings.drain.as_secs(), "stopping");
    thread::spawn(move || {
        let name = signals.wait();
        tracing::warn!(signal = name, "stopping at once");
        process::exit(INTERRUPTED);
    });
    let clean = server.stop(settings.drain);
    tracing::info!(clean, "stopped");
    Ok(())
}

/// The plan: what will run on what.
fn announce(settings: &Settings, engines: &Engines) {
    for it in engines.missing().iter().filter(|it| !it.on_request) {
        let (engine, reason) = (it.name, &it.reason);
        tracing::warn!(engine, reason, "engine is not available; tract takes over");
    }
    for doubt in settings.doubts() {
        tracing::warn!(doubt, "a setting may not say what is meant");
    }
    let names: Vec<String> =
        engines.available().map(|it| format!("{} {}", it.name(), it.version())).collect();
    tracing::info!(
        cores = settings.cores,
        scheduler = settings.scheduler.name(),
        engines = names.join(", "),
        worker_threads = settings.worker_threads,
        instances_per_version = settings.instances,
        intra_op_threads_per_instance = 1,
        loader_threads = settings.loader_threads,
        model_repository = %settings.model_repository.display(),
        "plan"
    );
}

/// SIGTERM and SIGINT, one after the other.
pub(super) struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        drop(inside);
        Ok(Signals { runtime, terminate, interrupt })
    }

    /// Blocks until the next one.
    pub(super) fn wait(&mut self) -> &'static str {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            }
        })
    }
}
