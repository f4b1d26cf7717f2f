//! One module for each kind of registry, and the one place that chooses among them.

mod file;
#[cfg(feature = "remotes")]
mod hf;
#[cfg(feature = "remotes")]
mod layout;
#[cfg(feature = "remotes")]
mod login;
#[cfg(feature = "remotes")]
mod mlflow;
#[cfg(feature = "remotes")]
mod mlflow_api;
#[cfg(feature = "remotes")]
mod mlflow_said;
mod notes;
#[cfg(feature = "remotes")]
mod objects;
#[cfg(feature = "remotes")]
mod oci;
#[cfg(feature = "remotes")]
mod oci_signatures;
#[cfg(feature = "remotes")]
mod outbox;
mod receiver;
#[cfg(feature = "remotes")]
mod store;
#[cfg(feature = "remotes")]
mod transport;
mod web;

#[cfg(feature = "remotes")]
pub use objects::Objects;
#[cfg(feature = "remotes")]
pub use outbox::Deposit;
pub use receiver::Receiver;
#[cfg(feature = "remotes")]
pub use store::{Collection, Stored};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::RegistryError;
use crate::http::{AddressPolicy, Http};
use crate::limits::Limits;
use crate::secret::Environment;
use crate::source::Source;
use crate::uri::{Place, Uri};
use crate::verdict::{Told, Verdict};

/// Makes sources, which share a client, credentials and limits.
#[derive(Clone, Debug)]
pub struct Registries {
    http: Arc<Http>,
    environment: Arc<Environment>,
    /// Docker's `config.json`, if there is one.
    docker_config: Option<PathBuf>,
    notes: Arc<notes::Folders>,
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
        Registries {
            http,
            environment: Arc::new(environment),
            docker_config,
            notes: Arc::default(),
        }
    }

    /// What those sources are bounded by.
    pub fn limits(&self) -> &Limits {
        &self.http.limits
    }

    /// The source behind an address that an operator wrote. Asks nothing of the network yet.
    pub fn source(&self, uri: &Uri) -> Result<Arc<dyn Source>, RegistryError> {
        Ok(match &uri.place {
            Place::File { path, version } => {
                Arc::new(file::Folder::new(path.clone(), *version, self.limits().clone()))
            }
            Place::Web { url, digest } => {
                Arc::new(web::Web::new(self.http.clone(), url.clone(), *digest))
            }
            #[cfg(not(feature = "remotes"))]
            Place::Mlflow { .. } | Place::Store { .. } | Place::Oci { .. } | Place::Hf { .. } => {
                let words = format!(
                    "{uri}: this server was built without registries; file: and https: are left"
                );
                return Err(RegistryError::Invalid(words));
            }
            #[cfg(feature = "remotes")]
            Place::Mlflow { server, workspace, model, at } => {
                let name = (model.clone(), at.clone());
                Arc::new(mlflow::Mlflow::new(self.clone(), server, name, workspace.as_deref())?)
            }
            #[cfg(feature = "remotes")]
            Place::Store { .. } => {
                let http = self.http.clone();
                Arc::new(store::Store::new(http, &self.environment, &uri.place)?)
            }
            #[cfg(feature = "remotes")]
            Place::Oci { server, name, at } => {
                let login = login::of(self.docker_config.as_deref(), server)?;
                let http = self.http.clone();
                Arc::new(oci::Oci::new(http, server.clone(), (name.clone(), at.clone()), login))
            }
            #[cfg(feature = "remotes")]
            Place::Hf { .. } => {
                let http = self.http.clone();
                Arc::new(hf::Hub::new(http, &self.environment, &uri.place)?)
            }
        })
    }

    /// Nobody takes notes of what has become of a version.
    #[cfg(not(feature = "remotes"))]
    pub async fn tell(&self, _uri: &Uri, _verdict: &Verdict) -> Result<Told, RegistryError> {
        Ok(Told::Nothing)
    }

    /// Tells a registry what has become of a version of `uri`'s model.
    #[cfg(feature = "remotes")]
    pub async fn tell(&self, uri: &Uri, verdict: &Verdict) -> Result<Told, RegistryError> {
        let Place::Mlflow { server, workspace, model, at } = &uri.place else {
            return Ok(Told::Nothing);
        };
        let name = (model.clone(), at.clone());
        let mlflow = mlflow::Mlflow::new(self.clone(), server, name, workspace.as_deref())?;
        mlflow.tell(verdict).await
    }

    /// What people say of a version is read once, where nothing else is read of it.
    #[cfg(not(feature = "remotes"))]
    pub(crate) async fn said(
        &self,
        _uri: &Uri,
        _known: (&str, &BTreeMap<String, String>),
    ) -> Result<Option<BTreeMap<String, String>>, RegistryError> {
        Ok(None)
    }

    /// What people say now of a version that is `identity` still. `None`: it has no tags that this server acts by, or
    /// they cannot change without the version.
    #[cfg(feature = "remotes")]
    pub(crate) async fn said(
        &self,
        uri: &Uri,
        (identity, tags): (&str, &BTreeMap<String, String>),
    ) -> Result<Option<BTreeMap<String, String>>, RegistryError> {
        let Place::Mlflow { server, workspace, model, at } = &uri.place else { return Ok(None) };
        if !mlflow_said::says_ours(tags) {
            return Ok(None);
        }
        let name = (model.clone(), at.clone());
        let mlflow = mlflow::Mlflow::new(self.clone(), server, name, workspace.as_deref())?;
        mlflow.said(identity).await
    }

    pub(crate) fn http(&self) -> &Arc<Http> {
        &self.http
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}
