//! Writes down what is done with versions: a line of `audit.jsonl` for each load, refusal and unload.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, UNIX_EPOCH};

use crossbeam_channel::{Receiver, bounded};
use serde_json::{Value, json};
use server_base::Journal;
use server_lifecycle::{Audit, Done, Record};

/// The thread that writes. It ends when the lifecycle has.
pub(crate) struct Auditor {
    ended: Receiver<()>,
}

impl Auditor {
    /// Starts it; what goes into the other end is written.
    pub(crate) fn start(journal: Arc<Journal>) -> io::Result<(Audit, Auditor)> {
        let (audit, records) = Audit::channel();
        let (end, ended) = bounded(1);
        thread::Builder::new().name("audit".to_owned()).spawn(move || {
            for record in records {
                // The lines are for people and tools; the server goes on without them.
                if let Err(error) = journal.append(line(&record).to_string().as_bytes()) {
                    tracing::error!(%error, model = %record.model, "a line of the audit log is lost");
                }
            }
            drop(end);
        })?;
        Ok((audit, Auditor { ended }))
    }

    /// Waits until everything is written.
    pub(crate) fn stop(self, by: Instant) {
        let _ = self.ended.recv_deadline(by); // ended, or too late to wait for
    }
}

fn line(record: &Record) -> Value {
    let at = record.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (event, result) = match &record.done {
        Done::Loaded { .. } => ("load", "available"),
        Done::Refused { rule: Some(_), .. } => ("load", "refused"),
        Done::Refused { rule: None, .. } => ("load", "failed"),
        Done::Unloaded { clean: true } => ("unload", "unloaded"),
        Done::Unloaded { clean: false } => ("unload", "left_behind"),
    };
    let mut line = json!({
        "at": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
        "event": event,
        "model": record.model.as_str(),
        "version": record.version.0,
        "digest": record.digest,
        "by": record.by.label(),
        "result": result,
    });
    match &record.done {
        Done::Loaded { engine, took, facts } => {
            line["engine"] = json!(engine);
            line["took_s"] = json!(took.as_secs_f64());
            line["facts"] = json!(facts);
        }
        Done::Refused { rule, reason, again } => {
            line["rule"] = json!(rule);
            line["reason"] = json!(reason);
            line["retry_s"] = json!(again.map(|it| it.as_secs_f64()));
        }
        Done::Unloaded { .. } => {}
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use server_base::{ModelName, Version};
    use server_lifecycle::By;

    #[test]
    fn a_line_says_who_what_when_and_why() {
        let record = |done| Record {
            at: UNIX_EPOCH + Duration::from_millis(5),
            model: ModelName::new("wine").expect("a name"),
            version: Version(3),
            digest: Some("sha256:ab".to_owned()),
            by: By::Retry,
            done,
        };
        let again = Some(Duration::from_secs(60));
        let done = Done::Refused { rule: Some("golden"), reason: "line 1".to_owned(), again };
        let expect = json!({
            "at": 5, "event": "load", "model": "wine", "version": 3, "digest": "sha256:ab",
            "by": "retry", "result": "refused", "rule": "golden", "reason": "line 1", "retry_s": 60.0,
        });
        assert_eq!(line(&record(done)), expect);
        let expect = json!({
            "at": 5, "event": "unload", "model": "wine", "version": 3, "digest": "sha256:ab",
            "by": "retry", "result": "left_behind",
        });
        assert_eq!(line(&record(Done::Unloaded { clean: false })), expect);
        let facts = [("mlflow.run_id".to_owned(), "r".to_owned())].into();
        let took = Duration::from_millis(1_500);
        let line = line(&record(Done::Loaded { engine: "tract", took, facts }));
        assert_eq!((&line["took_s"], &line["facts"]["mlflow.run_id"]), (&json!(1.5), &json!("r")));
    }
}
