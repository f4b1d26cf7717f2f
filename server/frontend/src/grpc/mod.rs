//! gRPC: tonic's services behind our own connections and meters.

mod call;
mod decode;
mod encode;
mod health;
mod service;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use server_base::{Kind, Protocol};
use server_serving::{InferError, Permit, Trip};
use tonic::Status;
use tonic::server::NamedService as _;
use tonic_health::pb::health_server::HealthServer;
use tower_service::Service;

use crate::body::{Framing, RequestBody, ResponseBody};
use crate::dispatch::Shared;
use crate::metrics::Durations;
use crate::options::COMMAND_BYTES_MAX;
use crate::status::{clipped, status};

use health::HealthService;
use service::InferenceService;

type Inference = GrpcInferenceServiceServer<InferenceService>;
type Health = HealthServer<HealthService>;

/// All gRPC services of the server.
pub(crate) struct Grpc {
    shared: Arc<Shared>,
    inference: Inference,
    health: Health,
    reflection: Boxed,
    reflection_alpha: Boxed,
    durations: Durations<{ METHODS.len() }>,
}

/// A service whose type has no name.
type Boxed = Box<dyn Fn(Request<RequestBody>) -> BoxedAnswer + Send + Sync>;
type BoxedAnswer =
    Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

fn boxed<S>(service: S) -> Boxed
where
    S: Service<Request<RequestBody>, Response = Response<tonic::body::Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Box::new(move |request| Box::pin(service.clone().call(request)))
}

/// Methods that are counted one by one; the others share the last place.
const METHODS: [&str; 10] = [
    "inference.GRPCInferenceService/ModelInfer",
    "inference.GRPCInferenceService/ServerLive",
    "inference.GRPCInferenceService/ServerReady",
    "inference.GRPCInferenceService/ModelReady",
    "inference.GRPCInferenceService/ServerMetadata",
    "inference.GRPCInferenceService/ModelMetadata",
    "inference.GRPCInferenceService/RepositoryIndex",
    "inference.GRPCInferenceService/RepositoryModelLoad",
    "inference.GRPCInferenceService/RepositoryModelUnload",
    "other",
];
const MODEL_INFER: usize = 0;

impl Grpc {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Grpc, tonic_reflection::server::Error> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::INFERENCE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let message_max = shared.options.request_bytes_max.saturating_add(64 << 10);
        let inference = GrpcInferenceServiceServer::new(InferenceService::new(Arc::clone(&shared)))
            .max_decoding_message_size(message_max)
            .max_encoding_message_size(usize::MAX);
        Ok(Grpc {
            inference,
            health: HealthServer::new(HealthService::new(Arc::clone(&shared))),
            reflection: boxed(reflection().build_v1()?),
            reflection_alpha: boxed(reflection().build_v1alpha()?),
            durations: Durations::new(),
            shared,
        })
    }

    /// Answers one call.
    pub(crate) async fn call(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let began = Instant::now();
        let path = request.uri().path().trim_start_matches('/');
        let place = METHODS.iter().position(|it| *it == path).unwrap_or(METHODS.len() - 1);
        let response = self.answer(request, place == MODEL_INFER).await;
        let method = METHODS.get(place).copied().unwrap_or_default();
        self.durations.rpc((place, method), began.elapsed());
        response
    }

    async fn answer(&self, request: Request<Incoming>, infers: bool) -> Response<ResponseBody> {
        if !infers {
            return self.metered(request, COMMAND_BYTES_MAX, None).await;
        }
        let mut trip = self.shared.serving.trip(Protocol::Grpc);
        let permit = match self.shared.serving.admission().enter() {
            Ok(permit) => Arc::new(permit),
            Err(error) => {
                trip.finish(Some(error.kind()));
                return refused(&error);
            }
        };
        trip.holds(Arc::clone(&permit));
        let slot = TripSlot::new(trip);
        let mut request = request;
        request.extensions_mut().insert(slot.clone());
        let bytes_max = self.shared.options.request_bytes_max;
        let response = self.metered(request, bytes_max, Some(permit)).await;
        slot.finish_unreached(&response);
        response
    }

    async fn metered(
        &self,
        request: Request<Incoming>,
        bytes_max: usize,
        permit: Option<Arc<Permit>>,
    ) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let limits = &self.shared.options.connections;
        match RequestBody::new(body, (Framing::Grpc, bytes_max), permit.clone(), limits) {
            Ok(body) => self.route(Request::from_parts(head, body), permit).await,
            Err(error) => refused(&error),
        }
    }

    async fn route(
        &self,
        request: Request<RequestBody>,
        permit: Option<Arc<Permit>>,
    ) -> Response<ResponseBody> {
        let path = request.uri().path().trim_start_matches('/');
        let service = path.split('/').next().unwrap_or_default();
        // The services are cheap to clone: each is a shared pointer and a few numbers.
        let response = if service == Inference::NAME {
            self.inference.clone().call(request).await
        } else if service == Health::NAME {
            self.health.clone().call(request).await
        } else if service == "grpc.reflection.v1.ServerReflection" {
            (self.reflection)(request).await
        } else if service == "grpc.reflection.v1alpha.ServerReflection" {
            (self.reflection_alpha)(request).await
        } else {
            Ok(Status::unimplemented(format!("no service {service:?} here")).into_http())
        };
        let Ok(response) = response;
        response.map(|body| ResponseBody::grpc(body).with_permit(permit))
    }
}

/// A call's trip on its way through tonic to the service. A call that does not get there, because
/// its message is too large or no message at all, is counted by the status it ends with.
#[derive(Clone)]
pub(crate) struct TripSlot(Arc<Mutex<Option<Trip>>>);

impl TripSlot {
    fn new(trip: Trip) -> TripSlot {
        TripSlot(Arc::new(Mutex::new(Some(trip))))
    }

    /// The trip, for whoever asks first.
    pub(crate) fn take(&self) -> Option<Trip> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn finish_unreached(&self, response: &Response<ResponseBody>) {
        if let Some(trip) = self.take() {
            let code = Status::from_header_map(response.headers()).map(|it| it.code());
            let of = |code| Kind::ALL.into_iter().find(|it| status(*it).0 == code);
            trip.finish(Some(code.and_then(of).unwrap_or(Kind::Internal)));
        }
    }
}

/// An error as the status that a call ends with.
pub(crate) fn status_of(error: &InferError) -> Status {
    Status::new(status(error.kind()).0, clipped(error.to_string()))
}

fn refused(error: &InferError) -> Response<ResponseBody> {
    let response: Response<tonic::body::Body> = status_of(error).into_http();
    response.map(ResponseBody::grpc)
}
