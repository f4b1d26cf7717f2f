//! The Open Inference Protocol over gRPC.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::inference::grpc_inference_service_server::GrpcInferenceService;
use proto::inference::{
    CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse,
    CudaSharedMemoryStatusRequest, CudaSharedMemoryStatusResponse,
    CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse, ModelInferRequest,
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, RepositoryIndexRequest, RepositoryIndexResponse,
    RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
    SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse,
    SystemSharedMemoryStatusRequest, SystemSharedMemoryStatusResponse,
    SystemSharedMemoryUnregisterRequest, SystemSharedMemoryUnregisterResponse,
};
use server_base::VersionChoice;
use server_lifecycle::LifecycleError;
use server_serving::InferError;
use tonic::{Request, Response, Status};

use super::{call, encode, memory, status_of};
use crate::dispatch::Shared;
use crate::index::lines;
use crate::metadata::{ModelMetadata, SERVER_NAME, extensions};
use crate::status::{clipped, status};

type Answer<T> = Result<Response<T>, Status>;

/// The service. Cloned by tonic for each call.
pub(crate) struct InferenceService {
    shared: Arc<Shared>,
}

impl InferenceService {
    pub(crate) fn new(shared: Arc<Shared>) -> InferenceService {
        InferenceService { shared }
    }

    async fn metadata(
        &self,
        model: &str,
        version: &str,
        time: (Instant, Option<Duration>),
    ) -> Result<ModelMetadata, InferError> {
        let choice = VersionChoice::parse(version)?;
        ModelMetadata::find(&self.shared.serving, (model, &choice), time).await
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for InferenceService {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answer<ServerLiveResponse> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answer<ServerReadyResponse> {
        Ok(Response::new(ServerReadyResponse { ready: self.shared.is_ready() }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Answer<ModelReadyResponse> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let choice = VersionChoice::parse(&version).map_err(|it| status_of(&it.into()))?;
        let ready = self.shared.serving.table().route(&name, &choice).is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Answer<ServerMetadataResponse> {
        Ok(Response::new(ServerMetadataResponse {
            name: SERVER_NAME.to_owned(),
            version: self.shared.version.to_owned(),
            extensions: extensions(&self.shared).into_iter().map(str::to_owned).collect(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Answer<ModelMetadataResponse> {
        let time = (Instant::now(), call::timeout(request.metadata().as_ref()));
        let ModelMetadataRequest { name, version } = request.into_inner();
        let found = self.metadata(&name, &version, time).await;
        Ok(Response::new(encode::metadata(&found.map_err(|it| status_of(&it))?)))
    }

    /// Predictions do not come here: `Unary` answers them, on less than tonic needs.
    async fn model_infer(&self, _: Request<ModelInferRequest>) -> Answer<ModelInferResponse> {
        Err(Status::unimplemented("ModelInfer is answered elsewhere"))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Answer<RepositoryIndexResponse> {
        let lines = lines(&self.shared, request.into_inner().ready);
        Ok(Response::new(encode::index(lines)))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Answer<RepositoryModelLoadResponse> {
        let request = request.into_inner();
        if let Some(name) = request.parameters.keys().next() {
            return Err(Status::unimplemented(format!(
                "load parameter '{}' is not served: models come from the repository alone",
                clipped(name.clone())
            )));
        }
        self.shared.lifecycle.load(&request.model_name).await.map_err(|it| refused(&it))?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Answer<RepositoryModelUnloadResponse> {
        let model = request.into_inner().model_name;
        self.shared.lifecycle.unload(&model).await.map_err(|it| refused(&it))?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }

    async fn system_shared_memory_status(
        &self,
        request: Request<SystemSharedMemoryStatusRequest>,
    ) -> Answer<SystemSharedMemoryStatusResponse> {
        memory::system_status(&self.shared, &request.into_inner()).map(Response::new)
    }

    async fn system_shared_memory_register(
        &self,
        request: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Answer<SystemSharedMemoryRegisterResponse> {
        memory::register_system(&self.shared, &request.into_inner()).map(Response::new)
    }

    async fn system_shared_memory_unregister(
        &self,
        request: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Answer<SystemSharedMemoryUnregisterResponse> {
        memory::unregister_system(&self.shared, &request.into_inner()).map(Response::new)
    }

    async fn cuda_shared_memory_status(
        &self,
        request: Request<CudaSharedMemoryStatusRequest>,
    ) -> Answer<CudaSharedMemoryStatusResponse> {
        memory::cuda_status(&self.shared, &request.into_inner()).map(Response::new)
    }

    async fn cuda_shared_memory_register(
        &self,
        request: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Answer<CudaSharedMemoryRegisterResponse> {
        memory::register_cuda(&self.shared, request.into_inner()).await.map(Response::new)
    }

    async fn cuda_shared_memory_unregister(
        &self,
        request: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Answer<CudaSharedMemoryUnregisterResponse> {
        memory::unregister_cuda(&self.shared, &request.into_inner()).await.map(Response::new)
    }
}

fn refused(error: &LifecycleError) -> Status {
    Status::new(status(error.kind()).0, clipped(error.to_string()))
}
