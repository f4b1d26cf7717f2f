//! `s3://`, `gs://` and `az://`: everything under a prefix of an object store.

mod azure;
mod inbox;

pub use inbox::{Collection, Stored};

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode,
    RetryConfig,
};
use tokio::time::timeout;
use url::Url;

use super::transport::{Streamed, Transport};
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::http::Http;
use crate::judge::Judge;
use crate::limits::Limits;
use crate::path::RelativePath;
use crate::secret::Environment;
use crate::source::{Fetched, Form, Manifest, Remote, Resolution, Source};
use crate::uri::{Place, StoreKind};
use crate::versions;

/// A prefix of a bucket.
pub(super) struct Store {
    pub(super) store: Arc<dyn ObjectStore>,
    /// The same, asked for a page of names at a time.
    pub(super) pages: Arc<dyn PaginatedListStore>,
    /// The address, for people.
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) version: Option<u64>,
    pub(super) limits: Limits,
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Store {
    pub(super) fn new(
        http: Arc<Http>,
        environment: &Environment,
        place: &Place,
    ) -> Result<Store, RegistryError> {
        let Place::Store { kind, endpoint, bucket, prefix, version } = place else {
            return Err(RegistryError::Invalid("no address of an object store".to_owned()));
        };
        let scheme = match kind {
            StoreKind::S3 => "s3",
            StoreKind::Gs => "gs",
            StoreKind::Az => "az",
        };
        let name = format!("{scheme}://{bucket}/{prefix}");
        let limits = http.limits.clone();
        let store = match kind {
            StoreKind::S3 => s3(http, environment, bucket, endpoint.as_ref()),
            StoreKind::Gs => gs(http, environment, bucket),
            StoreKind::Az => azure::az(http, environment, bucket),
        };
        let (store, pages) = store.map_err(|error| failed(&name, error))?;
        Ok(Store { store, pages, name, prefix: prefix.clone(), version: *version, limits })
    }

    /// Every object under the prefix, or the one that it names.
    async fn list(&self) -> Result<Vec<ObjectMeta>, RegistryError> {
        let prefix = Path::from(self.prefix.as_str());
        let most = self.limits.files_max;
        let listed = self.store.list(Some(&prefix)).take(most + 1);
        let mut found: Vec<ObjectMeta> =
            listed.try_collect().await.map_err(|error| failed(&self.name, error))?;
        if found.len() > most {
            let words = format!("{} has more than {most} files", self.name);
            return Err(RegistryError::TooLarge(words));
        }
        // Consoles mark folders by empty objects whose names end in a slash, which is gone here.
        let folders: BTreeSet<String> = found.iter().flat_map(|it| above(&it.location)).collect();
        found.retain(|it| it.size > 0 || !folders.contains::<str>(it.location.as_ref()));
        found.retain(|it| it.location != prefix);
        if found.is_empty() && !self.prefix.is_empty() {
            found.push(self.store.head(&prefix).await.map_err(|error| failed(&self.name, error))?);
        }
        if found.is_empty() {
            return Err(RegistryError::NotFound(format!("{} is empty", self.name)));
        }
        Ok(found)
    }

    /// Where an object below the prefix lies, and what it is called for people.
    pub(super) fn below(&self, path: &str) -> Result<(Path, String), RegistryError> {
        let path = [self.prefix.trim_matches('/'), path].join("/");
        let name = format!("{}: {path}", self.name);
        let wrong = |error| RegistryError::Invalid(format!("{name}: {error}"));
        let path = Path::parse(path.trim_start_matches('/')).map_err(wrong)?;
        Ok((path, name))
    }

    /// The names in a folder, of objects and of folders, which need not be there.
    pub(super) async fn names(
        &self,
        folder: &str,
        most: usize,
    ) -> Result<Vec<String>, RegistryError> {
        let (path, name) = self.below(folder)?;
        // The whole bucket's have no prefix.
        let prefix = if path.as_ref().is_empty() { None } else { Some(format!("{path}/")) };
        let listed = async {
            let (mut names, mut page_token) = (BTreeSet::new(), None);
            loop {
                let delimiter = Some(Cow::Borrowed("/"));
                let options = PaginatedListOptions { delimiter, page_token, ..Default::default() };
                let page = self.pages.list_paginated(prefix.as_deref(), options).await;
                let page = page.map_err(|error| failed(&name, error))?;
                let objects = page.result.objects.iter().filter_map(|it| it.location.filename());
                let folders = page.result.common_prefixes.iter().filter_map(|it| it.filename());
                names.extend(objects.chain(folders).map(str::to_owned));
                if names.len() > most {
                    let words = format!("{name} has more than {most} entries");
                    return Err(RegistryError::TooLarge(words));
                }
                page_token = page.page_token;
                if page_token.is_none() {
                    return Ok(names.into_iter().collect());
                }
            }
        };
        self.in_time(&name, listed).await?
    }

    /// Puts a new object there; false: there is one of that name, which stays as it is. A store that knows no
    /// such condition refuses, and puts nothing over what is there.
    pub(super) async fn put_new(&self, path: &str, bytes: Bytes) -> Result<bool, RegistryError> {
        let (path, name) = self.below(path)?;
        let put = self.store.put_opts(&path, bytes.into(), PutMode::Create.into());
        match self.in_time(&name, put).await? {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(failed(&name, error)),
        }
    }

    /// What a store answers, if it does so in time.
    pub(super) async fn in_time<T>(
        &self,
        name: &str,
        answer: impl Future<Output = T>,
    ) -> Result<T, RegistryError> {
        let most = self.limits.look_max;
        let slow = |_| RegistryError::Slow(format!("{name}: no answer within {most:?}"));
        timeout(most, answer).await.map_err(slow)
    }

    fn remote(&self, object: ObjectMeta) -> Result<Remote, RegistryError> {
        let at = object.location.to_string();
        let full = RelativePath::new(&at)?;
        let path = match full.within(&self.prefix) {
            Some(path) => path,
            None => RelativePath::new(full.name())?,
        };
        let (size, validator) = (Some(object.size), object.e_tag);
        Ok(Remote { path, size, digest: None, validator, form: Form::Plain, at })
    }

    async fn get(&self, file: &Remote, from: u64) -> object_store::Result<GetResult> {
        let mut extensions = http::Extensions::new();
        extensions.insert(Streamed);
        let options = GetOptions::default().with_if_match(file.validator.clone());
        let mut options = options.with_extensions(extensions);
        if from > 0 {
            options = options.with_range(Some(GetRange::Offset(from)));
        }
        self.store.get_opts(&Path::from(file.at.as_str()), options).await
    }

    /// From byte `from` on; where the store cannot do that, from the beginning.
    async fn get_or_restart(&self, file: &Remote, from: u64) -> object_store::Result<GetResult> {
        match self.get(file, from).await {
            Err(error @ Error::Generic { .. }) if from > 0 && below(&error).is_none() => {
                self.get(file, 0).await
            }
            got => got,
        }
    }
}

/// The folders that a name lies in.
fn above(location: &Path) -> Vec<String> {
    let text: &str = location.as_ref();
    text.match_indices('/').map(|(end, _)| text[..end].to_owned()).collect()
}

#[async_trait]
impl Source for Store {
    async fn resolve(&self, known: Option<&str>) -> Result<Resolution, RegistryError> {
        let found = self.list().await?;
        let files: Result<Vec<Remote>, _> = found.into_iter().map(|it| self.remote(it)).collect();
        let (version, mut files) = versions::choose(files?, self.version)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let seen = files.iter().map(|it| format!("{} {:?} {:?}\n", it.path, it.size, it.validator));
        let identity = format!("objects {}", Digest::of(seen.collect::<String>().as_bytes()));
        if known == Some(identity.as_str()) {
            return Ok(Resolution::Unchanged);
        }
        Ok(Resolution::Manifest(Manifest { identity, version, files, ..Manifest::default() }))
    }

    async fn fetch(&self, file: &Remote, from: u64) -> Result<Fetched, RegistryError> {
        let name = format!("{}: {}", self.name, file.path);
        // A token for it may have to be fetched first, in an answer that is held.
        let most = self.limits.look_max;
        let Ok(got) = timeout(most, self.get_or_restart(file, from)).await else {
            return Err(RegistryError::Slow(format!("{name}: no answer within {most:?}")));
        };
        let got = got.map_err(|error| failed(&name, error))?;
        let (from, size) = (got.range.start, got.meta.size);
        if let Some(seen) = &file.validator {
            let found = got.meta.e_tag.as_deref().unwrap_or_default();
            let unknown = found.is_empty() && from == 0;
            if !unknown && bare(seen) != bare(found) {
                let words = format!("{name} changed: ETag {found:?} where {seen:?} was listed");
                return Err(RegistryError::Answer(words));
            }
        }
        if file.size.is_some_and(|it| it != size) {
            let words = format!("{name}: {size} bytes where {:?} were listed", file.size);
            return Err(RegistryError::Answer(words));
        }
        let pieces = got.into_stream().map_err(move |error| failed(&name, error));
        Ok(Fetched { from, size: Some(size), pieces: Box::pin(pieces) })
    }

    async fn vouchers(&self, _: &mut Judge<'_>) {}
}

/// An ETag without what lists and answers of stores quote it by, each in its own way.
fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

/// No retries of its own: when to ask again is the caller's to say.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// A store, and the same for its pages of names.
type Both = (Arc<dyn ObjectStore>, Arc<dyn PaginatedListStore>);

fn both<S: ObjectStore + PaginatedListStore>(store: S) -> Both {
    let store = Arc::new(store);
    (Arc::clone(&store) as Arc<dyn ObjectStore>, store)
}

/// The usual variables, as the stores' own tools read them.
fn s3(
    http: Arc<Http>,
    environment: &Environment,
    bucket: &str,
    endpoint: Option<&Url>,
) -> object_store::Result<Both> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in environment.starting("AWS_") {
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let address = endpoint.map(|it| it.as_str().trim_end_matches('/'));
    let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let address = address.or_else(|| named.iter().find_map(|it| environment.get(it)));
    if let Some(address) = address {
        builder = builder.with_endpoint(address).with_allow_http(address.starts_with("http://"));
    }
    let credentials = [
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let known = credentials.iter().any(|it| environment.get(it).is_some());
    let anonymous = !known && address.is_some();
    let builder = if anonymous { builder.with_skip_signature(true) } else { builder };
    let builder = builder.with_bucket_name(bucket).with_retry(retry());
    Ok(both(builder.with_http_connector(Transport(http)).build()?))
}

fn gs(http: Arc<Http>, environment: &Environment, bucket: &str) -> object_store::Result<Both> {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (name, value) in environment.starting("GOOGLE_") {
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(host) = environment.get("STORAGE_EMULATOR_HOST") {
        let whole = host.contains("://");
        let address = if whole { host.to_owned() } else { format!("http://{host}") };
        let address = address.trim_end_matches('/');
        builder = builder.with_base_url(address).with_skip_signature(true);
    }
    if let Some(file) = environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
        builder = builder.with_application_credentials(file);
    }
    let builder = builder.with_bucket_name(bucket).with_retry(retry());
    Ok(both(builder.with_http_connector(Transport(http)).build()?))
}

/// Sorts what the store's crate says. Its words for what failed below are ours: they come from
/// `Transport`.
pub(super) fn failed(name: &str, error: Error) -> RegistryError {
    let ours = below(&error);
    let words =
        || format!("{name}: {}", ours.map_or_else(|| first_line(&error), ToString::to_string));
    match (&error, ours) {
        (Error::NotFound { .. }, _) => RegistryError::NotFound(format!("{name} is not there")),
        (Error::Precondition { .. } | Error::NotModified { .. }, _) => {
            RegistryError::Answer(format!("{name} changed since it was listed"))
        }
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => {
            RegistryError::Refused(words())
        }
        (Error::InvalidPath { .. } | Error::UnknownConfigurationKey { .. }, _) => {
            RegistryError::Invalid(words())
        }
        (_, Some(ours)) => ours.reworded(words()),
        (_, None) => RegistryError::Unavailable(words()),
    }
}

/// Our own error, if one lies below.
fn below(error: &Error) -> Option<&RegistryError> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref() {
            return Some(ours);
        }
        cause = error.source();
    }
    None
}

/// Answers of stores are pages of XML: their beginning says what is wrong.
fn first_line(error: &Error) -> String {
    error.to_string().chars().map(|it| if it.is_control() { ' ' } else { it }).take(300).collect()
}
