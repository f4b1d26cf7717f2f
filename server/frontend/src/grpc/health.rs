//! `grpc.health.v1`: the server as a whole under its own names, and each model under its.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use server_base::VersionChoice;
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::dispatch::Shared;

/// Names under which the whole server is asked for.
const SERVER: [&str; 2] = ["", "inference.GRPCInferenceService"];

/// The service.
pub(crate) struct HealthService {
    shared: Arc<Shared>,
}

impl HealthService {
    pub(crate) fn new(shared: Arc<Shared>) -> HealthService {
        HealthService { shared }
    }
}

/// `None`: nothing of that name.
fn health(shared: &Shared, service: &str) -> Option<ServingStatus> {
    let serving = |yes: bool| if yes { ServingStatus::Serving } else { ServingStatus::NotServing };
    if SERVER.contains(&service) {
        return Some(serving(shared.is_ready()));
    }
    let table = shared.serving.table();
    table.model(service)?;
    Some(serving(table.route(service, &VersionChoice::Any).is_ok()))
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = health(&self.shared, &request.into_inner().service)
            .ok_or_else(|| Status::not_found("unknown service"))?;
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    type WatchStream = Watch;

    /// Tells the status now and after each change, until the caller leaves or the server drains.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        Ok(Response::new(Watch {
            shared: Arc::clone(&self.shared),
            service: request.into_inner().service,
            told: None,
            changed: waiting(self.shared.lifecycle.changes()),
        }))
    }
}

type Changed = Pin<Box<dyn Future<Output = Option<watch::Receiver<u64>>> + Send>>;

/// Ends at the next change; `None` when there will be no more.
fn waiting(mut changes: watch::Receiver<u64>) -> Changed {
    Box::pin(async move { changes.changed().await.ok().map(|()| changes) })
}

/// The answers to one watcher.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    service: String,
    told: Option<ServingStatus>,
    changed: Changed,
}

impl tokio_stream::Stream for Watch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let status =
                health(&self.shared, &self.service).unwrap_or(ServingStatus::ServiceUnknown);
            if self.told != Some(status) {
                self.told = Some(status);
                return Poll::Ready(Some(Ok(HealthCheckResponse { status: status.into() })));
            }
            if self.shared.lifecycle.readiness().is_draining() {
                return Poll::Ready(None); // an open stream would hold up the drain
            }
            match ready!(self.changed.as_mut().poll(cx)) {
                Some(changes) => self.changed = waiting(changes),
                None => return Poll::Ready(None),
            }
        }
    }
}
