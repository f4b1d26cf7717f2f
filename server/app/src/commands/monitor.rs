//! `salver monitor`.

use std::fs;
use std::process;
use std::thread;

use super::server::{INTERRUPTED, Signals};
use super::{Outcome, complain};
use crate::cli::MonitorArgs;
use crate::fleet::FleetMonitor;
use crate::fleet_settings::FleetSettings;
use crate::{process as own, telemetry};

/// Follows a log until a signal.
pub(crate) fn monitor(args: MonitorArgs) -> Outcome {
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

fn settings(args: MonitorArgs) -> Result<FleetSettings, Vec<String>> {
    let file = match &args.config {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path);
            Some(text.map_err(|it| vec![format!("config: {}: {it}", path.display())])?)
        }
    };
    FleetSettings::new(args, file.as_deref())
}

fn run(settings: &FleetSettings) -> anyhow::Result<()> {
    telemetry::start_logs(settings.log_format, &settings.log_level)?;
    let metrics = telemetry::start_metrics()?;
    own::raise_open_files();
    let mut signals = Signals::new()?;
    let monitor = FleetMonitor::start(settings, metrics)?;
    tracing::info!(http = %monitor.address, log = settings.logs.join(" "), "listening");
    let name = signals.wait();
    tracing::info!(signal = name, "stopping");
    thread::spawn(move || {
        let name = signals.wait();
        tracing::warn!(signal = name, "stopping at once");
        process::exit(INTERRUPTED);
    });
    let clean = monitor.stop();
    tracing::info!(clean, "stopped");
    Ok(())
}
