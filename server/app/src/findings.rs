//! Who is told what monitors find: the log, and whoever else is listed.

use std::sync::Arc;

use server_base::{Finding, Findings};

/// Everyone, one after the other.
#[derive(Debug)]
pub(crate) struct FanOut(Vec<Arc<dyn Findings>>);

impl FanOut {
    /// The log, and those.
    pub(crate) fn new(others: Vec<Arc<dyn Findings>>) -> Arc<FanOut> {
        let log: Arc<dyn Findings> = Arc::new(Logged);
        Arc::new(FanOut([log].into_iter().chain(others).collect()))
    }
}

impl Findings for FanOut {
    fn found(&self, finding: &Finding) {
        self.0.iter().for_each(|it| it.found(finding));
    }
}

/// Alarms are lines of the server's log.
#[derive(Debug)]
struct Logged;

impl Findings for Logged {
    fn found(&self, finding: &Finding) {
        let Finding { model, version, kind, rows, text, .. } = finding;
        if finding.is_alarm {
            tracing::warn!(%model, %version, %kind, rows, "{text}");
        } else {
            tracing::debug!(%model, %version, %kind, rows, "{text}");
        }
    }
}
