use super::*;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::patience::{Outcome, Patience};

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
    fn units(&self) -> usize {
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
    terms: Terms,
}

fn bench(queue_max: usize) -> Bench {
    let batching = Batching { rows_max: 8, queue_max, ..Batching::default() };
    Bench {
        lane: Lane::new(batching),
        expired: Arc::default(),
        now: Instant::now(),
        terms: Terms::default(),
    }
}

impl Bench {
    fn push(&self, name: u32, left: Duration, gone: bool) -> &'static str {
        let item =
            Item { name, deadline: self.now + left, gone, expired: Arc::clone(&self.expired) };
        match self.lane.push(item, self.now + Duration::from_millis(2) * name, &self.terms) {
            Ok(()) => "taken",
            Err(Refused::Full(_)) => "full",
            Err(Refused::Late(..)) => "late",
            Err(Refused::Long(..)) => "long",
            Err(Refused::Closed(_)) => "closed",
        }
    }

    fn pull(&self) -> Option<Vec<u32>> {
        loop {
            self.lane.due(8.into())?;
            if let Some(pulled) = self.lane.take(8.into(), Instant::now()) {
                return Some(pulled.batch.iter().map(|it| it.name).collect());
            }
        }
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
    let terms = Terms { unit: Duration::from_secs(1), ..Terms::default() };
    let bench = Bench { terms, ..bench(8) };
    let in_ms = Duration::from_millis;
    assert_eq!(bench.push(1, in_ms(500), false), "taken", "how long a run takes may have changed");
    assert_eq!(bench.push(2, in_ms(1_500), false), "late");
    assert_eq!(bench.push(3, in_ms(2_500), false), "taken");
    assert_eq!(bench.push(4, in_ms(2_500), false), "late");
    assert_eq!(bench.pull(), Some(vec![1, 3]));
    assert_eq!(bench.push(5, in_ms(500), false), "taken");
}

#[test]
fn what_will_be_late_is_not_run_while_more_waits() {
    let most = Most { units: 2, run: Duration::from_secs(1) };
    let (soon, late) = (Duration::from_millis(500), Duration::from_secs(5));
    for (left, expect) in [
        (&[soon, soon, soon, late, soon][..], vec![4, 5]),
        (&[late, soon, soon, late], vec![1, 4]),
        (&[soon, soon, soon], vec![2, 3]),
        (&[soon], vec![1]),
    ] {
        let bench = bench(8);
        for (name, &left) in (1..).zip(left) {
            bench.push(name, left, false);
        }
        let pulled = bench.lane.take(most, bench.now).expect("a batch");
        let names: Vec<u32> = pulled.batch.iter().map(|it| it.name).collect();
        assert_eq!(names, expect, "{left:?}");
        let rest = bench.lane.waiting().0;
        assert_eq!(bench.expired.load(Ordering::Relaxed), left.len() - names.len() - rest);
    }
}

#[test]
fn what_callers_do_not_wait_for_is_refused_whatever_the_deadline() {
    let second = Duration::from_secs(1);
    let terms = Terms { unit: second, run: second / 2, wait_max: Some(3 * second) };
    let bench = Bench { terms, ..bench(8) };
    for (name, expect) in [(1, "taken"), (2, "taken"), (3, "taken"), (4, "long")] {
        assert_eq!(bench.push(name, LONG, false), expect, "{name}");
    }
}

/// Callers that come ten times as fast as they can be served and give up after two seconds without
/// a word: after the first of these, nearly every run is for somebody who is still there.
#[test]
fn goodput_holds_while_impatient_callers_flood_the_lane() {
    let (start, run, gap) = (Instant::now(), Duration::from_millis(30), Duration::from_millis(3));
    let patience = Patience::default();
    let lane = Lane::new(Batching { rows_max: 1, queue_max: 1_024, ..Batching::default() });
    let (mut now, mut comes, mut good) = (start, start, [0, 0]);
    while now < start + Duration::from_secs(60) {
        while comes <= now {
            let terms = Terms { unit: run, run, wait_max: patience.limit() };
            let _ = lane.push(Caller { comes }, comes, &terms);
            comes += gap;
        }
        CLOCK.set(Some(now));
        let Some(pulled) = lane.take(1.into(), now) else { continue };
        now += run;
        for it in pulled.batch {
            let taken = now < it.comes + PATIENCE;
            good[usize::from(now > start + 3 * PATIENCE)] += u32::from(taken);
            let waited = now - run - it.comes;
            patience.learn(Outcome { arrived: it.comes, waited, ended: now, taken });
        }
    }
    let most = (60.0 - 6.0) / 0.03;
    assert!(f64::from(good[1]) > 0.97 * most, "{good:?} of {most}");
}

const PATIENCE: Duration = Duration::from_secs(2);

thread_local! {
    static CLOCK: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// See the test above.
struct Caller {
    comes: Instant,
}

impl Queued for Caller {
    fn rows(&self) -> usize {
        1
    }
    fn units(&self) -> usize {
        1
    }
    fn arrived(&self) -> Instant {
        self.comes
    }
    fn deadline(&self) -> Instant {
        self.comes + LONG
    }
    fn is_gone(&self) -> bool {
        CLOCK.get().is_some_and(|it| it >= self.comes + PATIENCE)
    }
    fn joins(&self, _other: &Self) -> bool {
        true
    }
    fn expire(self, _now: Instant) {}
}
