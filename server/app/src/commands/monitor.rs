//! `salver monitor`.

use super::Outcome;
use super::service::{Signals, configured};
use crate::cli::MonitorArgs;
use crate::fleet::FleetMonitor;
use crate::fleet_settings::FleetSettings;
use crate::{process as own, telemetry};

/// Follows a log until a signal.
pub(crate) fn monitor(args: MonitorArgs) -> Outcome {
    let file = args.config.clone();
    configured(file.as_deref(), |text| FleetSettings::new(args, text), run)
}

fn run(settings: &FleetSettings) -> anyhow::Result<()> {
    telemetry::start_logs(settings.log_format, &settings.log_level)?;
    let metrics = telemetry::start_metrics()?;
    own::raise_open_files();
    let signals = Signals::new()?;
    let monitor = FleetMonitor::start(settings, metrics)?;
    tracing::info!(http = %monitor.address, log = settings.logs.join(" "), "listening");
    signals.run_until(|| monitor.stop());
    Ok(())
}
