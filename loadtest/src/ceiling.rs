//! What this client could do at most: its own cost of a request, measured against an echo.
//!
//! Asked by `main` and `contestant` before the load. The echo answers with messages of the same
//! sizes from a thread of this process. Its own speed is not the point: what counts is the time that
//! a request costs the load threads, for that alone limits what they can send. So the ceiling holds
//! also where client and echo have to share cores.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::client::{Client, Protocol};
use crate::echo::{Background, Model};
use crate::limits::{CEILING_IN_FLIGHT, CEILING_WARMUP, CONNECTIONS_MAX};
use crate::plan::{Load, Plan};
use crate::progress;
use crate::run::{self, runtime, within};
use crate::signature::{FREE, Port};
use crate::supply::Supply;
use crate::tensor::Tensor;
use crate::window::Limit;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ceiling {
    /// What the load threads could send if each had a core and the server cost nothing.
    pub(crate) requests_per_s: f64,
    /// Time of the load threads that a request took.
    pub(crate) us_per_request: f64,
    /// What the echo answered; less than the ceiling where the echo itself was the limit.
    pub(crate) echo_per_s: f64,
}

impl Ceiling {
    /// `None`: not asked for, or it could not be measured, which is no reason to give up the run.
    pub(crate) fn measure(plan: &Plan) -> Option<Ceiling> {
        let duration = plan.ceiling?;
        let measured = against_echo(plan, duration);
        measured
            .inspect_err(|error| progress::note(&format!("no ceiling of this client: {error:#}")))
            .ok()
    }

    /// From the answers per second and the cores that the load threads used for them.
    pub(crate) fn of(echo_per_s: f64, client_cores: f64, cores: usize) -> Ceiling {
        let us_per_request = client_cores * 1e6 / echo_per_s;
        // Never below what was seen.
        let requests_per_s = (cores as f64 * 1e6 / us_per_request).max(echo_per_s);
        Ceiling { requests_per_s, us_per_request, echo_per_s }
    }
}

fn against_echo(plan: &Plan, duration: Duration) -> Result<Ceiling> {
    let models = runtime()?.block_on(within(plan.timeout, models(plan)))?;
    let echo = Background::start(models)?;
    let mut plan = plan.clone();
    let grpc = plan.endpoint.protocol == Protocol::Grpc;
    plan.endpoint.authority = (if grpc { echo.grpc } else { echo.http }).to_string();
    plan.limit = Limit::Time { warmup: CEILING_WARMUP, duration };
    let concurrency = CEILING_IN_FLIGHT.max(plan.threads);
    plan.load = Load::Closed { concurrency };
    plan.phases.clear();
    if !grpc {
        // A connection carries one request: as many as are in flight.
        plan.connections = plan.connections.max(concurrency).min(CONNECTIONS_MAX);
    }
    let report = run::run(&plan)?;
    ensure!(report.answered > 0 && report.failed == 0, "the echo did not answer every request");
    let available = thread::available_parallelism().map_or(plan.threads, usize::from);
    let cores = plan.threads.min(available);
    Ok(Ceiling::of(report.requests_per_s, report.client_cores, cores))
}

/// The models as the echo will play them, with the answers that the server really gives.
async fn models(plan: &Plan) -> Result<Vec<Model>> {
    let mut models = Vec::with_capacity(plan.models.len());
    for supply in Supply::gather(plan).await? {
        let client = Client::connect(&supply.target.endpoint, 1).await?;
        let request = supply.requests.first().context("a supply has requests")?;
        let reply = client.call(request, None).await?;
        let answer = supply.target.decode(&supply.signature, &reply)?;
        let mut signature = supply.signature;
        signature.model.clone_from(&supply.target.model);
        let batched = signature.batched();
        for port in &mut signature.outputs {
            settle(port, batched, &answer);
        }
        models.push(Model::new(signature)?);
    }
    Ok(models)
}

/// Gives the open axes of an output the lengths that they have in `answer`; rows stay open.
pub(crate) fn settle(port: &mut Port, batched: bool, answer: &[Tensor]) {
    let Some(tensor) = answer.iter().find(|it| it.name == port.name) else { return };
    let rows = batched && port.batched();
    port.shape = tensor.shape.iter().map(|&it| i64::try_from(it).unwrap_or(i64::MAX)).collect();
    if rows && let Some(first) = port.shape.first_mut() {
        *first = FREE;
    }
}
