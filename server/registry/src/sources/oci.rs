//! `oci://`: an artifact or image of an OCI registry. Everything in it is named by digest.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use super::layout::{self, OciManifest};
use super::login::{self, Login};
use super::web;
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::http::{Ask, Http, Trust, Want, parsed, refusal, shown};
use crate::judge::Judge;
use crate::source::{Fetched, Manifest, Remote, Resolution, Source};
use crate::uri::OciReference;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A name in a registry, with a tag or a digest.
#[derive(Debug)]
pub(super) struct Oci {
    http: Arc<Http>,
    server: Url,
    name: String,
    at: OciReference,
    login: Option<Login>,
    /// The token that answered the last 401.
    token: Mutex<Option<HeaderValue>>,
}

impl Oci {
    pub(super) fn new(
        http: Arc<Http>,
        server: Url,
        (name, at): (String, OciReference),
        login: Option<Login>,
    ) -> Oci {
        Oci { http, server, name, at, login, token: Mutex::new(None) }
    }

    pub(super) fn ask(
        &self,
        method: Method,
        kind: &str,
        which: &str,
    ) -> Result<Ask, RegistryError> {
        let path = format!("v2/{}/{kind}/{which}", self.name);
        let wrong = |_| RegistryError::Invalid(format!("{path:?} is no path"));
        let url = self.server.join(&path).map_err(wrong)?;
        let ask = Ask::new(method, url, Trust::Configured);
        let ask = ask.with(ACCEPT, Some(HeaderValue::from_static(layout::ACCEPT)));
        Ok(ask.authorized(self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    /// Answers a 401 and keeps what answered it; `None` if there was none to answer.
    async fn log_in(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        if status != StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let scope = format!("repository:{}:pull", self.name);
        let login = self.login.as_ref();
        let value = login::answer(&self.http, &self.server, headers, login, &scope).await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(value.clone());
        Ok(Some(value))
    }

    pub(super) async fn small(&self, ask: Ask) -> Result<(HeaderMap, Bytes), RegistryError> {
        let url = ask.url.clone();
        let (mut status, mut headers, mut body) = self.http.small(ask.clone()).await?;
        if let Some(token) = self.log_in(status, &headers).await? {
            (status, headers, body) = self.http.small(ask.authorized(Some(token))).await?;
        }
        if status.is_success() { Ok((headers, body)) } else { Err(refusal(status, &url, &body)) }
    }

    /// A manifest whose bytes are the ones that its name, or its registry, promises.
    pub(super) async fn manifest(
        &self,
        which: &str,
        promised: Option<Digest>,
    ) -> Result<(Digest, OciManifest), RegistryError> {
        let ask = self.ask(Method::GET, "manifests", which)?;
        let url = ask.url.clone();
        let (headers, body) = self.small(ask).await?;
        let found = Digest::of(&body);
        let promised = promised.or_else(|| content_digest(&headers));
        if let Some(promised) = promised.filter(|it| *it != found) {
            let words = format!("{} has digest {found}, not {promised}", shown(&url));
            return Err(RegistryError::Differs { words, expected: promised, got: found });
        }
        Ok((found, parsed(&body, &headers, &url)?))
    }
}

fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

#[async_trait]
impl Source for Oci {
    async fn resolve(&self, known: Option<&str>) -> Result<Resolution, RegistryError> {
        let (which, promised) = match &self.at {
            OciReference::Tag(tag) => (tag.clone(), None),
            OciReference::Digest(digest) => (digest.to_string(), Some(*digest)),
        };
        if let Some(known) = known {
            let now = match promised {
                Some(digest) => Some(digest),
                None => {
                    let head = self.ask(Method::HEAD, "manifests", &which)?;
                    content_digest(&self.small(head).await?.0)
                }
            };
            if now.is_some_and(|it| it.to_string() == known) {
                return Ok(Resolution::Unchanged);
            }
        }
        let (digest, mut manifest) = self.manifest(&which, promised).await?;
        if !manifest.manifests.is_empty() {
            let chosen = manifest.chosen().ok_or_else(|| {
                RegistryError::NotFound(format!("{} has no image for this machine", self.name))
            })?;
            let inner: Digest = chosen.digest.parse()?;
            manifest = self.manifest(&inner.to_string(), Some(inner)).await?.1;
        }
        let files = manifest.files()?;
        let mut provenance = manifest.annotations;
        if !manifest.artifact_type.is_empty() {
            provenance.insert("oci.artifact_type".to_owned(), manifest.artifact_type);
        }
        let identity = digest.to_string();
        // Written by people, of which this server acts by some.
        let is_ours = |key: &str| key.starts_with("salver.");
        let tags = provenance.extract_if(.., |key, _| is_ours(key)).collect();
        Ok(Resolution::Manifest(Manifest { identity, version: None, files, tags, provenance }))
    }

    async fn fetch(&self, file: &Remote, from: u64) -> Result<Fetched, RegistryError> {
        // Whatever the type of a blob, its digest says what it is.
        let want = Want { size: file.size, html: true, ..Want::default() };
        let ask = self.ask(Method::GET, "blobs", &file.at)?;
        match web::fetch(&self.http, ask.clone(), want, from).await {
            // Tokens end while large models are on their way. A small question gets a new one.
            Err(RegistryError::Refused(_)) => {
                let head = self.ask(Method::HEAD, "blobs", &file.at)?;
                self.small(head).await?;
                let ask = self.ask(Method::GET, "blobs", &file.at)?;
                web::fetch(&self.http, ask, want, from).await
            }
            fetched => fetched,
        }
    }

    async fn vouchers(&self, judge: &mut Judge<'_>) {
        self.look_for_signatures(judge).await;
    }
}
