//! One load thread: its connections, its share of the load, what happened to it.
//!
//! Made by `run` on the thread that owns it; nothing in it is shared or locked. The closed loop
//! sends a request when an answer has come; the open loop when the schedule says so, whatever came.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Notify;

use crate::arrivals::{Arrivals, Due};
use crate::check::Findings;
use crate::client::{Client, Reply};
use crate::core_time::CoreTime;
use crate::failure::{Failure, FailureKind};
use crate::limits::BURST_MAX;
use crate::mix::Mix;
use crate::pacer::Pacer;
use crate::phases::Phases;
use crate::strand::Strand;
use crate::supply::Supply;
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
    /// At least one.
    pub(crate) supplies: Arc<Vec<Supply>>,
    pub(crate) timeout: Duration,
    pub(crate) send_deadline: bool,
    /// Answers so far, over all threads; for the eye only.
    pub(crate) answers: AtomicU64,
}

pub(crate) struct Station {
    task: Arc<Task>,
    client: Client,
    window: Window,
    ledger: Ledger,
    mix: RefCell<Mix>,
    outstanding: Cell<usize>,
    all_answered: Notify,
}

/// Where a thread writes down what happens.
pub(crate) struct Ledger {
    /// One per model, in the order of the supplies.
    pub(crate) strands: Vec<Strand>,
    pub(crate) phases: Phases,
}

/// A thread's part of the result.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Per model, in the order of the supplies.
    pub(crate) models: Vec<(Tally, Findings)>,
    /// Of the parts of the counted time, if it has parts.
    pub(crate) phases: Vec<Tally>,
    /// What the thread had of its core within the counted time, and how long that was.
    pub(crate) core: CoreTime,
    pub(crate) counted: Duration,
}

impl Station {
    pub(crate) fn new(
        task: Arc<Task>,
        client: Client,
        window: Window,
        (ledger, mix): (Ledger, Mix),
    ) -> Station {
        let (mix, outstanding) = (RefCell::new(mix), Cell::new(0));
        Station { task, client, window, ledger, mix, outstanding, all_answered: Notify::new() }
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
        let core = after.unwrap_or_else(CoreTime::now).since(before);
        let station = Rc::into_inner(station).context("a request outlived the load")?;
        let Ledger { strands, phases } = station.ledger;
        let models: Vec<_> = strands.into_iter().map(Strand::end).collect();
        let last_finish = models.iter().filter_map(|(tally, _)| tally.last_finish).max();
        let window = station.window;
        let end = window.end.or(last_finish).unwrap_or(window.counted_from);
        let counted = end.saturating_duration_since(window.counted_from);
        Ok(Outcome { models, phases: phases.end(), core, counted })
    }

    /// What the thread had of its core at the beginning and, if it is known, at the end of the
    /// counted time.
    async fn gauge(&self) -> (CoreTime, Option<CoreTime>) {
        tokio::time::sleep_until(self.window.counted_from.into()).await;
        let before = CoreTime::now();
        let Some(end) = self.window.end else { return (before, None) };
        tokio::time::sleep_until(end.into()).await;
        (before, Some(CoreTime::now()))
    }

    /// The strand of this model, or of one that is drawn.
    fn strand(&self, model: Option<usize>) -> &Strand {
        &self.ledger.strands[model.unwrap_or_else(|| self.mix.borrow_mut().pick())]
    }

    /// Sends the next request of `strand`, due at `intended`, and returns when it was over.
    async fn exchange(&self, strand: &Strand, intended: Instant) -> Instant {
        let (index, request) = strand.next();
        let Task { timeout, send_deadline, .. } = *self.task;
        let by = send_deadline.then(|| Instant::now() + timeout);
        // Pinned where it is made: by value, a future of a few KB would be moved twice a request.
        let call = pin!(self.client.call(request, by));
        let outcome = tokio::time::timeout(timeout, call).await;
        let finish = Instant::now();
        let outcome = outcome.unwrap_or_else(|_| {
            let message = format!("no answer within {timeout:?}");
            Err(Failure { kind: FailureKind::Timeout, message })
        });
        let counts = self.window.counts(intended);
        self.note_phase(intended, &outcome, finish);
        let tally = &mut *strand.tally.borrow_mut();
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
                    tally.good_in_time += u64::from(finish - intended <= timeout);
                }
                strand.look(index, &reply);
            }
            Err(failure) if counts => tally.record_failure(failure, finish - intended),
            Err(_) => tally.failed_in_warmup += 1,
        }
        finish
    }
}

impl Station {
    /// Part by part, without what the whole run alone has.
    fn note_phase(&self, due: Instant, outcome: &Result<Reply, Failure>, finish: Instant) {
        let took = finish - due;
        self.ledger.phases.note(due, |tally| {
            tally.requests += 1;
            match outcome {
                Ok(_) => {
                    tally.record_latency(took);
                    tally.good_in_time += u64::from(took <= self.task.timeout);
                }
                Err(failure) => tally.record_failure(failure.clone(), took),
            }
        });
    }

    /// An arrival that could not be sent.
    fn refuse(&self, due: Instant, model: Option<usize>) {
        if self.window.counts(due) {
            self.strand(model).tally.borrow_mut().not_sent += 1;
            self.ledger.phases.note(due, |tally| tally.not_sent += 1);
        }
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
                now = station.exchange(station.strand(None), now).await;
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
    for Due { offset, model } in arrivals {
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
            spawn_late(station, intended, model);
        } else {
            station.refuse(intended, model);
        }
    }
    while station.outstanding.get() > 0 {
        station.all_answered.notified().await;
    }
    Ok(())
}

/// Starts one request of the open loop in a task of its own.
fn spawn_late(station: &Rc<Station>, intended: Instant, model: Option<usize>) {
    let pending = Pending::new(Rc::clone(station));
    tokio::task::spawn_local(async move {
        let station = &pending.station;
        let strand = station.strand(model);
        if station.window.counts(intended) {
            let lateness = Instant::now().saturating_duration_since(intended);
            strand.tally.borrow_mut().record_lateness(lateness);
            station.ledger.phases.note(intended, |it| it.record_lateness(lateness));
        }
        station.exchange(strand, intended).await;
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
