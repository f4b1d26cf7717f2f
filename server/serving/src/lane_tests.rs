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
}

fn bench(queue_max: usize) -> Bench {
    let batching = Batching { rows_max: 8, delay_max: Duration::ZERO, queue_max };
    Bench { lane: Lane::new(batching), expired: Arc::default(), now: Instant::now() }
}

impl Bench {
    fn push(&self, name: u32, left: Duration, gone: bool) -> &'static str {
        let item =
            Item { name, deadline: self.now + left, gone, expired: Arc::clone(&self.expired) };
        match self.lane.push(item, self.now + Duration::from_millis(2) * name) {
            Ok(()) => "taken",
            Err(Refused::Full(_)) => "full",
            Err(Refused::Closed(_)) => "closed",
        }
    }

    fn pull(&self) -> Option<Vec<u32>> {
        Some(self.lane.pull()?.batch.iter().map(|it| it.name).collect())
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
