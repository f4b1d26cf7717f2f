//! Every interleaving of the lane's few threads: nothing is lost, nobody sleeps through work.
//!
//! `cargo test -p server-serving --features loom --test lane_loom --release`. A lost wake-up shows
//! as a deadlock, which loom reports. Interleavings with more than three preemptions (two with
//! tasks) are left out: the known bugs of such code need fewer. Time stands still: with a delay of
//! zero the lane sets no timer, and loom's condition variables know none.

use std::time::{Duration, Instant};

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use server_serving::lane::{Lane, Pulled, Refused, Terms};
use server_serving::policy::{Batching, Queued};

/// What a caller waits for.
type Answered = Arc<(Mutex<bool>, Condvar)>;

struct Item {
    arrived: Instant,
    answered: Answered,
}

impl Queued for Item {
    fn rows(&self) -> usize {
        1
    }
    fn units(&self) -> usize {
        1
    }
    fn arrived(&self) -> Instant {
        self.arrived
    }
    fn deadline(&self) -> Instant {
        self.arrived + Duration::from_secs(3_600)
    }
    fn is_gone(&self) -> bool {
        false
    }
    fn joins(&self, _other: &Self) -> bool {
        true
    }
    fn expire(self, _now: Instant) {
        panic!("nothing expires here");
    }
}

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// An instance on a thread: serves until the lane is closed and empty.
fn puller(lane: &Arc<Lane<Item>>, rows_max: usize) -> JoinHandle<()> {
    let lane = Arc::clone(lane);
    thread::spawn(move || {
        while lane.due(rows_max.into()).is_some() {
            // Another may have taken it meanwhile.
            if let Some(pulled) = lane.take(rows_max.into(), Instant::now()) {
                answer(pulled, rows_max);
            }
        }
    })
}

/// The same as a task.
fn task(lane: &Arc<Lane<Item>>, number: usize, rows_max: usize) -> JoinHandle<()> {
    let lane = Arc::clone(lane);
    thread::spawn(move || {
        loom::future::block_on(async {
            while let Some(pulled) = lane.pull_task(number, rows_max.into()).await {
                answer(pulled, rows_max);
            }
        });
    })
}

fn answer(pulled: Pulled<Item>, rows_max: usize) {
    assert!(!pulled.batch.is_empty() && pulled.batch.len() <= rows_max);
    for item in pulled.batch {
        *item.answered.0.lock().expect("not poisoned") = true;
        item.answered.1.notify_one();
    }
}

/// A caller: pushes one request and, if it was taken, waits for the answer.
fn pusher(lane: &Arc<Lane<Item>>) -> JoinHandle<()> {
    let lane = Arc::clone(lane);
    thread::spawn(move || {
        let answered: Answered = Arc::new((Mutex::new(false), Condvar::new()));
        let now = Instant::now();
        let item = Item { arrived: now, answered: Arc::clone(&answered) };
        match lane.push(item, now, &Terms::default()) {
            Ok(()) => {
                let mut done = answered.0.lock().expect("not poisoned");
                while !*done {
                    done = answered.1.wait(done).expect("not poisoned");
                }
            }
            Err(Refused::Full(_) | Refused::Late(..) | Refused::Long(..) | Refused::Closed(_)) => {}
        }
    })
}

/// The lane is closed once every caller has its answer.
fn check(pushers: usize, (pullers, tasks): (usize, usize), (queue_max, rows_max): (usize, usize)) {
    // A task's waker has locks of its own, and each multiplies the interleavings.
    let preemptions = if tasks > 0 { 2 } else { 3 };
    explore(preemptions, move || {
        let batching = Batching { rows_max, queue_max, ..Batching::default() };
        let lane = Arc::new(Lane::new(batching));
        let pulling = (0..pullers).map(|_| puller(&lane, rows_max));
        let pulling: Vec<_> =
            pulling.chain((0..tasks).map(|it| task(&lane, it, rows_max))).collect();
        let pushing: Vec<_> = (0..pushers).map(|_| pusher(&lane)).collect();
        pushing.into_iter().for_each(|it| it.join().expect("pushes"));
        lane.close();
        pulling.into_iter().for_each(|it| it.join().expect("pulls"));
    });
}

#[test]
fn two_push_one_pulls() {
    check(2, (1, 0), (8, 1));
}

#[test]
fn one_pushes_two_pull() {
    check(1, (2, 0), (8, 1));
}

#[test]
fn a_full_lane_refuses_and_loses_nothing() {
    check(2, (1, 0), (1, 1));
}

#[test]
fn batches_of_two() {
    check(2, (1, 0), (8, 2));
}

#[test]
fn a_task_is_woken_as_a_thread_is() {
    check(2, (0, 1), (8, 1));
    check(2, (0, 1), (8, 2));
}

#[test]
fn two_tasks_share_the_work() {
    check(1, (0, 2), (8, 1));
}

#[test]
fn a_thread_and_a_task_share_the_work() {
    check(1, (1, 1), (8, 1));
}

/// A push races with the close of a swap: it is refused or answered, never swallowed.
#[test]
fn closing_races_with_a_push() {
    explore(3, || {
        let batching = Batching { rows_max: 1, queue_max: 8, ..Batching::default() };
        let lane = Arc::new(Lane::new(batching));
        let (pulling, pushing) = (puller(&lane, 1), pusher(&lane));
        lane.close();
        pushing.join().expect("pushes");
        pulling.join().expect("pulls");
    });
    explore(2, || {
        let batching = Batching { rows_max: 1, queue_max: 8, ..Batching::default() };
        let lane = Arc::new(Lane::new(batching));
        let (pulling, pushing) = (task(&lane, 0, 1), pusher(&lane));
        lane.close();
        pushing.join().expect("pushes");
        pulling.join().expect("pulls");
    });
}
