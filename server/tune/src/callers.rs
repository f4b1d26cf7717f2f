//! Callers that each ask, wait for the answer, and ask again: a closed loop around the serving path.
//!
//! They run where the frontend would, on the data runtime, and take the same permits; there is no
//! network and nothing is encoded. All of them end when the time is up, answered or not.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use server_base::{InferRequest, Protocol};
use server_serving::{InferError, Serving};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::choice::{Failure, Point};
use crate::setting::Setting;

/// Histograms that callers share: few enough to add up, many enough that two seldom meet.
const SHARDS: usize = 64;

/// Latencies are kept to three digits.
const DIGITS: u8 = 3;

/// What is asked, and for how long.
pub(crate) struct Question {
    pub(crate) serving: Arc<Serving>,
    pub(crate) requests: Arc<[InferRequest]>,
    pub(crate) rows: usize,
    /// Before anything counts.
    pub(crate) lead: Duration,
    pub(crate) window: Duration,
}

/// What all callers of one point share.
struct Shared {
    serving: Arc<Serving>,
    requests: Arc<[InferRequest]>,
    from: Instant,
    until: Instant,
    latencies_us: Vec<Mutex<Histogram<u32>>>,
    failure: OnceLock<Failure>,
}

impl Question {
    /// Asks with so many callers at a time.
    pub(crate) fn ask(&self, runtime: &Runtime, setting: Setting, concurrency: usize) -> Point {
        let from = Instant::now() + self.lead;
        let shards = concurrency.min(SHARDS);
        let shared = Arc::new(Shared {
            serving: Arc::clone(&self.serving),
            requests: Arc::clone(&self.requests),
            from,
            until: from + self.window,
            latencies_us: (0..shards).filter_map(|_| histogram()).map(Mutex::new).collect(),
            failure: OnceLock::new(),
        });
        runtime.block_on(run(&shared, concurrency));
        self.point(&shared, setting, concurrency)
    }

    fn point(&self, shared: &Shared, setting: Setting, concurrency: usize) -> Point {
        let mut all = histogram();
        for shard in &shared.latencies_us {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // Alike in range and digits, so that nothing is out of range.
            let _ = all.as_mut().map(|it| it.add(&*shard));
        }
        let answers = all.as_ref().map_or(0, Histogram::len);
        let at = |quantile: f64| {
            all.as_ref()
                .map_or(Duration::ZERO, |it| Duration::from_micros(it.value_at_quantile(quantile)))
        };
        let rows = answers as f64 * self.rows as f64;
        Point {
            setting,
            concurrency,
            answers,
            rows_per_s: rows / self.window.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            failure: shared.failure.get().cloned(),
        }
    }
}

/// Grows with what it is given: nothing is lost.
fn histogram() -> Option<Histogram<u32>> {
    Histogram::new(DIGITS).ok()
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
        if let Err(error) = ask(&shared.serving, request.clone()).await {
            let _ = shared.failure.set(Failure(error.to_string()));
            return;
        }
        let answered = Instant::now();
        if (shared.from..shared.until).contains(&answered) {
            shared.note(number, answered - asked);
        }
    }
}

async fn ask(serving: &Serving, request: InferRequest) -> Result<(), InferError> {
    let mut trip = serving.trip(Protocol::Grpc);
    let permit = serving.admission().enter()?;
    let bytes = request.inputs.iter().map(|it| it.tensor.data().len()).sum();
    permit.grow(bytes)?;
    trip.holds(Arc::new(permit));
    let answer = serving.infer(request, &mut trip).await;
    trip.finish(answer.as_ref().err().map(InferError::kind));
    answer.map(drop)
}

impl Shared {
    fn note(&self, number: usize, latency: Duration) {
        let Some(shard) = self.latencies_us.get(number % self.latencies_us.len().max(1)) else {
            return;
        };
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        shard.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(us);
    }
}
