//! What the server and its models tell about themselves, free of any protocol.

use std::sync::Arc;
use std::time::{Duration, Instant};

use server_base::VersionChoice;
use server_serving::{InferError, Servable, Serving, Table};

use crate::dispatch::Shared;

/// Name of the server in its metadata.
pub(crate) const SERVER_NAME: &str = "salver";

/// Extensions of the Open Inference Protocol that are served.
pub(crate) fn extensions(shared: &Shared) -> Vec<&'static str> {
    let mut extensions = vec!["model_repository", "binary_tensor_data", "parameters"];
    if let Some(regions) = &shared.regions {
        extensions.push("system_shared_memory");
        if regions.gpus_lack().is_none() {
            extensions.push("cuda_shared_memory");
        }
    }
    extensions
}

/// A model's metadata: the version it describes, and all that could have been meant.
pub(crate) struct ModelMetadata {
    pub(crate) servable: Arc<Servable>,
    /// Versions that can answer; only the one asked for, if one was.
    pub(crate) versions: Vec<String>,
}

impl ModelMetadata {
    /// Waits for the model, if it is loaded on demand: clients ask for its metadata before they ask
    /// anything else, so it is worth a load.
    pub(crate) async fn find(
        serving: &Serving,
        (model, choice): (&str, &VersionChoice),
        time: (Instant, Option<Duration>),
    ) -> Result<ModelMetadata, InferError> {
        let look = || ModelMetadata::look(&serving.table(), model, choice);
        serving.when_awake((model, choice), time, look).await
    }

    fn look(
        table: &Table,
        model: &str,
        choice: &VersionChoice,
    ) -> Result<ModelMetadata, InferError> {
        let servable = Arc::clone(table.route(model, choice)?);
        let versions = match (choice, table.model(model)) {
            (VersionChoice::Any, Some(entry)) => {
                entry.ready().iter().map(|it| it.version().to_string()).collect()
            }
            (VersionChoice::Exact(_) | VersionChoice::Label(_), _) | (VersionChoice::Any, None) => {
                vec![servable.version().to_string()]
            }
        };
        Ok(ModelMetadata { servable, versions })
    }
}
