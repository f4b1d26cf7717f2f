//! The Open Inference Protocol over HTTP: JSON, and binary tensors behind JSON.

mod binary;
mod caller;
#[cfg_attr(not(feature = "drift"), path = "no_drift.rs")]
pub(crate) mod drift;
mod elements;
mod infer;
mod memory;
#[cfg_attr(not(feature = "truth"), path = "no_labels.rs")]
pub(crate) mod labels;
mod object;
mod plain;
mod reader;
#[cfg_attr(not(feature = "rollouts"), path = "no_orders.rs")]
mod orders;
mod repository;
mod request;
mod response;
#[cfg_attr(not(feature = "rollouts"), path = "no_rollout.rs")]
mod rollout;
mod route;
mod said;
mod traffic;
#[cfg_attr(not(feature = "triggers"), path = "no_trigger.rs")]
pub(crate) mod trigger;

#[cfg(test)]
mod roundtrip_tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde::Serialize;
use server_base::{Kind, VersionChoice};
use server_serving::{Answer, Finished, InferError, Reply, Servable, Trip};

use crate::body::{Framing, Incoming, RequestBody, ResponseBody, leaves_body_unread};
use crate::dispatch::Shared;
use crate::metadata::{ModelMetadata, SERVER_NAME, extensions};
use crate::metrics::Durations;
use crate::options::COMMAND_BYTES_MAX;
use crate::status::{clipped, is_retriable, status};

pub(crate) use route::not_allowed;
pub(crate) use route::{Endpoint, Route};

pub(crate) use binary::LENGTH_HEADER;
pub(crate) use infer::Call;
use infer::Unbegun;
pub(crate) use repository::index_state;
pub(crate) use response::Encoded;
use rollout::Command;
pub(crate) use said::{Said, TIMEOUT_HEADER};

/// An answer with its place in the budget, which is to be held until it is sent; or the whole refusal.
pub(crate) type Ended = Result<(Encoded, Finished), Box<Response<ResponseBody>>>;

/// Why a prediction has not begun.
pub(crate) enum NotBegun {
    /// The whole answer.
    Refused(Box<Response<ResponseBody>>),
    /// Its model is to be loaded first, or a GPU's driver has to be called: see [`Rest::late`].
    Late(Box<Trip>),
}

/// The REST interface.
pub struct Rest {
    shared: Arc<Shared>,
    durations: Durations<{ Endpoint::COUNT }>,
}

impl Rest {
    pub(crate) fn new(shared: Arc<Shared>) -> Rest {
        Rest { shared, durations: Durations::new() }
    }

    /// Answers one request.
    pub(crate) async fn call(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let began = Instant::now();
        let route = Route::find(request.method(), request.uri().path());
        let endpoint = route.as_ref().map_or(Endpoint::None, |it| it.endpoint);
        let response = match route {
            Ok(route) => self.answer(route, request).await,
            Err(refused) => refused.response(),
        };
        let place = (endpoint as usize, endpoint.template());
        self.durations.http(place, response.status().as_u16(), began.elapsed());
        response
    }

    /// Largest body of a prediction.
    pub(crate) fn request_bytes_max(&self) -> usize {
        self.shared.options.request_bytes_max
    }

    /// Begins a prediction whose body is here, if its model is there.
    pub(crate) fn begin(
        &self,
        address: (&str, &str),
        content: (Said<'_>, Bytes),
        reply: Reply,
    ) -> Result<Call, NotBegun> {
        infer::begin(&self.shared, address, content, reply).map_err(|it| match it {
            Unbegun::Refused(it) => NotBegun::Refused(Box::new(self.refused(&it.0, &it.1))),
            Unbegun::Late(trip) => NotBegun::Late(trip),
        })
    }

    /// Answers a prediction that could not begin at once.
    pub(crate) async fn late(
        &self,
        address: (&str, &str),
        content: (Said<'_>, Bytes),
        trip: Trip,
    ) -> Ended {
        let ended = infer::late(&self.shared, address, content, trip).await;
        self.ended(ended)
    }

    /// Ends it. The answer is written to `memory`.
    pub(crate) fn end(
        &self,
        call: Call,
        result: Result<Answer, InferError>,
        memory: Vec<u8>,
    ) -> Ended {
        self.ended(infer::end(call, result, memory))
    }

    fn ended(&self, ended: Result<(Encoded, Finished), infer::Failed>) -> Ended {
        let (encoded, finished) = ended.map_err(|it| Box::new(self.refused(&it.0, &it.1)))?;
        self.count_infer(StatusCode::OK, &finished);
        Ok((encoded, finished))
    }

    fn refused(&self, error: &InferError, finished: &Finished) -> Response<ResponseBody> {
        let response = failure(error);
        self.count_infer(response.status(), finished);
        response
    }

    fn count_infer(&self, status: StatusCode, finished: &Finished) {
        let place = (Endpoint::Infer as usize, Endpoint::Infer.template());
        self.durations.http(place, status.as_u16(), finished.took);
    }

    async fn answer(&self, route: Route, request: Request<Incoming>) -> Response<ResponseBody> {
        match route.endpoint {
            Endpoint::Live => health(true),
            Endpoint::Ready => health(self.shared.is_ready()),
            Endpoint::Server => json(StatusCode::OK, &server_metadata(&self.shared)),
            Endpoint::Model => {
                let found = self.model_metadata(&route, &request).await;
                found.unwrap_or_else(|it| failure(&it))
            }
            Endpoint::ModelReady => self.model_ready(&route),
            Endpoint::Infer => infer::infer(&self.shared, &route, request).await,
            Endpoint::Index => self.command(route, request, repository::index).await,
            Endpoint::Load => self.command(route, request, repository::load).await,
            Endpoint::Unload => self.command(route, request, repository::unload).await,
            Endpoint::Rollouts => rollout::list(&self.shared.conductor).await,
            Endpoint::Rollout => rollout::show(&self.shared.conductor, &route.model).await,
            Endpoint::RolloutStart => self.command(route, request, rollout::start).await,
            Endpoint::RolloutPromote => self.direct(route, request, Command::Promote).await,
            Endpoint::RolloutHold => self.direct(route, request, Command::Hold).await,
            Endpoint::RolloutResume => self.direct(route, request, Command::Resume).await,
            Endpoint::RolloutAbort => self.direct(route, request, Command::Abort).await,
            Endpoint::Drift => drift::show(self.shared.monitors.as_deref(), &route),
            Endpoint::Labels => self.command(route, request, labels::post).await,
            Endpoint::Performance => labels::show(&self.shared, &route).await,
            Endpoint::Triggers => trigger::list(self.shared.triggers.as_ref()).await,
            Endpoint::TriggerFire | Endpoint::TriggerMute | Endpoint::TriggerUnmute => {
                self.trigger(route, request).await
            }
            Endpoint::Traffic => traffic::show(&self.shared.serving, &route.model),
            Endpoint::Promote => self.command(route, request, orders::promote).await,
            Endpoint::RollBack => self.command(route, request, orders::roll_back).await,
            Endpoint::Forget => self.command(route, request, orders::forget).await,
            Endpoint::SystemMemory | Endpoint::CudaMemory => memory::status(&self.shared, &route),
            Endpoint::SystemMemoryRegister | Endpoint::CudaMemoryRegister => {
                self.command(route, request, memory::register).await
            }
            Endpoint::SystemMemoryUnregister | Endpoint::CudaMemoryUnregister => {
                self.command(route, request, memory::unregister).await
            }
            Endpoint::None => error_response(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    /// Tells a rollout what to do.
    async fn direct(
        &self,
        route: Route,
        request: Request<Incoming>,
        command: Command,
    ) -> Response<ResponseBody> {
        let told = |shared, route, request| rollout::command(shared, (route, request), command);
        self.command(route, request, told).await
    }

    async fn trigger(&self, route: Route, request: Request<Incoming>) -> Response<ResponseBody> {
        let told = |shared: Arc<Shared>, route, request| {
            trigger::tell(shared.triggers.clone(), route, request)
        };
        self.command(route, request, told).await
    }

    async fn command<F>(
        &self,
        route: Route,
        request: Request<Incoming>,
        command: impl FnOnce(Arc<Shared>, Route, Request<RequestBody>) -> F,
    ) -> Response<ResponseBody>
    where
        F: Future<Output = Response<ResponseBody>>,
    {
        let (head, body) = request.into_parts();
        let limits = &self.shared.options.connections;
        // Commands count too: each may hold a body.
        let metered = self.shared.serving.admission().enter().and_then(|permit| {
            let framing = (Framing::Plain, COMMAND_BYTES_MAX);
            RequestBody::new(body, framing, Some(Arc::new(permit)), limits)
        });
        match metered {
            Ok(body) => {
                let request = Request::from_parts(head, body);
                command(Arc::clone(&self.shared), route, request).await
            }
            Err(error) => failure(&error),
        }
    }

    async fn model_metadata(
        &self,
        route: &Route,
        request: &Request<Incoming>,
    ) -> Result<Response<ResponseBody>, InferError> {
        let choice = VersionChoice::parse(&route.version)?;
        let time = (Instant::now(), Said::new(request.headers())?.timeout()?);
        let metadata =
            ModelMetadata::find(&self.shared.serving, (&route.model, &choice), time).await?;
        let tensor = |spec: &backend_api::TensorSpec| TensorMetadata {
            name: spec.name.to_string(),
            datatype: spec.dtype.name(),
            shape: spec.to_wire(),
            parameters: spec.quantization.map(QuantizationBody::new),
        };
        let servable = &metadata.servable;
        let signature = servable.signature();
        let body = ModelMetadataBody {
            name: servable.model().as_str(),
            versions: &metadata.versions,
            platform: servable.plan().platform,
            inputs: signature.inputs.iter().map(tensor).collect(),
            outputs: signature.outputs.iter().map(tensor).collect(),
            parameters: &self.facts(servable),
        };
        Ok(json(StatusCode::OK, &body))
    }

    /// What a version says of itself, and where it is from.
    fn facts(&self, servable: &Servable) -> BTreeMap<String, String> {
        let mut facts = servable.plan().facts.clone();
        let origin = self.shared.origins.get(servable.model().as_str());
        if let Some(it) = origin.as_ref().and_then(|it| it.versions.get(&servable.version())) {
            facts.extend(it.facts.clone());
            facts.insert("salver.source".to_owned(), it.source.clone());
            facts.insert("salver.digest".to_owned(), it.digest.clone());
        }
        facts
    }

    fn model_ready(&self, route: &Route) -> Response<ResponseBody> {
        let found = VersionChoice::parse(&route.version).map_err(InferError::from);
        let found =
            found.and_then(|it| self.shared.serving.table().route(&route.model, &it).map(|_| ()));
        match found {
            Ok(()) => health(true),
            Err(error) if error.kind() == Kind::Unavailable => {
                error_response(StatusCode::BAD_REQUEST, "Model version not ready")
            }
            Err(error) => failure(&error),
        }
    }
}

#[derive(Serialize)]
struct ServerMetadataBody {
    name: &'static str,
    version: &'static str,
    extensions: Vec<&'static str>,
}

fn server_metadata(shared: &Shared) -> ServerMetadataBody {
    ServerMetadataBody {
        name: SERVER_NAME,
        version: shared.version,
        extensions: extensions(shared),
    }
}

#[derive(Serialize)]
struct ModelMetadataBody<'a> {
    name: &'a str,
    versions: &'a [String],
    platform: &'static str,
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parameters: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct TensorMetadata {
    name: String,
    datatype: &'static str,
    shape: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<QuantizationBody>,
}

/// What a quantised tensor's numbers stand for: `scale * (number - zero_point)`.
#[derive(Serialize)]
struct QuantizationBody {
    scale: f32,
    zero_point: i64,
}

impl QuantizationBody {
    fn new(it: backend_api::Quantization) -> QuantizationBody {
        QuantizationBody { scale: it.scale, zero_point: it.zero_point }
    }
}

/// 200 or 400, nothing else: what clients of the protocol expect of health.
pub(crate) fn health(well: bool) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    if !well {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

/// An error of the hot path or the door.
pub(crate) fn failure(error: &InferError) -> Response<ResponseBody> {
    let mut response = refusal(error.kind(), error.to_string());
    if leaves_body_unread(error) {
        // What the peer still sends would be taken for the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(retry) = error.retry() {
        // Whole seconds, and not too early.
        let seconds = HeaderValue::from(retry.as_secs() + 1);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// An error by its kind.
pub(crate) fn refusal(kind: Kind, text: String) -> Response<ResponseBody> {
    let (_, status) = status(kind);
    let mut response = error_response(status, &text);
    if is_retriable(kind) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// `{"error": text}`.
pub(crate) fn error_response(status: StatusCode, text: &str) -> Response<ResponseBody> {
    #[derive(Serialize)]
    struct ErrorBody<'a> {
        error: &'a str,
    }
    json(status, &ErrorBody { error: &clipped(text.to_owned()) })
}

/// Any value as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<ResponseBody> {
    // Our own types have text keys and no maps that could fail.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(ResponseBody::full(Bytes::from(text)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
