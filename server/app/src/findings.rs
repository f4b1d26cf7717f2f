//! Who is told what monitors find: the log, and whoever else is listed.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use server_base::{Finding, Findings, Journal};

/// When a line was written, and what it is about.
const AT: &str = "at";
const ALARM: &str = "alarm";

/// Everyone, one after the other.
#[derive(Debug)]
pub(crate) struct FanOut(Vec<Arc<dyn Findings>>);

impl FanOut {
    /// The log, the audit if there is one, and those.
    pub(crate) fn new(audit: Option<Arc<Journal>>, others: Vec<Arc<dyn Findings>>) -> Arc<FanOut> {
        let log: Arc<dyn Findings> = Arc::new(Logged);
        let audit = audit.map(|it| Arc::new(Audited::new(it)) as Arc<dyn Findings>);
        Arc::new(FanOut([log].into_iter().chain(audit).chain(others).collect()))
    }
}

impl Findings for FanOut {
    fn found(&self, findings: &[Finding]) {
        self.0.iter().for_each(|it| it.found(findings));
    }
}

/// Alarms are lines of the server's log.
#[derive(Debug)]
struct Logged;

impl Findings for Logged {
    fn found(&self, findings: &[Finding]) {
        for Finding { model, version, kind, is_alarm, rows, text, .. } in findings {
            if *is_alarm {
                tracing::warn!(%model, %version, %kind, rows, "{text}");
            } else {
                tracing::debug!(%model, %version, %kind, rows, "{text}");
            }
        }
    }
}

/// Alarms are lines of the audit, with everything that was measured. What a process that was killed has written
/// there and could not remember is told again by the next: it is one line all the same.
#[derive(Debug)]
struct Audited {
    journal: Arc<Journal>,
    /// Alarms that were written down before this process.
    before: BTreeSet<u64>,
}

impl Audited {
    fn new(journal: Arc<Journal>) -> Audited {
        let last = journal.last(Journal::LAST_BYTES).unwrap_or_else(|error| {
            tracing::warn!(%error, "the audit cannot be read: an alarm may come to stand there twice");
            Vec::new()
        });
        let lines = last.split(|it| *it == b'\n');
        let before = lines.filter_map(|it| mark(serde_json::from_slice(it).ok()?)).collect();
        Audited { journal, before }
    }
}

impl Findings for Audited {
    fn found(&self, findings: &[Finding]) {
        findings.iter().for_each(|it| self.write(it));
    }
}

impl Audited {
    fn write(&self, finding: &Finding) {
        let Finding { model, version, kind, is_alarm, from, to, rows, subjects, text, evidence } =
            finding;
        if !is_alarm {
            return;
        }
        let evidence: Value = serde_json::from_str(evidence).unwrap_or_default();
        let line = json!({
            AT: millis(SystemTime::now()),
            "event": ALARM,
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
        let text = line.to_string();
        if mark(line).is_some_and(|it| self.before.contains(&it)) {
            return;
        }
        if let Err(error) = self.journal.append(text.as_bytes()) {
            tracing::error!(%error, "a line about an alarm is lost");
        }
    }
}

/// Tells alarms apart, whenever they are told. `None`: it is none.
fn mark(mut line: Value) -> Option<u64> {
    let said = line.as_object_mut().filter(|it| it.get("event").is_some_and(|it| it == ALARM))?;
    said.remove(AT);
    let mut hasher = DefaultHasher::new();
    line.to_string().hash(&mut hasher);
    Some(hasher.finish())
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use server_base::{FindingKind, ModelName, Version};

    use super::*;

    fn alarm(from_s: f64, text: &str) -> Finding {
        let time = |it| UNIX_EPOCH + Duration::from_secs_f64(it);
        Finding {
            model: ModelName::new("wine").expect("a name"),
            version: Version(2),
            kind: FindingKind::Performance,
            is_alarm: true,
            from: time(from_s),
            to: time(from_s + 2.0),
            rows: 250,
            subjects: vec!["accuracy".to_owned()],
            text: text.to_owned(),
            evidence: r#"{"accuracy":0.6000000000000001,"limits":[{"metric":"accuracy"}]}"#
                .to_owned(),
        }
    }

    /// The process before was killed after it had told and before it had written that down.
    #[test]
    fn an_alarm_that_is_told_again_is_one_line_of_the_audit() {
        let folder = tempfile::tempdir().expect("scratch");
        let told = |findings: &[Finding]| {
            let journal = Arc::new(Journal::new(folder.path(), "audit", 1 << 20));
            let all = FanOut::new(Some(Arc::clone(&journal)), vec![]);
            all.found(findings);
            journal.append(br#"{"event":"trigger"}"#).expect("written");
        };
        let (first, second) =
            (alarm(1_795_392_494.000_001, "worse"), alarm(1_795_392_496.0, "worse"));
        told(std::slice::from_ref(&first));
        told(&[first.clone(), second.clone()]);
        let otherwise = Finding { rows: 251, ..second.clone() };
        told(&[first, second, otherwise]);
        let text = fs::read_to_string(folder.path().join("audit.jsonl")).expect("text");
        let lines = text.lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON"));
        let alarms = lines.filter(|it| it["event"] == ALARM);
        let alarms: Vec<_> = alarms.map(|it| (it["from"].clone(), it["rows"].clone())).collect();
        let expect =
            [(1_795_392_494_000_u64, 250), (1_795_392_496_000, 250), (1_795_392_496_000, 251)];
        assert_eq!(alarms, expect.map(|it| (it.0.into(), it.1.into())));
    }
}
