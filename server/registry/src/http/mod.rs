//! The HTTP client of every source: one request, one connection, every step timed and bounded.
//!
//! There is no pool of connections: polls are seconds apart and files are large. Proxies are not used.

mod address;
mod connect;
mod content;

pub use address::AddressPolicy;
pub(crate) use address::Trust;
pub(crate) use connect::shown;
pub(crate) use content::{Want, accept, refusal};

use std::fmt;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HOST, IF_NONE_MATCH, IF_RANGE, LOCATION,
    RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use crate::error::RegistryError;
use crate::limits::{BUFFER_BYTES, Limits};
use crate::source::Pieces;
use connect::Connector;

/// A request.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trust: Trust,
    pub(crate) redirects: bool,
}

impl Ask {
    pub(crate) fn new(method: Method, url: Url, trust: Trust) -> Ask {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Ask { method, url, headers, body, trust, redirects: true }
    }

    pub(crate) fn get(url: Url) -> Ask {
        Ask::new(Method::GET, url, Trust::Configured)
    }

    pub(crate) fn with(mut self, name: http::HeaderName, value: Option<HeaderValue>) -> Ask {
        if let Some(value) = value {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn authorized(self, value: Option<HeaderValue>) -> Ask {
        self.with(AUTHORIZATION, value)
    }
}

/// The head of an answer, and its body to come.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Who answered, after redirects.
    pub(crate) url: Url,
    pub(crate) pieces: Pieces,
}

/// The client.
pub(crate) struct Http {
    connector: Connector,
    policy: AddressPolicy,
    pub(crate) limits: Limits,
}

impl fmt::Debug for Http {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Http").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Ends the task that drives a connection when nobody reads it any more.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Http {
    pub(crate) fn new(policy: AddressPolicy, limits: Limits) -> Http {
        Http { connector: Connector::default(), policy, limits }
    }

    /// Asks, and follows redirects. Credentials stay with the origin they were meant for.
    pub(crate) async fn send(&self, mut ask: Ask) -> Result<Answer, RegistryError> {
        let first = shown(&ask.url);
        for _ in 0..=self.limits.redirects_max {
            let answer = self.exchange(&ask).await?;
            let elsewhere = match answer.status.as_u16() {
                301 | 302 | 303 | 307 | 308 if ask.redirects => answer.headers.get(LOCATION),
                _ => None,
            };
            let Some(location) = elsewhere else { return Ok(answer) };
            if ask.method != Method::GET && ask.method != Method::HEAD {
                return Ok(answer);
            }
            ask = redirected(ask, location)?;
        }
        let most = self.limits.redirects_max;
        Err(RegistryError::Answer(format!("{first} redirects more than {most} times")))
    }

    /// Asks for a small answer and reads it whole, within the time for it. The status is the caller's
    /// to judge.
    pub(crate) async fn small(
        &self,
        ask: Ask,
    ) -> Result<(StatusCode, HeaderMap, Bytes), RegistryError> {
        let (name, most) = (shown(&ask.url), self.limits.look_max);
        let whole = async {
            let Answer { status, headers, url, pieces } = self.send(ask).await?;
            let body = collected(pieces, self.limits.answer_bytes_max, &url).await?;
            Ok((status, headers, body))
        };
        match timeout(most, whole).await {
            Ok(answered) => answered,
            Err(_) => Err(RegistryError::Slow(format!("{name}: no whole answer within {most:?}"))),
        }
    }

    /// Asks for JSON. Anything but 2xx is an error, in the server's own words if it has any.
    pub(crate) async fn json<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, RegistryError> {
        let url = ask.url.clone();
        let (status, headers, body) = self.small(ask).await?;
        if !status.is_success() {
            return Err(refusal(status, &url, &body));
        }
        parsed(&body, &headers, &url)
    }

    async fn exchange(&self, ask: &Ask) -> Result<Answer, RegistryError> {
        if !matches!(ask.url.scheme(), "http" | "https") {
            let words = format!("{} is no address of the web", shown(&ask.url));
            return Err(RegistryError::Invalid(words));
        }
        let host = ask.url.host_str().unwrap_or_default().to_owned();
        let failed = |error: hyper::Error| {
            RegistryError::Unavailable(format!("{}: {}", shown(&ask.url), causes(&error)))
        };
        let parts = (self.policy, &self.limits);
        let stream = self.connector.connect(&ask.url, ask.trust, parts).await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER_BYTES);
        let exchange = async {
            let (mut sender, connection) =
                builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
            let driver = Driver(tokio::spawn(async {
                // What goes wrong on the connection is told to the request or its body.
                let _ = connection.await;
            }));
            let response = sender.send_request(request(ask)?).await.map_err(failed)?;
            Ok((response, driver))
        };
        let Ok(answered) = timeout(self.limits.head_max, exchange).await else {
            let waited = self.limits.head_max;
            return Err(RegistryError::Slow(format!("{host}: no answer within {waited:?}")));
        };
        let (response, driver) = answered?;
        let (head, body) = response.into_parts();
        let pieces = self.pieces(body, driver, shown(&ask.url));
        Ok(Answer { status: head.status, headers: head.headers, url: ask.url.clone(), pieces })
    }

    /// The body, each piece within the time for it.
    fn pieces(&self, body: Incoming, driver: Driver, name: String) -> Pieces {
        let idle = self.limits.idle_max;
        let next = move |(mut body, driver, name): (Incoming, Driver, String)| async move {
            loop {
                let Ok(frame) = timeout(idle, body.frame()).await else {
                    let words = format!("{name}: nothing came for {idle:?}");
                    return Err(RegistryError::Slow(words));
                };
                match frame {
                    None => return Ok(None),
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some((data, (body, driver, name))));
                        }
                    }
                    Some(Err(error)) => {
                        let words = format!("{name} broke off: {}", causes(&error));
                        return Err(RegistryError::Unavailable(words));
                    }
                }
            }
        };
        Box::pin(stream::try_unfold((body, driver, name), next))
    }
}

fn request(ask: &Ask) -> Result<Request<Full<Bytes>>, RegistryError> {
    let wrong = |_| RegistryError::Invalid(format!("{} cannot be asked for", shown(&ask.url)));
    let authority = match ask.url.port() {
        Some(port) => format!("{}:{port}", ask.url.host_str().unwrap_or_default()),
        None => ask.url.host_str().unwrap_or_default().to_owned(),
    };
    let target = &ask.url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = Request::builder().method(ask.method.clone()).uri(target);
    let mut request = request.body(Full::new(ask.body.clone())).map_err(wrong)?;
    let headers = request.headers_mut();
    headers.clone_from(&ask.headers);
    let host = HeaderValue::try_from(authority);
    let host = host.map_err(|_| RegistryError::Invalid("a host that HTTP cannot send".into()))?;
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    // Sizes and ranges are those of the file itself.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let agent = HeaderValue::from_static(concat!("salver/", env!("CARGO_PKG_VERSION")));
    headers.insert(USER_AGENT, agent);
    Ok(request)
}

fn redirected(mut ask: Ask, location: &HeaderValue) -> Result<Ask, RegistryError> {
    let from = shown(&ask.url);
    let wrong = |why: &str| RegistryError::Answer(format!("{from} redirects {why}"));
    let location = location.to_str().map_err(|_| wrong("to what is no address"))?;
    let url = ask.url.join(location).map_err(|_| wrong("to what is no address"))?;
    match (ask.url.scheme(), url.scheme()) {
        ("http", "http") | (_, "https") => {}
        ("https", "http") => return Err(wrong("from https to http")),
        _ => return Err(wrong("away from HTTP")),
    }
    if url.origin() != ask.url.origin() {
        ask.trust = Trust::Remote;
        // What else there is, credentials above all, was meant for the first.
        let mut headers = HeaderMap::new();
        for name in [ACCEPT, RANGE, IF_RANGE, IF_NONE_MATCH] {
            if let Some(value) = ask.headers.remove(&name) {
                headers.insert(name, value);
            }
        }
        ask.headers = headers;
    }
    ask.url = url;
    Ok(ask)
}

async fn collected(mut pieces: Pieces, most: usize, url: &Url) -> Result<Bytes, RegistryError> {
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if all.len() + piece.len() > most {
            let words = format!("{} answers with more than {most} bytes", shown(url));
            return Err(RegistryError::TooLarge(words));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.into())
}

/// JSON, or what came instead.
pub(crate) fn parsed<T: DeserializeOwned>(
    body: &[u8],
    headers: &HeaderMap,
    url: &Url,
) -> Result<T, RegistryError> {
    serde_json::from_slice(body).map_err(|error| {
        let kind = headers.get(http::header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let kind = kind.unwrap_or("no content type");
        RegistryError::Answer(format!(
            "{} did not answer as expected ({kind}): {error}",
            shown(url)
        ))
    })
}

/// An error and its causes in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}
