//! What the server and its models tell about themselves, free of any protocol.

use std::sync::Arc;

use server_base::VersionChoice;
use server_serving::{InferError, Servable, Table};

/// Name of the server in its metadata.
pub(crate) const SERVER_NAME: &str = "salver";

/// Extensions of the Open Inference Protocol that are served.
pub(crate) const EXTENSIONS: [&str; 3] = ["model_repository", "binary_tensor_data", "parameters"];

/// A model's metadata: the version it describes, and all that could have been meant.
pub(crate) struct ModelMetadata {
    pub(crate) servable: Arc<Servable>,
    /// Versions that can answer; only the one asked for, if one was.
    pub(crate) versions: Vec<String>,
}

impl ModelMetadata {
    pub(crate) fn find(
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
