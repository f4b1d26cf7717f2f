//! One module for each kind of registry, and the one place that chooses among them.

mod file;
mod hf;
mod layout;
mod login;
mod mlflow;
mod mlflow_api;
mod oci;
mod store;
mod transport;
mod web;

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::RegistryError;
use crate::http::{AddressPolicy, Http};
use crate::limits::Limits;
use crate::secret::Environment;
use crate::source::Source;
use crate::uri::{Place, Uri};
use crate::verdict::Verdict;

/// Makes sources, which share a client, credentials and limits.
#[derive(Clone, Debug)]
pub struct Registries {
    http: Arc<Http>,
    environment: Arc<Environment>,
    /// Docker's `config.json`, if there is one.
    docker_config: Option<PathBuf>,
}

impl Registries {
    /// `environment` holds the variables that registries' own tools read; `docker_config` is the file
    /// with logins of OCI registries.
    pub fn new(
        environment: Environment,
        docker_config: Option<PathBuf>,
        policy: AddressPolicy,
        limits: Limits,
    ) -> Registries {
        let http = Arc::new(Http::new(policy, limits));
        Registries { http, environment: Arc::new(environment), docker_config }
    }

    /// What those sources are bounded by.
    pub fn limits(&self) -> &Limits {
        &self.http.limits
    }

    /// The source behind an address that an operator wrote. Asks nothing of the network yet.
    pub fn source(&self, uri: &Uri) -> Result<Arc<dyn Source>, RegistryError> {
        let http = self.http.clone();
        Ok(match &uri.place {
            Place::File { path, version } => {
                Arc::new(file::Folder::new(path.clone(), *version, self.limits().clone()))
            }
            Place::Mlflow { server, workspace, model, at } => {
                let name = (model.clone(), at.clone());
                Arc::new(mlflow::Mlflow::new(self.clone(), server, name, workspace.as_deref())?)
            }
            Place::Store { .. } => {
                Arc::new(store::Store::new(http, &self.environment, &uri.place)?)
            }
            Place::Web { url, digest } => Arc::new(web::Web::new(http, url.clone(), *digest)),
            Place::Oci { server, name, at } => {
                let login = login::of(self.docker_config.as_deref(), server)?;
                Arc::new(oci::Oci::new(http, server.clone(), (name.clone(), at.clone()), login))
            }
            Place::Hf { .. } => Arc::new(hf::Hub::new(http, &self.environment, &uri.place)?),
        })
    }

    /// Tells a registry what has become of a version of `uri`'s model. False: it takes no such notes.
    pub async fn tell(&self, uri: &Uri, verdict: &Verdict) -> Result<bool, RegistryError> {
        let Place::Mlflow { server, workspace, model, at } = &uri.place else { return Ok(false) };
        let name = (model.clone(), at.clone());
        let mlflow = mlflow::Mlflow::new(self.clone(), server, name, workspace.as_deref())?;
        mlflow.tell(verdict).await?;
        Ok(true)
    }

    pub(crate) fn http(&self) -> &Arc<Http> {
        &self.http
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}
