//! Ground truth over gRPC: a service of our own.

use std::sync::Arc;

use proto::salver::label::Value;
use proto::salver::labels_server::Labels;
use proto::salver::{RecordRequest, RecordResponse};
use server_truth::{Given, LABELS_MAX, Label};
use tonic::{Request, Response, Status};

use crate::dispatch::Shared;
use crate::status::{clipped, status};
use crate::truth::{Refused, record};

/// The service. Cloned by tonic for each call.
pub(crate) struct LabelsService {
    shared: Arc<Shared>,
}

impl LabelsService {
    pub(crate) fn new(shared: Arc<Shared>) -> LabelsService {
        LabelsService { shared }
    }
}

#[tonic::async_trait]
impl Labels for LabelsService {
    async fn record(
        &self,
        request: Request<RecordRequest>,
    ) -> Result<Response<RecordResponse>, Status> {
        let RecordRequest { model_name, labels } = request.into_inner();
        let labels = parsed(labels).map_err(|it| Status::invalid_argument(clipped(it)))?;
        let recorded = record(&self.shared, &model_name, labels).await;
        let recorded = recorded
            .map_err(|Refused { kind, text }| Status::new(status(kind).0, clipped(text)))?;
        Ok(Response::new(RecordResponse {
            recorded: recorded.recorded,
            joined: recorded.joined,
            corrected: recorded.corrected,
            waiting: recorded.waiting,
        }))
    }
}

fn parsed(labels: Vec<proto::salver::Label>) -> Result<Vec<Label>, String> {
    let given = labels.len();
    if !(1..=LABELS_MAX).contains(&given) {
        return Err(format!("{given} labels: expected 1 to {LABELS_MAX}"));
    }
    let one = |(place, it): (usize, proto::salver::Label)| {
        let value = match it.value {
            Some(Value::Number(it)) => Given::Number(it),
            Some(Value::Text(it)) => Given::Text(it.into()),
            Some(Value::Boolean(it)) => Given::Bool(it),
            None => {
                return Err(format!("labels[{place}]: no value: expected number, text or boolean"));
            }
        };
        let label = Label::new(&it.id, it.row, value, it.timestamp_us);
        label.map_err(|what| format!("labels[{place}]: {what}"))
    };
    labels.into_iter().enumerate().map(one).collect()
}
