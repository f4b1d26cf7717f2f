//! The search itself: load, ask, note, unload, until there is nothing left to try.

use std::sync::Arc;
use std::time::Instant;

use backend_api::{Signature, TensorSpec};
use server_base::{InferRequest, limits};
use server_lifecycle::{Alone, Engines};
use server_serving::{Admission, AdmissionLimits, Cores, Serving, Table};
use tokio::runtime::{Builder, Runtime};

use crate::callers::Question;
use crate::candidates::Candidate;
use crate::choice::{Choice, Point, choose, climbs};
use crate::inputs;
use crate::plan::{Plan, TuneError};
use crate::search::{self, Tried};

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    /// Every setting that was tried, in order.
    pub tried: Vec<Tried>,
    /// All points, in order.
    pub points: Vec<Point>,
    /// Which of them is best.
    pub choice: Choice,
    /// The best one's candidate.
    pub best: Option<Candidate>,
}

/// Searches. `tell` is called with a line for each step.
pub fn run(
    plan: &mut Plan,
    engines: &Engines,
    tell: &mut dyn FnMut(&str),
) -> Result<Outcome, TuneError> {
    let data = Builder::new_multi_thread()
        .worker_threads(plan.cores)
        .thread_name("data")
        .enable_all()
        .build()?;
    let cores = Cores::new(plan.cores);
    let mut search = Search { engines, data, requests: None, tried: Vec::new() };
    while let Some(setting) = search::next(&plan.settings(), &search.tried, plan.goal) {
        let Some(candidate) = plan.candidate(setting).cloned() else { break };
        tell(&format!("{setting}:"));
        match plan.single.load((engines, &cores), plan.version, &candidate.config) {
            Err(reason) => {
                tell(&format!("  cannot be loaded: {reason}"));
                let unloadable = Some(reason);
                search.tried.push(Tried { setting, unloadable, points: Vec::new() });
            }
            Ok(alone) => {
                let found = search.measure(plan, &candidate, alone, tell)?;
                if let Some(tried) = found {
                    search.tried.push(tried);
                }
            }
        }
    }
    search.data.shutdown_background();
    let points: Vec<Point> = search.tried.iter().flat_map(|it| it.points.clone()).collect();
    let choice = choose(&points, plan.goal);
    let best = match choice {
        Choice::Best(place) => plan.candidate(points[place].setting).cloned(),
        Choice::Closest(_) | Choice::Nothing => None,
    };
    Ok(Outcome { tried: search.tried, points, choice, best })
}

struct Search<'a> {
    engines: &'a Engines,
    data: Runtime,
    /// Drawn once for all settings that give the model the same inputs.
    requests: Option<(Vec<TensorSpec>, Arc<[InferRequest<'static>]>)>,
    tried: Vec<Tried>,
}

impl Search<'_> {
    /// Climbs the steps of concurrency with one loaded setting. `None`: there turned out to be no
    /// batch size to choose, and the plan has changed.
    fn measure(
        &mut self,
        plan: &mut Plan,
        candidate: &Candidate,
        alone: Alone,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Option<Tried>, TuneError> {
        let setting = candidate.setting;
        let signature = alone.servable().signature().clone();
        if setting.batch.is_some() && !signature.is_batched() {
            unload(alone, None);
            if plan.batches_asked {
                let text = "--batch-sizes: the model takes one request at a time: it has no batch \
                            axis, or its rows depend on their neighbours";
                return Err(TuneError::Wishes(vec![text.to_owned()]));
            }
            tell("  the model takes one request at a time: there is no batch size to choose");
            plan.unbatched(self.engines);
            return Ok(None);
        }
        let requests = self.requests(plan, &signature)?;
        let serving = Arc::new(Serving::new(Admission::new(AdmissionLimits::default())));
        serving.publish(alone.table());
        let (lead, window) = (plan.lead(), plan.window);
        let question = Question { serving, requests, rows: plan.rows, lead, window };
        let mut points = Vec::new();
        for &concurrency in &plan.concurrency {
            if !climbs(&points, plan.goal) {
                break;
            }
            let point = question.ask(&self.data, setting, concurrency);
            tell(&line(&point));
            points.push(point);
        }
        unload(alone, Some(&question.serving));
        Ok(Some(Tried { setting, unloadable: None, points }))
    }

    fn requests(
        &mut self,
        plan: &Plan,
        signature: &Signature,
    ) -> Result<Arc<[InferRequest<'static>]>, TuneError> {
        if let Some((inputs, requests)) = &self.requests
            && *inputs == signature.inputs
        {
            return Ok(Arc::clone(requests));
        }
        let drawn = inputs::draw(plan, signature).map_err(TuneError::Wishes)?;
        let requests: Arc<[InferRequest<'static>]> = drawn.into();
        self.requests = Some((signature.inputs.clone(), Arc::clone(&requests)));
        Ok(requests)
    }
}

/// A run that does not end by then is left behind; it ends by itself.
fn unload(alone: Alone, serving: Option<&Serving>) {
    if let Some(serving) = serving {
        serving.publish(Table::default());
    }
    alone.stop(Instant::now() + limits::DRAIN);
}

fn line(point: &Point) -> String {
    let callers = if point.concurrency == 1 { "caller" } else { "callers" };
    let head = format!("  {:>4} {callers:<7}", point.concurrency);
    match &point.failure {
        Some(failure) => format!("{head}  failed: {}", failure.0),
        None if point.answers == 0 => format!("{head}  no answer in time"),
        None => format!(
            "{head}  {:>9.0} rows/s   p50 {:>8.3} ms   p99 {:>8.3} ms",
            point.rows_per_s,
            point.p50.as_secs_f64() * 1e3,
            point.p99.as_secs_f64() * 1e3
        ),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
