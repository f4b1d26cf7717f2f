//! `salver serve`.

use server_lifecycle::Engines;

use super::Outcome;
use super::service::{Signals, configured};
use crate::cli::ServeArgs;
use crate::serve::Server;
use crate::settings::Settings;
use crate::{engines, process as own, telemetry};

/// Runs the server until a signal.
pub(crate) fn serve(args: ServeArgs) -> Outcome {
    let file = args.config.clone();
    configured(file.as_deref(), |text| Settings::new(args, text), run)
}

fn run(settings: &Settings) -> anyhow::Result<()> {
    telemetry::start_logs(settings.log_format, &settings.log_level)?;
    let metrics = telemetry::start_metrics()?;
    own::raise_open_files();
    let engines = engines::open(&settings.libraries)?;
    announce(settings, &engines);
    // Taken before the ports, so that no signal finds us unprepared.
    let signals = Signals::new()?;
    let server = Server::start(settings, engines, metrics)?;
    let at = server.addresses;
    tracing::info!(http = %at.http, grpc = %at.grpc, metrics = %at.metrics, "listening");
    signals.run_until(|| {
        tracing::info!(drain_s = settings.drain.as_secs(), "draining");
        server.stop(settings.drain)
    });
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
