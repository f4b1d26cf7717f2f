//! `mlflow://`: a registered model of an MLflow tracking server, over its REST API.
//!
//! MLflow declares no digests, and the time of a version does not change when an alias moves. So a look
//! asks for the alias: the version that it names, when that was made and of what are the identity. Where the
//! files lie is asked when they are wanted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::Registries;
use super::mlflow_api::{
    DownloadUri, Listing, ModelAnswer, ModelVersion, Signed, VersionAnswer, VersionsAnswer,
};
use super::mlflow_said::said;
use super::web;
use crate::error::RegistryError;
use crate::http::{Ask, Trust, Want, parsed, refusal};
use crate::judge::Judge;
use crate::path::RelativePath;
use crate::secret::{Environment, Secret, basic, bearer};
use crate::source::{Fetched, Form, Manifest, Remote, Resolution, Source};
use crate::uri::{MlflowVersion, Place, Uri};

/// Where a proxied artifact lies, in `Remote::at`.
const PROXIED: &str = "mlflow-artifacts:";

/// One registered model.
#[derive(Debug)]
pub(super) struct Mlflow {
    registries: Registries,
    server: Url,
    model: String,
    at: MlflowVersion,
    authorization: Option<HeaderValue>,
    workspace: Option<HeaderValue>,
    /// The store that the artifacts lie in, where the server does not hand them out itself.
    elsewhere: Mutex<Option<Arc<dyn Source>>>,
    /// Does the server sign addresses of its storage? Until it says no.
    signs: AtomicBool,
}

impl Mlflow {
    pub(super) fn new(
        registries: Registries,
        server: &Url,
        (model, at): (String, MlflowVersion),
        workspace: Option<&str>,
    ) -> Result<Mlflow, RegistryError> {
        let authorization = authorization(registries.environment())?;
        let wrong = |_| RegistryError::Invalid("workspace: not fit for a header".to_owned());
        let workspace = workspace.map(HeaderValue::try_from).transpose().map_err(wrong)?;
        let (elsewhere, signs) = (Mutex::new(None), AtomicBool::new(true));
        let server = server.clone();
        Ok(Mlflow { registries, server, model, at, authorization, workspace, elsewhere, signs })
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Ask, RegistryError> {
        let wrong = |_| RegistryError::Invalid(format!("{path:?} is no path"));
        let mut url = self.server.join(path).map_err(wrong)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let ask = Ask::new(method, url, Trust::Configured);
        let workspace = HeaderName::from_static("x-mlflow-workspace");
        Ok(ask.authorized(self.authorization.clone()).with(workspace, self.workspace.clone()))
    }

    async fn api<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, RegistryError> {
        let ask = self.ask(Method::GET, &format!("api/2.0/mlflow/{path}"), query)?;
        self.judged(ask).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, RegistryError> {
        let ask = self.ask(Method::POST, &format!("api/2.0/mlflow/{path}"), &[])?;
        let json = HeaderValue::from_static("application/json");
        let mut ask = ask.with(CONTENT_TYPE, Some(json));
        ask.body = body.to_string().into();
        self.judged(ask).await
    }

    /// An unknown alias is a 400 to MLflow; to us it is something that is not there.
    async fn judged<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, RegistryError> {
        let url = ask.url.clone();
        let (status, headers, body) = self.registries.http().small(ask).await?;
        if status.is_success() {
            return parsed(&body, &headers, &url);
        }
        let error = refusal(status, &url, &body);
        let missing = status == StatusCode::BAD_REQUEST && error.to_string().contains("not found");
        Err(if missing { RegistryError::NotFound(error.to_string()) } else { error })
    }

    async fn version(&self) -> Result<ModelVersion, RegistryError> {
        let name = self.model.as_str();
        match &self.at {
            MlflowVersion::Alias(alias) => self.named(alias).await,
            MlflowVersion::Number(number) => {
                let number = number.to_string();
                let query = [("name", name), ("version", number.as_str())];
                let answer: VersionAnswer = self.api("model-versions/get", &query).await?;
                Ok(answer.model_version)
            }
            MlflowVersion::Stage(stage) => {
                let path = "registered-models/get-latest-versions";
                let body = json!({ "name": name, "stages": [stage] });
                newest(
                    self.post(path, &body).await?,
                    &format!("{name} has no version in stage {stage}"),
                )
            }
            MlflowVersion::Latest => {
                let filter = format!("name='{}'", name.replace('\'', "\\'"));
                let query = [
                    ("filter", filter.as_str()),
                    ("order_by", "version_number DESC"),
                    ("max_results", "1"),
                ];
                let found = self.api("model-versions/search", &query).await?;
                newest(found, &format!("{name} has no version"))
            }
        }
    }

    /// What people say of a version now, if it is that one still.
    pub(super) async fn said(
        &self,
        known: &str,
    ) -> Result<Option<BTreeMap<String, String>>, RegistryError> {
        let found = self.version().await?;
        if self.identity(&found) != known {
            return Ok(None);
        }
        self.tags(&found).await.map(Some)
    }

    async fn tags(&self, found: &ModelVersion) -> Result<BTreeMap<String, String>, RegistryError> {
        let query = [("name", self.model.as_str())];
        let answer: Result<ModelAnswer, _> = self.api("registered-models/get", &query).await;
        let of_model = match answer {
            Ok(answer) => answer.registered_model.tags,
            // A token, or a server, that is good for versions alone.
            Err(error @ (RegistryError::NotFound(_) | RegistryError::Refused(_))) => {
                let model = self.model.as_str();
                tracing::warn!(model, %error, "the tags of a registered model cannot be read, only its version's own");
                Vec::new()
            }
            Err(other) => return Err(other),
        };
        Ok(said(found, of_model))
    }

    fn identity(&self, found: &ModelVersion) -> String {
        let (version, created) = (&found.version, found.creation_timestamp);
        format!("{} {version} created {created} of {}", self.model, found.source)
    }

    async fn manifest(
        &self,
        identity: String,
        found: ModelVersion,
        root: &str,
    ) -> Result<Manifest, RegistryError> {
        let files = match self.proxied(root)? {
            Some(folder) => self.list(&folder).await?,
            None => self.list_elsewhere(root).await?,
        };
        let tags = self.tags(&found).await?;
        let words = [
            ("mlflow.run_id", found.run_id),
            ("mlflow.source", found.source),
            ("mlflow.stage", found.current_stage),
            ("mlflow.description", found.description),
            ("mlflow.created_ms", found.creation_timestamp.to_string()),
        ];
        let told = words.into_iter().filter(|(_, value)| !value.is_empty());
        let provenance = told.map(|(key, value)| (key.to_owned(), value)).collect();
        let version = found.version.parse().ok();
        Ok(Manifest { identity, version, files, tags, provenance })
    }

    /// The path of artifacts that the server itself hands out; `None` if they lie in a store.
    fn proxied(&self, root: &str) -> Result<Option<String>, RegistryError> {
        let Some(rest) = root.strip_prefix(PROXIED) else { return Ok(None) };
        let path = match rest.strip_prefix("//") {
            None => rest,
            Some(rest) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                let ours = &self.server[url::Position::BeforeHost..url::Position::AfterPort];
                if !authority.is_empty() && authority != ours {
                    let words = format!("its files lie on another server, {authority:?}");
                    return Err(RegistryError::Policy(words));
                }
                path
            }
        };
        let path = path.trim_matches('/');
        RelativePath::new(path)?;
        Ok(Some(path.to_owned()))
    }

    /// Everything under a folder; MLflow lists one folder at a time.
    async fn list(&self, root: &str) -> Result<Vec<Remote>, RegistryError> {
        let most = self.registries.limits().files_max;
        let (mut folders, mut files, mut asked) = (vec![String::new()], Vec::new(), 0);
        while let Some(folder) = folders.pop() {
            asked += 1;
            let full = joined(root, &folder);
            let path = "api/2.0/mlflow-artifacts/artifacts";
            let ask = self.ask(Method::GET, path, &[("path", &full)])?;
            let listing: Listing = self.judged(ask).await?;
            for listed in listing.files {
                let path = RelativePath::new(&joined(&folder, &listed.path))?;
                if listed.is_dir {
                    folders.push(path.as_str().to_owned());
                    continue;
                }
                let at = format!("{PROXIED}{}", joined(root, path.as_str()));
                let size = listed.file_size;
                files.push(Remote {
                    path,
                    size,
                    digest: None,
                    validator: None,
                    form: Form::Plain,
                    at,
                });
            }
            if files.len() > most || asked + folders.len() > most {
                let words = format!("{} has more than {most} files", self.model);
                return Err(RegistryError::TooLarge(words));
            }
        }
        if files.is_empty() {
            return Err(RegistryError::NotFound(format!("{} has no files", self.model)));
        }
        Ok(files)
    }

    /// Files of a store that the server only points to. Only object stores: a path of its own machine
    /// says nothing here, and one of ours is none of its business.
    async fn list_elsewhere(&self, root: &str) -> Result<Vec<Remote>, RegistryError> {
        let scheme = root.split(':').next().unwrap_or_default();
        if !matches!(scheme, "s3" | "gs" | "az") {
            let words = format!(
                "the files of {} lie at {root:?}, which only the MLflow server itself can read: start \
                 it with --artifacts-destination, or keep them in s3://, gs:// or az://",
                self.model
            );
            return Err(RegistryError::Policy(words));
        }
        let uri: Uri = root.parse()?;
        if !matches!(uri.place, Place::Store { endpoint: None, .. }) {
            // Our credentials are for the stores that we know, and so is our way into the network.
            let words = format!(
                "the files of {} lie at {root:?}: the server of a store is not for a registry to name",
                self.model
            );
            return Err(RegistryError::Policy(words));
        }
        let source = self.registries.source(&uri)?;
        let resolution = source.resolve(None).await?;
        *self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
        match resolution {
            Resolution::Manifest(manifest) => Ok(manifest.files),
            Resolution::Unchanged => Ok(Vec::new()),
        }
    }

    /// The address of a file in the server's own storage, if it gives one that we may use.
    async fn signed(&self, path: &str) -> Option<Ask> {
        let path = format!("api/2.0/mlflow-artifacts/presigned/{}", encoded(path));
        let ask = self.ask(Method::GET, &path, &[]).ok()?;
        let url = ask.url.clone();
        let (status, headers, body) = self.registries.http().small(ask).await.ok()?;
        if !status.is_success() {
            self.signs.store(false, Ordering::Relaxed);
            return None;
        }
        let signed: Signed = parsed(&body, &headers, &url).ok()?;
        let place = Url::parse(&signed.url).ok()?;
        if place.scheme() != "https" && place.scheme() != url.scheme() {
            return None; // what was asked for in private is not fetched in the open
        }
        let mut ask = Ask::new(Method::GET, place, Trust::Remote);
        for (name, value) in signed.headers {
            let name = HeaderName::try_from(name).ok()?;
            // A store's own, and none that would change how the request is read.
            if name.as_str().starts_with("x-") {
                ask.headers.insert(name, HeaderValue::try_from(value).ok()?);
            }
        }
        Some(ask)
    }
}

#[async_trait]
impl Source for Mlflow {
    async fn resolve(&self, known: Option<&str>) -> Result<Resolution, RegistryError> {
        let found = self.version().await?;
        if !found.status.is_empty() && found.status != "READY" {
            let (name, version) = (&self.model, &found.version);
            let words = format!("version {version:?} of {name} is {:?}", found.status);
            return Err(RegistryError::NotFound(words)); // not yet, or never; the server is well
        }
        let identity = self.identity(&found);
        if known == Some(identity.as_str()) {
            return Ok(Resolution::Unchanged);
        }
        let query = [("name", self.model.as_str()), ("version", found.version.as_str())];
        let place: DownloadUri = self.api("model-versions/get-download-uri", &query).await?;
        let root = place.artifact_uri;
        Ok(Resolution::Manifest(self.manifest(identity, found, &root).await?))
    }

    async fn fetch(&self, file: &Remote, from: u64) -> Result<Fetched, RegistryError> {
        let Some(path) = file.at.strip_prefix(PROXIED) else {
            let source = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let unknown = || RegistryError::Invalid(format!("{} was not resolved", file.path));
            return source.ok_or_else(unknown)?.fetch(file, from).await;
        };
        let name = file.path.as_str();
        let html = name.ends_with(".html") || name.ends_with(".htm");
        let want = Want { size: file.size, html, ..Want::default() };
        let http = self.registries.http();
        if self.signs.load(Ordering::Relaxed)
            && let Some(ask) = self.signed(path).await
        {
            match web::fetch(http, ask, want, from).await {
                Ok(fetched) => return Ok(fetched),
                // Where we may not, or cannot, go: the server can hand the file out itself.
                Err(_) => self.signs.store(false, Ordering::Relaxed),
            }
        }
        let path = format!("api/2.0/mlflow-artifacts/artifacts/{}", encoded(path));
        web::fetch(http, self.ask(Method::GET, &path, &[])?, want, from).await
    }

    async fn vouchers(&self, _: &mut Judge<'_>) {}
}

/// Who asks: by name and password, or by a token.
fn authorization(environment: &Environment) -> Result<Option<HeaderValue>, RegistryError> {
    let get = |name| environment.credential(name);
    if let Some(user) = get("MLFLOW_TRACKING_USERNAME")? {
        let password = get("MLFLOW_TRACKING_PASSWORD")?;
        return basic(user.expose(), password.as_ref().map_or("", Secret::expose)).map(Some);
    }
    get("MLFLOW_TRACKING_TOKEN")?.map(|it| bearer(it.expose())).transpose()
}

fn newest(answer: VersionsAnswer, none: &str) -> Result<ModelVersion, RegistryError> {
    let number = |it: &ModelVersion| it.version.parse::<u64>().unwrap_or(0);
    let newest = answer.model_versions.into_iter().max_by_key(number);
    newest.ok_or_else(|| RegistryError::NotFound(none.to_owned()))
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A path as part of an address; `/` stays.
pub(super) fn encoded(path: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(path, KEPT).to_string()
}

#[path = "mlflow_tell.rs"]
mod tell;
