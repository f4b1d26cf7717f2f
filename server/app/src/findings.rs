//! Who is told what monitors find: the log, and whoever else is listed.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use server_base::{Finding, Findings, Journal};

/// Everyone, one after the other.
#[derive(Debug)]
pub(crate) struct FanOut(Vec<Arc<dyn Findings>>);

impl FanOut {
    /// The log, the audit if there is one, and those.
    pub(crate) fn new(audit: Option<Arc<Journal>>, others: Vec<Arc<dyn Findings>>) -> Arc<FanOut> {
        let log: Arc<dyn Findings> = Arc::new(Logged);
        let audit = audit.map(|it| Arc::new(Audited(it)) as Arc<dyn Findings>);
        Arc::new(FanOut([log].into_iter().chain(audit).chain(others).collect()))
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

/// Alarms are lines of the audit, with everything that was measured.
#[derive(Debug)]
struct Audited(Arc<Journal>);

impl Findings for Audited {
    fn found(&self, finding: &Finding) {
        let Finding { model, version, kind, is_alarm, from, to, rows, subjects, text, evidence } =
            finding;
        if !is_alarm {
            return;
        }
        let evidence: Value = serde_json::from_str(evidence).unwrap_or_default();
        let line = json!({
            "at": millis(SystemTime::now()),
            "event": "alarm",
            "model": model.as_str(),
            "version": version.0,
            "kind": kind.label(),
            "from": millis(*from),
            "to": millis(*to),
            "rows": rows,
            "subjects": subjects,
            "text": text,
            "evidence": evidence,
        });
        if let Err(error) = self.0.append(line.to_string().as_bytes()) {
            tracing::error!(%error, "a line about an alarm is lost");
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
