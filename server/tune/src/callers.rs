//! Callers that each ask, wait for the answer, and ask again: a closed loop around the serving path.
//!
//! They run where the frontend would, on the data runtime, and take the same permits; there is no
//! network and nothing is encoded. All of them end when the time is up, answered or not.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use server_base::{InferRequest, Protocol};
use server_serving::{InferError, Serving};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::choice::{Failure, Point};
use crate::latencies::{Latencies, Summary};
use crate::setting::Setting;

/// What is asked, and for how long.
pub(crate) struct Question {
    pub(crate) serving: Arc<Serving>,
    pub(crate) requests: Arc<[InferRequest<'static>]>,
    pub(crate) rows: usize,
    /// Before anything counts.
    pub(crate) lead: Duration,
    pub(crate) window: Duration,
}

/// What all callers of one point share.
struct Shared {
    serving: Arc<Serving>,
    requests: Arc<[InferRequest<'static>]>,
    from: Instant,
    until: Instant,
    latencies: Latencies,
    failure: OnceLock<Failure>,
}

impl Question {
    /// Asks with so many callers at a time.
    pub(crate) fn ask(&self, runtime: &Runtime, setting: Setting, concurrency: usize) -> Point {
        let from = Instant::now() + self.lead;
        let shared = Arc::new(Shared {
            serving: Arc::clone(&self.serving),
            requests: Arc::clone(&self.requests),
            from,
            until: from + self.window,
            latencies: Latencies::new(concurrency),
            failure: OnceLock::new(),
        });
        runtime.block_on(run(&shared, concurrency));
        self.point(&shared, setting, concurrency)
    }

    fn point(&self, shared: &Shared, setting: Setting, concurrency: usize) -> Point {
        let Summary { answers, p50, p99 } = shared.latencies.summary();
        let rows = answers as f64 * self.rows as f64;
        Point {
            setting,
            concurrency,
            answers,
            rows_per_s: rows / self.window.as_secs_f64(),
            p50,
            p99,
            failure: shared.failure.get().cloned(),
        }
    }
}

async fn run(shared: &Arc<Shared>, concurrency: usize) {
    let mut callers = JoinSet::new();
    for number in 0..concurrency {
        callers.spawn(call(Arc::clone(shared), number));
    }
    let over = async { while callers.join_next().await.is_some() {} };
    // Whoever still waits for an answer then is cut off: it came too late to count.
    let _ = timeout_at(shared.until.into(), over).await;
    callers.shutdown().await;
}

/// One caller.
async fn call(shared: Arc<Shared>, number: usize) {
    let mut turn = number;
    while shared.failure.get().is_none() {
        let asked = Instant::now();
        if asked >= shared.until {
            return;
        }
        let Some(request) = shared.requests.get(turn % shared.requests.len().max(1)) else {
            return;
        };
        turn += 1;
        let waits = Waits { shared: &shared, asked };
        let answer = ask(&shared.serving, request.clone()).await;
        waits.no_more();
        if let Err(error) = answer {
            let _ = shared.failure.set(Failure(error.to_string()));
            return;
        }
        let answered = Instant::now();
        if (shared.from..shared.until).contains(&answered) {
            shared.latencies.note(number, answered - asked);
        }
    }
}

/// A caller between question and answer. Dropped before the answer is there, it was cut off.
struct Waits<'a> {
    shared: &'a Shared,
    asked: Instant,
}

impl Waits<'_> {
    fn no_more(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.shared.latencies.cut_off(self.shared.until.saturating_duration_since(self.asked));
    }
}

async fn ask(serving: &Serving, request: InferRequest<'static>) -> Result<(), InferError> {
    let mut trip = serving.trip(Protocol::Grpc);
    let permit = serving.admission().enter()?;
    let bytes = request.inputs.iter().map(|it| it.tensor.data().len()).sum();
    permit.grow(bytes)?;
    trip.holds(Arc::new(permit));
    let answer = serving.infer(request, &mut trip).await;
    trip.finish(answer.as_ref().err());
    answer.map(drop)
}
