//! `http://` and `https://`: one file of a web server.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, ETAG, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::http::{Ask, Http, Trust, Want, accept, refusal, shown};
use crate::judge::Judge;
use crate::path::RelativePath;
use crate::source::{Fetched, Form, Manifest, Remote, Resolution, Source};

/// What the identity of a file with an ETag begins with; others have none to ask with.
const BY_ETAG: &str = "etag ";

/// One file behind an address.
#[derive(Debug)]
pub(super) struct Web {
    http: Arc<Http>,
    url: Url,
    digest: Option<Digest>,
}

impl Web {
    pub(super) fn new(http: Arc<Http>, url: Url, digest: Option<Digest>) -> Web {
        Web { http, url, digest }
    }

    fn manifest(&self, headers: &HeaderMap) -> Result<Manifest, RegistryError> {
        let text = |name| headers.get(name).and_then(|it: &HeaderValue| it.to_str().ok());
        let validator = text(ETAG).filter(|it| is_strong(it)).map(str::to_owned);
        let size = text(CONTENT_LENGTH).and_then(|it| it.parse().ok());
        let identity = match (&self.digest, text(ETAG), text(LAST_MODIFIED)) {
            (Some(digest), _, _) => digest.to_string(),
            (None, Some(etag), _) => format!("{BY_ETAG}{etag}"),
            (None, None, Some(modified)) => format!("modified {modified}, {size:?} bytes"),
            // Nothing tells one content from the next: each look may find another.
            (None, None, None) => String::new(),
        };
        let name = self.url.path_segments().and_then(|mut it| it.next_back()).unwrap_or_default();
        let path = RelativePath::new(&percent_decode_str(name).decode_utf8_lossy())?;
        let (digest, at) = (self.digest, self.url.to_string());
        let file = Remote { path, size, digest, validator, form: Form::Plain, at };
        Ok(Manifest { identity, files: vec![file], ..Manifest::default() })
    }
}

#[async_trait]
impl Source for Web {
    async fn resolve(&self, known: Option<&str>) -> Result<Resolution, RegistryError> {
        if let (Some(digest), Some(known)) = (self.digest, known)
            && digest.to_string() == known
        {
            return Ok(Resolution::Unchanged);
        }
        let seen = known.and_then(|it| it.strip_prefix(BY_ETAG));
        let seen = seen.and_then(|it| HeaderValue::from_str(it).ok());
        let mut ask =
            Ask::new(Method::HEAD, self.url.clone(), Trust::Configured).with(IF_NONE_MATCH, seen);
        let mut answer = self.http.send(ask.clone()).await?;
        if matches!(answer.status.as_u16(), 403 | 405 | 501) {
            // Some servers know no HEAD, and signed addresses are good for GET alone.
            ask.method = Method::GET;
            answer = self.http.send(ask).await?;
        }
        match answer.status {
            StatusCode::NOT_MODIFIED => Ok(Resolution::Unchanged),
            StatusCode::OK => {
                accept(answer.status, &answer.headers, &answer.url, want(&self.url))?;
                Ok(Resolution::Manifest(self.manifest(&answer.headers)?))
            }
            status => Err(refusal(status, &self.url, b"")),
        }
    }

    async fn fetch(&self, file: &Remote, from: u64) -> Result<Fetched, RegistryError> {
        let want =
            Want { size: file.size, validator: file.validator.as_deref(), ..want(&self.url) };
        fetch(&self.http, Ask::get(self.url.clone()), want, from).await
    }

    async fn vouchers(&self, _: &mut Judge<'_>) {}
}

fn want(url: &Url) -> Want<'static> {
    let path = url.path().to_ascii_lowercase();
    Want { html: path.ends_with(".html") || path.ends_with(".htm"), ..Want::default() }
}

/// Does it promise the same bytes, not only the same meaning?
pub(super) fn is_strong(etag: &str) -> bool {
    etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2
}

/// Fetches what `ask` names, from byte `from` on where that is safe: `want` has a validator that the
/// server can compare, or the caller knows a digest.
pub(super) async fn fetch(
    http: &Http,
    ask: Ask,
    want: Want<'_>,
    from: u64,
) -> Result<Fetched, RegistryError> {
    let mut ask = ask;
    if from > 0 {
        let range = HeaderValue::try_from(format!("bytes={from}-"));
        ask = ask.with(RANGE, range.ok());
        let same = want.validator.and_then(|it| HeaderValue::from_str(it).ok());
        ask = ask.with(IF_RANGE, same);
    }
    let name = shown(&ask.url);
    let answer = http.send(ask).await?;
    if answer.status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Err(RegistryError::Answer(format!("{name} has no byte {from}")));
    }
    let want = Want { from, ..want };
    let accepted = accept(answer.status, &answer.headers, &answer.url, want)?;
    Ok(Fetched { from: accepted.from, size: accepted.size, pieces: answer.pieces })
}
