//! Logs and metrics: set up once, before anything else runs.

use std::io::{self, IsTerminal as _};
use std::panic;

use anyhow::Context as _;
use server_base::Series;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::cli::LogFormat;
use crate::recorder::Recorded;
use crate::{gpus, monitors, process, rollouts, triggers, truth};

/// Every series of the process. `server/METRICS.md` shows them; a test holds the two together.
pub fn series() -> Vec<Series> {
    let before = [
        server_serving::metrics::SERIES,
        server_serving::copies::SERIES,
        server_lifecycle::metrics::SERIES,
        server_supply::metrics::SERIES,
    ];
    let after = [
        server_frontend::metrics::SERIES,
        server_regions::metrics::SERIES,
        gpus::SERIES,
        process::SERIES,
    ];
    let parts = rollouts::SERIES.into_iter().chain([server_feedback::metrics::SERIES]);
    let parts = parts.chain(monitors::SERIES).chain(truth::SERIES).chain(triggers::SERIES);
    before.into_iter().chain(parts).chain(after).flatten().copied().collect()
}

/// Logs to standard error: standard output is for results.
pub(crate) fn start_logs(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let filter: Targets = level.parse().with_context(|| format!("log level {level:?}"))?;
    let logs = fmt::layer()
        .with_timer(SystemTime)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let logs = match format {
        LogFormat::Text => logs.boxed(),
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let started = registry().with(filter).with(logs).try_init();
    started.map_err(|it| anyhow::anyhow!("cannot start logging: {it}"))?;
    panic::set_hook(Box::new(|panicked| {
        // One record, like everything else; the message may come from an engine or a model.
        let thread = std::thread::current();
        let message = panicked.payload_as_str().unwrap_or("no message");
        let at = panicked.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(thread = thread.name().unwrap_or_default(), message, at, "panic");
    }));
    Ok(())
}

/// Makes one recorder the process's own. Called once a process.
pub fn start_metrics() -> anyhow::Result<Recorded> {
    let recorded = Recorded::new(&series());
    let installed = metrics::set_global_recorder(recorded.clone());
    installed.map_err(|_| anyhow::anyhow!("metrics have been started already"))?;
    Ok(recorded)
}

/// The text of all series, the process's own brought up to date first.
pub(crate) fn render(recorded: &Recorded) -> String {
    process::observe();
    recorded.render()
}
