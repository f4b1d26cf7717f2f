//! gRPC: tonic's services behind our own connections and meters.

mod call;
mod caller;
mod decode;
mod encode;
pub(crate) mod framing;
mod health;
#[cfg_attr(not(feature = "truth"), path = "no_labels.rs")]
mod labels;
mod memory;
mod plain;
mod reflection;
mod service;
mod unary;
mod weight;
mod wire;

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use proto::salver::labels_server::LabelsServer;
use server_serving::{InferError, Permit};
use tonic::Status;
use tonic::server::NamedService as _;
use tonic_health::pb::health_server::HealthServer;
use tower_service::Service as _;

use crate::body::{Framing, Incoming, RequestBody, ResponseBody};
use crate::dispatch::Shared;
use crate::metrics::Durations;
use crate::options::COMMAND_BYTES_MAX;
use crate::status::{clipped, status};

use health::HealthService;
use labels::LabelsService;
pub use reflection::Error as ReflectionError;
use reflection::Reflection;
use service::InferenceService;
pub(crate) use unary::{Call, Unary, Unbegun};

type Inference = GrpcInferenceServiceServer<InferenceService>;
type Labels = LabelsServer<LabelsService>;
type Health = HealthServer<HealthService>;

/// All gRPC services of the server.
pub(crate) struct Grpc {
    shared: Arc<Shared>,
    unary: Arc<Unary>,
    inference: Inference,
    labels: Labels,
    health: Health,
    reflection: Reflection,
    durations: Durations<{ METHODS.len() }>,
}

/// Methods that are counted one by one; the others share the last place. Predictions are counted
/// where they are answered.
const METHODS: [&str; 16] = [
    "inference.GRPCInferenceService/ServerLive",
    "inference.GRPCInferenceService/ServerReady",
    "inference.GRPCInferenceService/ModelReady",
    "inference.GRPCInferenceService/ServerMetadata",
    "inference.GRPCInferenceService/ModelMetadata",
    "inference.GRPCInferenceService/RepositoryIndex",
    "inference.GRPCInferenceService/RepositoryModelLoad",
    "inference.GRPCInferenceService/RepositoryModelUnload",
    "inference.GRPCInferenceService/SystemSharedMemoryStatus",
    "inference.GRPCInferenceService/SystemSharedMemoryRegister",
    "inference.GRPCInferenceService/SystemSharedMemoryUnregister",
    "inference.GRPCInferenceService/CudaSharedMemoryStatus",
    "inference.GRPCInferenceService/CudaSharedMemoryRegister",
    "inference.GRPCInferenceService/CudaSharedMemoryUnregister",
    "salver.v1.Labels/Record",
    "other",
];

impl Grpc {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Grpc, reflection::Error> {
        let inference = GrpcInferenceServiceServer::new(InferenceService::new(Arc::clone(&shared)))
            .max_encoding_message_size(usize::MAX);
        Ok(Grpc {
            inference,
            labels: LabelsServer::new(LabelsService::new(Arc::clone(&shared))),
            health: HealthServer::new(HealthService::new(Arc::clone(&shared))),
            reflection: Reflection::new()?,
            durations: Durations::new(),
            unary: Arc::new(Unary::new(Arc::clone(&shared))),
            shared,
        })
    }

    /// What answers predictions.
    pub(crate) fn unary(&self) -> &Arc<Unary> {
        &self.unary
    }

    /// Answers one call.
    pub(crate) async fn call(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        if Unary::takes(&request) {
            return self.unary.call(request).await;
        }
        let began = Instant::now();
        let path = request.uri().path().trim_start_matches('/');
        let place = METHODS.iter().position(|it| *it == path).unwrap_or(METHODS.len() - 1);
        let response = self.metered(request).await;
        let method = METHODS.get(place).copied().unwrap_or_default();
        self.durations.rpc((place, method), began.elapsed());
        response
    }

    async fn metered(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let limits = &self.shared.options.connections;
        // Commands count too: each may hold a body.
        let metered = self.shared.serving.admission().enter().and_then(|permit| {
            let permit = Arc::new(permit);
            let framing = (Framing::Grpc, COMMAND_BYTES_MAX);
            Ok((RequestBody::new(body, framing, Some(Arc::clone(&permit)), limits)?, permit))
        });
        match metered {
            Ok((body, permit)) => self.route(Request::from_parts(head, body), permit).await,
            Err(error) => status_of(&error).into_http().map(ResponseBody::grpc),
        }
    }

    async fn route(
        &self,
        request: Request<RequestBody>,
        permit: Arc<Permit>,
    ) -> Response<ResponseBody> {
        let path = request.uri().path().trim_start_matches('/');
        let service = path.split('/').next().unwrap_or_default();
        // The services are cheap to clone: each is a shared pointer and a few numbers.
        let response = if service == Inference::NAME {
            self.inference.clone().call(request).await
        } else if service == Labels::NAME {
            self.labels.clone().call(request).await
        } else if service == Health::NAME {
            self.health.clone().call(request).await
        } else if let Some(answer) = self.reflection.of(service) {
            answer(request).await
        } else {
            Ok(Status::unimplemented(format!("no service {service:?} here")).into_http())
        };
        let Ok(response) = response;
        response.map(|body| ResponseBody::grpc(body).with_permit(Some(permit)))
    }
}

/// An error as the status that a call ends with.
pub(crate) fn status_of(error: &InferError) -> Status {
    Status::new(status(error.kind()).0, clipped(error.to_string()))
}
