//! What the log gets to see of copies: answers in pairs.

use super::*;

#[tokio::test]
async fn a_copy_is_a_record_of_its_own_that_names_the_other() {
    let log = Arc::new(Kept::default());
    let (house, _shadow, _other) = paired_with(Kept::default(), 10_000, Some(&log));
    house.ask("one", "x", [1.0, 2.0]).await.expect("answered");
    until(|| !lock(&log.offered).is_empty()).await;
    let (one, two) = (lock(&house.log.offered).remove(0), lock(&log.offered).remove(0));
    assert_eq!((two.pair, two.route), (Some(one.event), Route::Shadow));
    assert_ne!(one.event, two.event);
    assert_eq!((one.pair, one.route), (None, Route::Direct));
    assert_eq!((two.request_id, two.outputs.len()), (one.request_id, 1));
}

/// A served version, of whose requests such a share is copied for another.
fn paired(config: LogConfig, share: u64, log: Option<&Arc<Kept>>) -> (House, Arc<Shadow>, Workers) {
    paired_with(Kept { config, says: Some(Ok(())), ..Kept::default() }, share, log)
}

fn paired_with(kept: Kept, share: u64, log: Option<&Arc<Kept>>) -> (House, Arc<Shadow>, Workers) {
    let house = House::new(kept);
    // Of two numbers that are the same, the first is the largest.
    let other = start("constant 0.5", 2);
    if let Some(log) = log {
        other.servable().set_log(Arc::clone(log) as Arc<dyn VersionLog>);
    }
    let shadow = Shadow::start(Arc::clone(other.servable()), share).expect("a thread");
    let table = house.serving.table();
    assert!(table.servables().all(|it| it.set_shadow(Some(Arc::clone(&shadow)))));
    (house, shadow, other)
}

async fn compared(shadow: &Shadow, pairs: u64) {
    until(|| shadow.pairs().compared >= pairs).await;
}

async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes to be so");
}

/// What is wanted of disagreements, and of the sample.
fn disagreement(disagreement: bool, sample: f64) -> LogConfig {
    LogConfig { sample: Share::new(sample).expect("a share"), disagreement, ..LogConfig::default() }
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn what_is_answered_otherwise_is_logged_with_both_answers() {
    let log = Arc::new(Kept::default());
    let (house, shadow, _other) = paired(disagreement(true, 0.0), 5_000, Some(&log));
    house.ask("otherwise", "x", [1.0, 2.0]).await.expect("answered");
    house.ask("not copied", "x", [1.0, 2.0]).await.expect("answered");
    house.ask("the same", "x", [2.0, 1.0]).await.expect("answered");
    compared(&shadow, 2).await;
    assert_eq!(shown(&house.log.offered), ["otherwise OK disagreement 1"]);
    assert_eq!(shown(&log.offered), ["otherwise OK disagreement 1"]);
    let (one, two) = (lock(&house.log.offered).remove(0), lock(&log.offered).remove(0));
    assert_eq!((one.pair, one.route, one.probability), (None, Route::Direct, 0.5));
    assert_eq!((two.pair, two.route, two.probability), (Some(one.event), Route::Shadow, 0.5));
    assert_eq!((values(&one.inputs), values(&two.inputs)), (vec![1.0, 2.0], vec![1.0, 2.0]));
    assert_eq!((values(&one.outputs), values(&two.outputs)), (vec![2.0, 4.0], vec![0.5, 0.5]));
    assert_eq!((one.rows, two.rows), (1, 1));
}

#[tokio::test]
async fn disagreements_that_nobody_asked_for_are_not_logged() {
    let log = Arc::new(Kept { config: disagreement(true, 1.0), ..Kept::default() });
    let (house, shadow, _other) = paired(disagreement(false, 0.0), 10_000, Some(&log));
    house.ask("one", "x", [1.0, 2.0]).await.expect("answered");
    compared(&shadow, 1).await;
    assert_eq!((shown(&house.log.offered), shown(&log.offered)), (vec![], vec![]));
}

#[tokio::test]
async fn what_is_logged_anyhow_is_logged_once() {
    let log = Arc::new(Kept::default());
    let config = LogConfig { mode: LogMode::FailClosed, ..disagreement(true, 1.0) };
    let (house, shadow, _other) = paired(config, 10_000, Some(&log));
    assert_eq!(house.ask("sampled", "x", [1.0, 2.0]).await, Ok(Some("durable")));
    compared(&shadow, 1).await;
    assert_eq!(shown(&house.log.committed), ["sampled OK uniform 1"]);
    assert_eq!(shown(&house.log.offered), NOTHING);
    assert_eq!(shown(&log.offered), ["sampled OK uniform 1"]);

    let log = Arc::new(Kept::default());
    let config = LogConfig { slow_over: Some(Duration::ZERO), ..disagreement(true, 0.0) };
    let (house, shadow, _other) = paired(config, 10_000, Some(&log));
    house.ask("slow", "x", [1.0, 2.0]).await.expect("answered");
    compared(&shadow, 1).await;
    assert_eq!(shown(&house.log.offered), ["slow OK slow 1"]);
    assert_eq!(shown(&log.offered), ["slow OK disagreement 1"]);
}

#[tokio::test]
async fn a_version_without_a_log_leaves_the_served_answer() {
    let (house, shadow, _other) = paired(disagreement(true, 0.0), 10_000, None);
    house.ask("one", "x", [1.0, 2.0]).await.expect("answered");
    compared(&shadow, 1).await;
    assert_eq!(shown(&house.log.offered), ["one OK disagreement 1"]);
}

#[tokio::test]
async fn what_waits_to_be_compared_does_not_keep_others_out() {
    let (go, gate) = sync_channel(0);
    let (config, holds) = (disagreement(true, 0.0), Some(Mutex::new(gate)));
    let kept = Kept { config, holds, ..Kept::default() };
    let (house, shadow, other) = paired_with(kept, 10_000, None);
    let held = || house.log.held.load(Ordering::SeqCst);
    let mut asked = 0;
    // One after the other, until the one that compares is the one that logs, and so waits; then many behind it.
    while !held() {
        house.ask("one", "x", [1.0, 2.0]).await.expect("answered");
        asked += 1;
        until(|| held() || shadow.pairs().compared == asked).await;
    }
    for _ in 0..100 {
        house.ask("one", "x", [1.0, 2.0]).await.expect("answered");
        asked += 1;
        until(|| other.servable().queued() == 0).await;
    }
    until(|| house.serving.admission().in_flight().0 < 20).await;
    drop(go);
    until(|| shadow.pairs().compared + shadow.pairs().left_out == asked).await;
    let (pairs, logged) = (shadow.pairs(), lock(&house.log.offered).len() as u64);
    assert!(logged > 16 && pairs.unlogged > 0, "{logged} {pairs:?}");
    assert_eq!(logged + pairs.unlogged, pairs.compared);
}
