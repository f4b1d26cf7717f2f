//! One load thread: its connections, its share of the load, what happened to it.
//!
//! Made by `run` on the thread that owns it; nothing in it is shared or locked. The closed loop
//! sends a request when an answer has come; the open loop when the schedule says so, whatever came.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

use crate::arrivals::Arrivals;
use crate::check::Checker;
use crate::client::{Client, Prepared, Target};
use crate::failure::{Failure, FailureKind};
use crate::limits::BURST_MAX;
use crate::pacer::Pacer;
use crate::tally::Tally;
use crate::window::Window;

/// This thread's share of the load.
#[derive(Clone, Debug)]
pub(crate) enum Share {
    Closed { concurrency: usize },
    Open { arrivals: Arrivals, outstanding_max: usize, spin: bool },
}

/// What all threads have in common, and none changes.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) target: Target,
    pub(crate) requests: Vec<Prepared>,
    pub(crate) timeout: Duration,
    /// Answers so far, over all threads; for the eye only.
    pub(crate) answers: AtomicU64,
}

pub(crate) struct Station {
    task: Arc<Task>,
    client: Client,
    window: Window,
    tally: RefCell<Tally>,
    checker: RefCell<Checker>,
    turn: Cell<usize>,
    outstanding: Cell<usize>,
    all_answered: Notify,
}

/// A thread's part of the result.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) checker: Checker,
    /// What the thread used of its core within the counted time, and how long that was.
    pub(crate) cpu: Duration,
    pub(crate) counted: Duration,
}

impl Station {
    pub(crate) fn new(
        task: Arc<Task>,
        client: Client,
        window: Window,
        checker: Checker,
    ) -> Station {
        Station {
            task,
            client,
            window,
            tally: RefCell::new(Tally::new()),
            checker: RefCell::new(checker),
            turn: Cell::new(0),
            outstanding: Cell::new(0),
            all_answered: Notify::new(),
        }
    }

    /// Carries out the share and waits for all answers.
    pub(crate) async fn work(self, share: Share) -> Result<Outcome> {
        let station = Rc::new(self);
        let load = async {
            match share {
                Share::Closed { concurrency } => closed(&station, concurrency).await,
                Share::Open { arrivals, outstanding_max, spin } => {
                    let pacer = Pacer::new(spin).context("cannot create a timer")?;
                    open(&station, arrivals, pacer, outstanding_max).await
                }
            }
        };
        let (load, (before, after)) = tokio::join!(load, station.gauge());
        load?;
        let cpu = after.unwrap_or_else(thread_cpu).saturating_sub(before);
        let station = Rc::into_inner(station).context("a request outlived the load")?;
        let tally = station.tally.into_inner();
        let end = station.window.end.or(tally.last_finish).unwrap_or(station.window.counted_from);
        let counted = end.saturating_duration_since(station.window.counted_from);
        Ok(Outcome { tally, checker: station.checker.into_inner(), cpu, counted })
    }

    /// The thread's CPU clock at the beginning and, if it is known, at the end of the counted time.
    async fn gauge(&self) -> (Duration, Option<Duration>) {
        tokio::time::sleep_until(self.window.counted_from.into()).await;
        let before = thread_cpu();
        let Some(end) = self.window.end else { return (before, None) };
        tokio::time::sleep_until(end.into()).await;
        (before, Some(thread_cpu()))
    }

    /// Sends the next request, which was due at `intended`, and returns when it was over.
    async fn exchange(&self, intended: Instant) -> Instant {
        let index = self.turn.get();
        self.turn.set((index + 1) % self.task.requests.len());
        let request = &self.task.requests[index];
        let timeout = self.task.timeout;
        let outcome = tokio::time::timeout(timeout, self.client.call(request)).await;
        let finish = Instant::now();
        let outcome = outcome.unwrap_or_else(|_| {
            let message = format!("no answer within {timeout:?}");
            Err(Failure { kind: FailureKind::Timeout, message })
        });
        let counts = self.window.counts(intended);
        let tally = &mut *self.tally.borrow_mut();
        tally.requests += u64::from(counts);
        tally.last_finish = Some(finish);
        match outcome {
            Ok(reply) => {
                self.task.answers.fetch_add(1, Ordering::Relaxed);
                if counts {
                    tally.record_latency(finish - intended);
                }
                if self.window.covers(finish) {
                    tally.answers_in_time += 1;
                    tally.rows_in_time += request.rows;
                }
                let checker = &mut *self.checker.borrow_mut();
                if checker.due(index) {
                    checker.look(index, self.task.target.decode(&reply));
                }
            }
            Err(failure) if counts => tally.record_failure(failure),
            Err(_) => tally.failed_in_warmup += 1,
        }
        finish
    }
}

/// Keeps `concurrency` requests in flight.
async fn closed(station: &Rc<Station>, concurrency: usize) -> Result<()> {
    let mut workers = Vec::with_capacity(concurrency);
    for _ in 0..concurrency {
        let station = Rc::clone(station);
        workers.push(tokio::task::spawn_local(async move {
            tokio::time::sleep_until(station.window.begin.into()).await;
            let mut now = Instant::now();
            while station.window.admits(now) {
                now = station.exchange(now).await;
            }
        }));
    }
    for worker in workers {
        worker.await.context("a load task stopped")?;
    }
    Ok(())
}

/// Sends each request when it is due. What cannot be sent then is counted, never delayed.
async fn open(
    station: &Rc<Station>,
    arrivals: Arrivals,
    mut pacer: Pacer,
    outstanding_max: usize,
) -> Result<()> {
    let mut burst = 0;
    for offset in arrivals {
        let intended = station.window.begin + offset;
        if !station.window.admits(intended) {
            break;
        }
        let late = Instant::now() >= intended;
        burst = if late { burst + 1 } else { 0 };
        if !late {
            pacer.until(intended).await.context("the timer failed")?;
        } else if burst % BURST_MAX == 0 {
            // Behind the schedule: the connections still need their turn.
            tokio::task::yield_now().await;
        }
        if station.outstanding.get() < outstanding_max {
            spawn_late(station, intended);
        } else if station.window.counts(intended) {
            station.tally.borrow_mut().not_sent += 1;
        }
    }
    while station.outstanding.get() > 0 {
        station.all_answered.notified().await;
    }
    Ok(())
}

/// Starts one request of the open loop in a task of its own.
fn spawn_late(station: &Rc<Station>, intended: Instant) {
    let pending = Pending::new(Rc::clone(station));
    tokio::task::spawn_local(async move {
        let station = &pending.station;
        if station.window.counts(intended) {
            let lateness = Instant::now().saturating_duration_since(intended);
            station.tally.borrow_mut().record_lateness(lateness);
        }
        station.exchange(intended).await;
    });
}

/// One outstanding request; counted until it is dropped, however that comes.
struct Pending {
    station: Rc<Station>,
}

impl Pending {
    fn new(station: Rc<Station>) -> Pending {
        station.outstanding.set(station.outstanding.get() + 1);
        Pending { station }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let left = self.station.outstanding.get() - 1;
        self.station.outstanding.set(left);
        if left == 0 {
            self.station.all_answered.notify_one();
        }
    }
}

/// User and system time of the calling thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
