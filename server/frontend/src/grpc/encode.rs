//! From an answer to the message: outputs travel raw, each a slice of the batch's memory.

use proto::inference::model_infer_response::InferOutputTensor;
use proto::inference::model_metadata_response::TensorMetadata;
use proto::inference::repository_index_response::ModelIndex;
use proto::inference::{ModelInferResponse, ModelMetadataResponse, RepositoryIndexResponse};
use server_base::InferResponse;
use server_lifecycle::{Entry, State};

use backend_api::TensorSpec;

use crate::metadata::ModelMetadata;

/// The answer under the caller's own id.
pub(crate) fn response(response: InferResponse, id: String) -> ModelInferResponse {
    let count = response.outputs.len();
    let mut outputs = Vec::with_capacity(count);
    let mut raw_output_contents = Vec::with_capacity(count);
    for output in response.outputs {
        outputs.push(InferOutputTensor {
            name: output.name.to_string(),
            datatype: output.tensor.dtype().name().to_owned(),
            shape: output.tensor.shape().to_wire(),
            ..Default::default()
        });
        raw_output_contents.push(output.tensor.into_data());
    }
    ModelInferResponse {
        model_name: response.model.to_string(),
        model_version: response.version.to_string(),
        id,
        outputs,
        raw_output_contents,
        ..Default::default()
    }
}

pub(crate) fn metadata(metadata: &ModelMetadata) -> ModelMetadataResponse {
    let tensor = |spec: &TensorSpec| TensorMetadata {
        name: spec.name.to_string(),
        datatype: spec.dtype.name().to_owned(),
        shape: spec.to_wire(),
    };
    let servable = &metadata.servable;
    ModelMetadataResponse {
        name: servable.model().to_string(),
        versions: metadata.versions.clone(),
        platform: servable.plan().platform.to_owned(),
        inputs: servable.signature().inputs.iter().map(tensor).collect(),
        outputs: servable.signature().outputs.iter().map(tensor).collect(),
    }
}

pub(crate) fn index(entries: &[Entry], only_ready: bool) -> RepositoryIndexResponse {
    let shown = entries.iter().filter(|it| !only_ready || it.state == State::Available);
    let models = shown.map(|it| ModelIndex {
        name: it.model.to_string(),
        version: it.version.map(|it| it.to_string()).unwrap_or_default(),
        state: crate::http::index_state(&it.state).to_owned(),
        reason: it.reason.clone(),
    });
    RepositoryIndexResponse { models: models.collect() }
}
