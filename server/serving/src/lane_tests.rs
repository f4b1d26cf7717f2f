use super::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A request that counts how it ended.
struct Item {
    name: u32,
    deadline: Instant,
    gone: bool,
    expired: Arc<AtomicUsize>,
}

impl Queued for Item {
    fn rows(&self) -> usize {
        1
    }
    fn arrived(&self) -> Instant {
        self.deadline
    }
    fn deadline(&self) -> Instant {
        self.deadline
    }
    fn is_gone(&self) -> bool {
        self.gone
    }
    fn joins(&self, _other: &Self) -> bool {
        true
    }
    fn expire(self, _now: Instant) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }
}

struct Bench {
    lane: Lane<Item>,
    expired: Arc<AtomicUsize>,
    now: Instant,
    row: Duration,
}

fn bench(queue_max: usize) -> Bench {
    let batching = Batching { rows_max: 8, delay_max: Duration::ZERO, queue_max };
    Bench {
        lane: Lane::new(batching),
        expired: Arc::default(),
        now: Instant::now(),
        row: Duration::ZERO,
    }
}

impl Bench {
    fn push(&self, name: u32, left: Duration, gone: bool) -> &'static str {
        let item =
            Item { name, deadline: self.now + left, gone, expired: Arc::clone(&self.expired) };
        match self.lane.push(item, self.now + Duration::from_millis(2) * name, self.row) {
            Ok(()) => "taken",
            Err(Refused::Full(_)) => "full",
            Err(Refused::Late(..)) => "late",
            Err(Refused::Closed(_)) => "closed",
        }
    }

    fn pull(&self) -> Option<Vec<u32>> {
        Some(self.lane.pull(8)?.batch.iter().map(|it| it.name).collect())
    }
}

const LONG: Duration = Duration::from_secs(3_600);

#[test]
fn what_nobody_wants_any_more_is_not_pulled() {
    let bench = bench(8);
    bench.push(1, LONG, true);
    bench.push(2, LONG, false);
    bench.push(3, Duration::ZERO, false);
    assert_eq!(bench.pull(), Some(vec![2]));
    assert_eq!(bench.expired.load(Ordering::Relaxed), 2);
}

#[test]
fn a_full_lane_refuses_unless_it_holds_unwanted_requests() {
    let bench = bench(2);
    assert_eq!(bench.push(1, LONG, false), "taken");
    assert_eq!(bench.push(2, LONG, true), "taken");
    assert_eq!(bench.push(3, LONG, false), "taken");
    assert_eq!(bench.expired.load(Ordering::Relaxed), 1, "the second made room");
    assert_eq!(bench.push(4, LONG, false), "full");
    assert_eq!(bench.lane.waiting().0, 2);
}

#[test]
fn a_closed_lane_lets_nothing_in_and_everything_out() {
    let bench = bench(8);
    bench.push(1, LONG, false);
    bench.lane.close();
    assert_eq!(bench.push(2, LONG, false), "closed");
    assert_eq!(bench.pull(), Some(vec![1]));
    assert_eq!(bench.pull(), None);
}

#[test]
fn what_would_be_late_is_refused_at_once_unless_nothing_waits() {
    let bench = Bench { row: Duration::from_secs(1), ..bench(8) };
    let in_ms = Duration::from_millis;
    assert_eq!(bench.push(1, in_ms(500), false), "taken", "how long a run takes may have changed");
    assert_eq!(bench.push(2, in_ms(1_500), false), "late");
    assert_eq!(bench.push(3, in_ms(2_500), false), "taken");
    assert_eq!(bench.push(4, in_ms(2_500), false), "late");
    assert_eq!(bench.pull(), Some(vec![1, 3]));
    assert_eq!(bench.push(5, in_ms(500), false), "taken");
}
