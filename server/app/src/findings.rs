//! Who is told what monitors find: the log, and whoever else is listed.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use server_base::{Finding, Findings, Journal};

/// When a line was written, and what it is about.
const AT: &str = "at";
const ALARM: &str = "alarm";

/// Alarms that are told again and are known: more than those who tell keep, in all. Beyond that the oldest may come to
/// stand there twice.
const AGAIN_MAX: usize = 32_768;

/// Everyone, one after the other.
#[derive(Debug)]
pub(crate) struct FanOut {
    /// The log and the audit: for people, who read an alarm once however often it is told.
    people: Vec<Arc<dyn Findings>>,
    /// Those who act.
    others: Vec<Arc<dyn Findings>>,
    /// Alarms that people know and others could not keep, the oldest first.
    again: Mutex<VecDeque<u64>>,
}

impl FanOut {
    /// The log, the audit if there is one, and those.
    pub(crate) fn new(audit: Option<Arc<Journal>>, others: Vec<Arc<dyn Findings>>) -> Arc<FanOut> {
        let log: Arc<dyn Findings> = Arc::new(Logged);
        let audit = audit.map(|it| Arc::new(Audited::new(it)) as Arc<dyn Findings>);
        let people = [log].into_iter().chain(audit).collect();
        Arc::new(FanOut { people, others, again: Mutex::default() })
    }

    /// Nothing under it can panic half way.
    fn with_again<T>(&self, change: impl FnOnce(&mut VecDeque<u64>) -> T) -> T {
        change(&mut self.again.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Findings for FanOut {
    fn found(&self, findings: &[Finding]) -> bool {
        let marks: Vec<u64> = findings.iter().filter(|it| it.is_alarm).map(mark_of).collect();
        let known: BTreeSet<u64> = self.with_again(|again| again.iter().copied().collect());
        let news = findings.iter().filter(|it| !it.is_alarm || !known.contains(&mark_of(it)));
        let news: Vec<Finding> = news.cloned().collect();
        let tell = |to: &[Arc<dyn Findings>], what: &[Finding]| {
            // Nobody goes without because another could not keep it.
            let mut is_kept = true;
            for it in to {
                is_kept &= it.found(what);
            }
            is_kept
        };
        let is_kept = tell(&self.people, &news) & tell(&self.others, findings);
        let told: BTreeSet<u64> = marks.iter().copied().collect();
        self.with_again(|again| {
            again.retain(|it| !told.contains(it));
            if !is_kept {
                again.extend(marks);
                again.drain(..again.len().saturating_sub(AGAIN_MAX));
            }
        });
        is_kept
    }
}

/// Alarms are lines of the server's log.
#[derive(Debug)]
struct Logged;

impl Findings for Logged {
    fn found(&self, findings: &[Finding]) -> bool {
        for Finding { model, version, kind, is_alarm, rows, text, .. } in findings {
            if *is_alarm {
                tracing::warn!(%model, %version, %kind, rows, "{text}");
            } else {
                tracing::debug!(%model, %version, %kind, rows, "{text}");
            }
        }
        true
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
    /// A line that the disk refuses is lost, and said so: whoever acts on alarms does not wait for it.
    fn found(&self, findings: &[Finding]) -> bool {
        findings.iter().for_each(|it| self.write(it));
        true
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

/// The same of one that is told within this process.
fn mark_of(finding: &Finding) -> u64 {
    let Finding { model, version, kind, is_alarm, from, to, rows, subjects, text, evidence } =
        finding;
    let mut hasher = DefaultHasher::new();
    (model, version, kind, is_alarm).hash(&mut hasher);
    (millis(*from), millis(*to), rows, subjects, text, evidence).hash(&mut hasher);
    hasher.finish()
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
            assert!(all.found(findings));
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

    /// Keeps nothing while it is told to.
    #[derive(Debug, Default)]
    struct Refuses(std::sync::atomic::AtomicBool, Mutex<usize>);

    impl Findings for Refuses {
        fn found(&self, findings: &[Finding]) -> bool {
            *self.1.lock().expect("no panic") += findings.len();
            !self.0.load(std::sync::atomic::Ordering::Relaxed)
        }
    }

    #[test]
    fn an_alarm_that_others_could_not_keep_is_one_line_of_the_audit() {
        let folder = tempfile::tempdir().expect("scratch");
        let journal = Arc::new(Journal::new(folder.path(), "audit", 1 << 20));
        let refuses = Arc::new(Refuses(true.into(), Mutex::default()));
        let others: Vec<Arc<dyn Findings>> = vec![Arc::clone(&refuses) as _];
        let all = FanOut::new(Some(journal), others);
        let (first, second) = (alarm(10.0, "worse"), alarm(20.0, "worse"));
        assert!(!all.found(std::slice::from_ref(&first)));
        assert!(!all.found(&[first.clone(), second.clone()]), "both are to be told again");
        refuses.0.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(all.found(&[first, second]));
        assert_eq!(*refuses.1.lock().expect("no panic"), 5, "it is told all of them each time");
        let text = fs::read_to_string(folder.path().join("audit.jsonl")).expect("text");
        let lines = text.lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON"));
        let from: Vec<_> = lines.map(|it| it["from"].clone()).collect();
        assert_eq!(from, [10_000, 20_000]);
        assert!(all.with_again(|it| it.is_empty()), "nothing is remembered for nothing");
    }
}
