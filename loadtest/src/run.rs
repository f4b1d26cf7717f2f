//! Carries out a plan: asks for the metadata, builds the requests, starts the threads, adds up.
//!
//! Called by `main`, `contestant` and `ceiling`. Threads share nothing but the requests; they begin
//! at one instant.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use crate::arrivals::Arrivals;
use crate::client::Client;
use crate::mix::Mix;
use crate::phases::Phases;
use crate::plan::{Load, Plan};
use crate::progress;
use crate::report::Report;
use crate::station::{Ledger, Outcome, Share, Station, Task};
use crate::strand::Strand;
use crate::supply::Supply;
use crate::window::Window;

/// Between "all are connected" and the begin, so that no thread is late for it.
const HEAD_START: Duration = Duration::from_millis(20);

pub(crate) fn run(plan: &Plan) -> Result<Report> {
    let supplies = runtime()?.block_on(within(plan.timeout, Supply::gather(plan)))?;
    let task = Arc::new(Task {
        supplies: Arc::new(supplies),
        timeout: plan.timeout,
        send_deadline: plan.send_deadline,
        answers: AtomicU64::new(0),
    });
    let crew = Crew::muster(plan, &task)?;
    let begin = Instant::now() + HEAD_START;
    let threads = crew.start(begin)?;
    progress::show(plan.limit, begin, &task, &threads);
    let mut outcomes = Vec::with_capacity(threads.len());
    for thread in threads {
        outcomes.push(thread.join().map_err(|_| anyhow!("a load thread stopped"))??);
    }
    Ok(Report::new(plan, &task.supplies, outcomes))
}

/// The load threads, from the first connection to the start.
struct Crew {
    threads: Vec<JoinHandle<Result<Outcome>>>,
    /// Each thread waits here for the instant to begin at.
    starts: Vec<SyncSender<Instant>>,
}

impl Crew {
    /// Starts the threads and waits until all are connected.
    fn muster(plan: &Plan, task: &Arc<Task>) -> Result<Crew> {
        let mut crew = Crew { threads: Vec::new(), starts: Vec::new() };
        let (connected, all_connected) = sync_channel(plan.threads);
        for index in 0..plan.threads {
            let (start, started) = sync_channel(1);
            let duty = Duty {
                plan: plan.clone(),
                index,
                task: Arc::clone(task),
                connected: connected.clone(),
                started,
            };
            let thread = thread::Builder::new().name(format!("load/{index}"));
            crew.threads.push(thread.spawn(move || duty.perform())?);
            crew.starts.push(start);
        }
        drop(connected);
        for _ in 0..plan.threads {
            // Leaving early drops `starts`, which ends the threads that wait for theirs.
            all_connected.recv().context("a load thread stopped before the start")??;
        }
        Ok(crew)
    }

    fn start(self, begin: Instant) -> Result<Vec<JoinHandle<Result<Outcome>>>> {
        for start in &self.starts {
            start.send(begin).context("a load thread ended before the start")?;
        }
        Ok(self.threads)
    }
}

/// What one load thread is given.
struct Duty {
    plan: Plan,
    index: usize,
    task: Arc<Task>,
    connected: SyncSender<Result<()>>,
    started: Receiver<Instant>,
}

impl Duty {
    fn perform(self) -> Result<Outcome> {
        let Duty { plan, index, task, connected, started } = self;
        let threads = plan.threads;
        runtime()?.block_on(async move {
            let connections = portion(plan.connections, index, threads);
            let connecting = Client::connect(&plan.endpoint, connections);
            let client = within(plan.timeout, connecting).await;
            let (client, news) = match client {
                Ok(client) => (Some(client), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Nobody listens any more, or nobody will start us: another thread could not connect.
            let _ = connected.send(news);
            drop(connected);
            let (Some(client), Ok(begin)) = (client, started.recv()) else {
                bail!("the run was given up");
            };
            let window = Window::new(plan.limit, begin, index as u64, threads as u64);
            let strands = Strand::all(&task.supplies, plan.check_every);
            let weights = task.supplies.iter().map(|it| it.weight);
            let mix = Mix::new(weights, plan.seed, index as u64);
            let phases = Phases::new(window.counted_from, &plan.phases);
            let ledger = Ledger { strands, phases };
            let station = Station::new(task, client, window, (ledger, mix));
            station.work(share(&plan, index)).await
        })
    }
}

/// What comes before the first request may take as long as a request.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.with_context(|| format!("the server did not answer within {limit:?}"))?
}

/// The part of the load for thread `index`.
fn share(plan: &Plan, index: usize) -> Share {
    let threads = plan.threads;
    match plan.load {
        Load::Closed { concurrency } => {
            Share::Closed { concurrency: portion(concurrency, index, threads) }
        }
        Load::Open { ref schedule, outstanding_max, spin, .. } => Share::Open {
            arrivals: Arrivals::new(schedule.clone(), plan.seed)
                .share(index as u64, threads as u64),
            outstanding_max: portion(outstanding_max, index, threads).max(1),
            spin,
        },
    }
}

/// Deals out `whole` among `parts`, the first ones getting what is left over.
fn portion(whole: usize, index: usize, parts: usize) -> usize {
    whole / parts + usize::from(index < whole % parts)
}

pub(crate) fn runtime() -> Result<LocalRuntime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build_local(LocalOptions::default()).context("cannot start a runtime")
}
