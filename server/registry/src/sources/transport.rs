//! Our HTTP client under the crate that knows the object stores, so that their requests have the same
//! bounds as all others.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use sync_wrapper::SyncStream;
use url::Url;

use crate::error::{ErrorKind, RegistryError};
use crate::http::{Ask, Http, Trust, refusal, shown};

/// Marks the request for an object, whose bytes are not held in memory. All others are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streamed;

/// Hands out the client.
#[derive(Clone, Debug)]
pub(super) struct Transport(pub(super) Arc<Http>);

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string());
        let url = url.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let listing = is_listing(&url);
        let streamed = head.extensions.get::<Streamed>().is_some();
        let body = body.collect().await?.to_bytes();
        // A store that redirects is not the one that was configured: its answer stands as it is.
        let ask = Ask {
            method: head.method,
            url,
            headers: head.headers,
            body,
            trust: Trust::Configured,
            redirects: false,
        };
        let answer = self.0.send(ask).await.map_err(failed)?;
        if listing && answer.status.is_client_error() {
            // The store's crate tells these apart for objects, but not for lists.
            return Err(failed(refusal(answer.status, &answer.url, b"")));
        }
        // An error's words are held as well.
        let held = !streamed || !answer.status.is_success();
        let (most, name) = (self.0.limits.answer_bytes_max as u64, shown(&answer.url));
        let mut seen = 0;
        let pieces = answer.pieces.map(move |piece| {
            let piece = piece.map_err(failed)?;
            seen += piece.len() as u64;
            if held && seen > most {
                let words = format!("{name} answers with more than {most} bytes");
                return Err(failed(RegistryError::TooLarge(words)));
            }
            Ok(Frame::data(piece))
        });
        let body = HttpResponseBody::new(StreamBody::new(SyncStream::new(pieces)));
        let mut response = HttpResponse::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// Is it a list of objects that is asked for?
fn is_listing(url: &Url) -> bool {
    url.query_pairs().any(|(key, _)| matches!(key.as_ref(), "list-type" | "comp" | "prefix"))
}

fn failed(error: RegistryError) -> HttpError {
    let kind = error.kind();
    let kind = if kind == ErrorKind::Slow {
        HttpErrorKind::Timeout
    } else if kind == ErrorKind::Unavailable {
        HttpErrorKind::Connect
    } else {
        HttpErrorKind::Unknown
    };
    HttpError::new(kind, error)
}
