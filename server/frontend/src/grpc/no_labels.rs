//! In place of `labels` in a build without ground truth: the service is there, and says so.

use std::sync::Arc;

use proto::salver::labels_server::Labels;
use proto::salver::{RecordRequest, RecordResponse};
use tonic::{Request, Response, Status};

use crate::absent::text;
use crate::dispatch::Shared;

/// The service. Cloned by tonic for each call.
pub(crate) struct LabelsService;

impl LabelsService {
    pub(crate) fn new(_: Arc<Shared>) -> LabelsService {
        LabelsService
    }
}

#[tonic::async_trait]
impl Labels for LabelsService {
    async fn record(&self, _: Request<RecordRequest>) -> Result<Response<RecordResponse>, Status> {
        Err(Status::unimplemented(text("ground truth", "truth")))
    }
}
