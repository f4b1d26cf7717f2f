use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use server_base::FindingKind;

use super::*;

/// Hears, and keeps nothing while it is told to.
#[derive(Debug, Default)]
struct Refuses(Mutex<(bool, Vec<u64>)>);

impl Findings for Refuses {
    fn found(&self, findings: &[Finding]) -> bool {
        let mut inner = self.0.lock().expect("no panic");
        inner.1 = findings.iter().map(|it| it.rows).collect();
        !inner.0
    }
}

fn finding(rows: u64) -> Finding {
    Finding {
        model: ModelName::new("wine").expect("a name"),
        version: Version(1),
        kind: FindingKind::Performance,
        is_alarm: true,
        from: UNIX_EPOCH,
        to: UNIX_EPOCH + Duration::from_secs(rows),
        rows,
        subjects: Vec::new(),
        text: String::new(),
        evidence: "{}".to_owned(),
    }
}

fn change(digest: &str) -> (ModelName, Version, Change) {
    let mut change = Change::default();
    change.digest.replace(digest.to_owned());
    (ModelName::new("wine").expect("a name"), Version(1), change)
}

#[test]
fn what_nobody_could_keep_is_told_again_and_not_written_down_before() {
    let refuses = Arc::new(Refuses::default());
    let heard = |is_deaf| {
        let mut inner = refuses.0.lock().expect("no panic");
        inner.0 = is_deaf;
        std::mem::take(&mut inner.1)
    };
    let mut untold = Untold::new(Arc::clone(&refuses) as Arc<dyn Findings>);
    heard(true);
    assert_eq!(untold.tell(vec![finding(1)], vec![change("a")]), []);
    assert_eq!(untold.tell(vec![finding(2)], vec![change("b")]), []);
    assert_eq!(heard(false), [1, 2], "in the order in which they were found");
    assert_eq!(untold.tell(Vec::new(), Vec::new()), [change("b")]);
    assert_eq!(heard(false), [1, 2]);
    assert_eq!(untold.tell(Vec::new(), vec![change("c")]), [change("c")]);
    assert!(heard(false).is_empty(), "nobody is told nothing");
}

#[test]
fn what_waits_has_a_bound() {
    let refuses = Arc::new(Refuses(Mutex::new((true, Vec::new()))));
    let mut untold = Untold::new(Arc::clone(&refuses) as Arc<dyn Findings>);
    untold.tell((0..FINDINGS_MAX as u64 + 2).map(finding).collect(), Vec::new());
    untold.tell(Vec::new(), Vec::new());
    let heard = refuses.0.lock().expect("no panic").1.clone();
    assert_eq!(heard, (2..FINDINGS_MAX as u64 + 2).collect::<Vec<_>>(), "the oldest are lost");
}
