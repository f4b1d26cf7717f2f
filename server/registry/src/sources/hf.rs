//! `hf://`: a repository of the Hugging Face hub. Its commits name content; its large files have digests.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use serde::Deserialize;
use url::Url;

use super::mlflow::encoded;
use super::web;
use crate::error::{ErrorKind, RegistryError};
use crate::http::{Ask, Http, Want};
use crate::judge::Judge;
use crate::path::RelativePath;
use crate::secret::{Environment, bearer};
use crate::source::{Fetched, Form, Manifest, Remote, Resolution, Source};
use crate::uri::Place;

/// The hub, unless the environment names another.
const HUB: &str = "https://huggingface.co";

/// Whoever may not see a repository is told the same as of one that is not there.
const UNSEEN: &str = "there is no such repository, or HF_TOKEN does not open it";

/// A revision of a repository, or a folder in it.
#[derive(Debug)]
pub(super) struct Hub {
    http: Arc<Http>,
    server: Url,
    repo: String,
    revision: String,
    folder: String,
    authorization: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct About {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: Option<u64>,
}

impl Hub {
    pub(super) fn new(
        http: Arc<Http>,
        environment: &Environment,
        place: &Place,
    ) -> Result<Hub, RegistryError> {
        let Place::Hf { repo, revision, folder } = place else {
            return Err(RegistryError::Invalid("no address of the hub".to_owned()));
        };
        let named = environment.get("HF_ENDPOINT").unwrap_or(HUB);
        let wrong = |_| RegistryError::Invalid(format!("HF_ENDPOINT {named:?} is no address"));
        let server = Url::parse(&format!("{}/", named.trim_end_matches('/'))).map_err(wrong)?;
        let authorization = environment.credential("HF_TOKEN")?;
        let authorization = authorization.map(|it| bearer(it.expose())).transpose()?;
        let (repo, revision, folder) = (repo.clone(), revision.clone(), folder.clone());
        Ok(Hub { http, server, repo, revision, folder, authorization })
    }

    fn ask(&self, path: &str) -> Result<Ask, RegistryError> {
        let wrong = |_| RegistryError::Invalid(format!("{path:?} is no path"));
        let url = self.server.join(path).map_err(wrong)?;
        Ok(Ask::get(url).authorized(self.authorization.clone()))
    }

    fn remote(&self, sha: &str, file: Sibling) -> Result<Option<Remote>, RegistryError> {
        let full = RelativePath::new(&file.rfilename)?;
        let Some(path) = full.within(&self.folder) else { return Ok(None) };
        if full.name() == ".gitattributes" {
            return Ok(None);
        }
        let digest = file.lfs.as_ref().map(|it| it.sha256.parse()).transpose()?;
        let size = file.lfs.and_then(|it| it.size).or(file.size);
        let at = format!("{}/resolve/{sha}/{}", self.repo, encoded(full.as_str()));
        Ok(Some(Remote { path, size, digest, validator: None, form: Form::Plain, at }))
    }
}

#[async_trait]
impl Source for Hub {
    async fn resolve(&self, known: Option<&str>) -> Result<Resolution, RegistryError> {
        let revision = encoded(&self.revision).replace('/', "%2F");
        let path = format!("api/models/{}/revision/{revision}?blobs=true", self.repo);
        let about: About = match self.http.json(self.ask(&path)?).await {
            Err(error) if error.kind() == ErrorKind::Refused => {
                return Err(error.reworded(format!("{error} ({UNSEEN})")));
            }
            about => about?,
        };
        if about.sha.is_empty() || !about.sha.bytes().all(|it| it.is_ascii_hexdigit()) {
            let words = format!("{} answers with the commit {:?}", self.repo, about.sha);
            return Err(RegistryError::Answer(words));
        }
        let identity = format!("commit {}", about.sha);
        if known == Some(identity.as_str()) {
            return Ok(Resolution::Unchanged);
        }
        let mut files = Vec::new();
        for file in about.siblings {
            files.extend(self.remote(&about.sha, file)?);
        }
        if files.is_empty() {
            let words = format!("{} has no files in {:?}", self.repo, self.folder);
            return Err(RegistryError::NotFound(words));
        }
        let tags = BTreeMap::from([("hf.tags".to_owned(), about.tags.join(","))]);
        let provenance = BTreeMap::from([("hf.commit".to_owned(), about.sha)]);
        Ok(Resolution::Manifest(Manifest { identity, version: None, files, tags, provenance }))
    }

    async fn fetch(&self, file: &Remote, from: u64) -> Result<Fetched, RegistryError> {
        let name = file.path.as_str();
        let html = name.ends_with(".html") || name.ends_with(".htm");
        let want = Want { size: file.size, html, ..Want::default() };
        web::fetch(&self.http, self.ask(&file.at)?, want, from).await
    }

    async fn vouchers(&self, _: &mut Judge<'_>) {}
}
