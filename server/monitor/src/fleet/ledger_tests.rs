use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use server_base::FindingKind;

use super::*;
use crate::fixture::Heard;

/// Hears, and keeps nothing while it is told to.
#[derive(Debug, Default)]
struct Refuses(Heard, AtomicBool);

impl Findings for Refuses {
    fn found(&self, findings: &[Finding]) -> bool {
        self.0.found(findings) && !self.1.load(Ordering::Relaxed)
    }
}

fn finding(rows: u64) -> Finding {
    Finding {
        model: ModelName::new("m").expect("a name"),
        version: Version(1),
        kind: FindingKind::Performance,
        is_alarm: true,
        from: UNIX_EPOCH,
        to: UNIX_EPOCH + Duration::from_secs(rows),
        rows,
        subjects: Vec::new(),
        text: "worse".to_owned(),
        evidence: "{}".to_owned(),
    }
}

#[test]
fn what_nobody_could_keep_is_told_again_also_by_the_next_process() {
    let folder = tempfile::tempdir().expect("scratch");
    let refuses = Arc::new(Refuses(Heard::default(), true.into()));
    let findings = Arc::clone(&refuses) as Arc<dyn Findings>;
    let rows = || refuses.0.take().iter().map(|it| it.rows).collect::<Vec<_>>();
    let mut ledger = Ledger::open(folder.path(), 0).expect("opens");
    ledger.judged(1, (&[finding(1)], Vec::new()));
    ledger.settle(&findings).expect("written");
    ledger.judged(2, (&[finding(2)], Vec::new()));
    ledger.settle(&findings).expect("written");
    assert_eq!(rows(), [1, 1, 2], "in the order in which they were found");
    let mut ledger = Ledger::open(folder.path(), 0).expect("opens");
    assert!(ledger.has_untold());
    refuses.1.store(false, Ordering::Relaxed);
    ledger.settle(&findings).expect("written");
    assert_eq!(rows(), [1, 2]);
    assert!(!ledger.has_untold());
    assert!(!Ledger::open(folder.path(), 0).expect("opens").has_untold());
}

#[test]
fn what_waits_has_a_bound() {
    let folder = tempfile::tempdir().expect("scratch");
    let findings = Arc::new(Refuses(Heard::default(), true.into())) as Arc<dyn Findings>;
    let mut ledger = Ledger::open(folder.path(), 0).expect("opens");
    let many: Vec<Finding> = (0..UNTOLD_MAX as u64 + 2).map(finding).collect();
    ledger.judged(1, (&many, Vec::new()));
    ledger.settle(&findings).expect("written");
    assert_eq!(ledger.untold.len(), UNTOLD_MAX);
    assert_eq!(ledger.untold[0].1, Untold::of_finding(&finding(2)), "the oldest are lost");
}
