//! HTTP/1.1 with kept connections, one request at a time on each.
//!
//! Used by `client`. A request waits for a free connection; that wait is part of its latency.

mod message;
pub(crate) mod tfs;

use std::cell::RefCell;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Uri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::body::Parts;
use crate::client::{Prepared, Protocol, Reply, Target};
use crate::deadline;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, FailureKind};
use crate::signature::Signature;

pub(crate) use message::{decode, encode_binary, encode_json};

/// How much of a body is JSON, when binary tensors follow it.
pub(crate) static JSON_BYTES: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// What stands for itself in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

type Sender = SendRequest<Full<Bytes>>;

/// Invariant: permits of `free` = connections in `idle`.
#[derive(Debug)]
pub(crate) struct Client {
    protocol: Protocol,
    authority: String,
    headers: HeaderMap,
    free: Semaphore,
    /// The one used last is used next, so that a few busy ones stay warm.
    idle: RefCell<Vec<Connection>>,
}

/// A place for a connection: empty while there is none, or while a request is on it.
#[derive(Debug, Default)]
struct Connection {
    sender: Option<Sender>,
    backoff: Backoff,
}

impl Client {
    pub(crate) async fn connect(endpoint: &Endpoint, connections: usize) -> Result<Client> {
        let Endpoint { protocol, authority } = endpoint;
        let mut idle = Vec::with_capacity(connections);
        for _ in 0..connections {
            let sender = Some(dial(authority).await?);
            idle.push(Connection { sender, ..Connection::default() });
        }
        let mut headers = headers(authority)?;
        let content_type = match protocol {
            Protocol::HttpBinary => "application/octet-stream",
            Protocol::HttpJson | Protocol::Tfs | Protocol::TfsColumnar | Protocol::Grpc => {
                "application/json"
            }
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(Client {
            protocol: *protocol,
            authority: authority.clone(),
            headers,
            free: Semaphore::new(connections),
            idle: RefCell::new(idle),
        })
    }

    pub(crate) async fn call(
        &self,
        request: &Prepared,
        by: Option<std::time::Instant>,
    ) -> Result<Reply, Failure> {
        let _permit = self.free.acquire().await.map_err(Failure::connection)?;
        let connection = self.idle.borrow_mut().pop();
        let connection = connection.ok_or_else(|| Failure::connection("no connection is idle"))?;
        let mut lease = Lease { client: self, connection };
        let mut sender = lease.take_sender().await?;
        let reply = exchange(&mut sender, self.request(request, by)).await?;
        lease.connection.sender = Some(sender);
        if self.protocol.is_tfs() && tfs::says_error(&reply.body) {
            let kind = FailureKind::Http(StatusCode::OK.as_u16());
            return Err(Failure { kind, message: message::error_text(&reply.body) });
        }
        Ok(reply)
    }

    fn request(&self, prepared: &Prepared, by: Option<std::time::Instant>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(prepared.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = prepared.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(json_bytes) = prepared.json_bytes {
            request.headers_mut().insert(&JSON_BYTES, HeaderValue::from(json_bytes));
        }
        if let Some(by) = by {
            request.headers_mut().insert(&deadline::HTTP, deadline::http(by));
        }
        request
    }
}

/// Puts the connection back, also when the request is given up half way. It is then without a
/// sender: an answer that was not read would be taken for the next one.
struct Lease<'a> {
    client: &'a Client,
    connection: Connection,
}

impl Lease<'_> {
    /// The open connection, or a new one when there is none or the server has closed it.
    async fn take_sender(&mut self) -> Result<Sender, Failure> {
        if let Some(mut sender) = self.connection.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        self.connection.backoff.due().await;
        match dial(&self.client.authority).await {
            Ok(sender) => {
                self.connection.backoff = Backoff::default();
                Ok(sender)
            }
            Err(error) => {
                self.connection.backoff.failed(Instant::now());
                Err(Failure::connection(format!("{error:#}")))
            }
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.client.idle.borrow_mut().push(std::mem::take(&mut self.connection));
    }
}

/// Where inference requests to the target's model go.
pub(crate) fn uri(target: &Target) -> Result<Uri> {
    path(target, if target.endpoint.protocol.is_tfs() { ":predict" } else { "/infer" })
}

/// Asks for a model's metadata on a connection of its own.
pub(crate) async fn signature(target: &Target) -> Result<Signature> {
    let tfs = target.endpoint.protocol.is_tfs();
    let mut sender = dial(&target.endpoint.authority).await?;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = path(target, if tfs { "/metadata" } else { "" })?;
    *request.headers_mut() = headers(&target.endpoint.authority)?;
    let reply = exchange(&mut sender, request).await?;
    if tfs { tfs::signature(&reply.body) } else { Signature::from_json(&reply.body) }
}

async fn exchange(sender: &mut Sender, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
    let response = sender.send_request(request).await.map_err(broken)?;
    let (head, body) = response.into_parts();
    let body = receive(body).await?;
    if head.status != StatusCode::OK {
        let kind = FailureKind::Http(head.status.as_u16());
        return Err(Failure { kind, message: message::error_text(&body) });
    }
    let json_bytes = head.headers.get(&JSON_BYTES).map(|value| {
        let length = value.to_str().ok().and_then(|it| it.parse().ok());
        length.ok_or_else(|| Failure::malformed(format!("{JSON_BYTES} is {value:?}")))
    });
    Ok(Reply { body, json_bytes: json_bytes.transpose()? })
}

async fn receive(mut body: Incoming) -> Result<Bytes, Failure> {
    let mut parts = Parts::default();
    while let Some(frame) = body.frame().await {
        if let Ok(part) = frame.map_err(broken)?.into_data() {
            parts.push(part).map_err(Failure::malformed)?;
        }
    }
    Ok(parts.join())
}

fn broken(error: hyper::Error) -> Failure {
    let error = anyhow::Error::new(error);
    Failure::connection(format!("{error:#}"))
}

/// Connects; the connection is driven by a task of its own until it closes.
async fn dial(authority: &str) -> Result<Sender> {
    let stream = TcpStream::connect(authority).await;
    let stream = stream.with_context(|| format!("cannot connect to {authority}"))?;
    stream.set_nodelay(true)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.with_context(|| format!("no HTTP/1.1 to {authority}"))?;
    // Its error reaches the request on it, so there is nothing to do with it here.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(sender)
}

fn headers(authority: &str) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(authority);
    headers.insert(HOST, host.with_context(|| format!("{authority:?} is not host:port"))?);
    headers.insert(USER_AGENT, HeaderValue::from_static("loadtest"));
    Ok(headers)
}

fn path(target: &Target, verb: &str) -> Result<Uri> {
    let model = utf8_percent_encode(&target.model, PATH);
    let version = match target.version.as_str() {
        "" => String::new(),
        version => format!("/versions/{}", utf8_percent_encode(version, PATH)),
    };
    let api = if target.endpoint.protocol.is_tfs() { "v1" } else { "v2" };
    let path = format!("/{api}/models/{model}{version}{verb}");
    path.parse().with_context(|| format!("{path:?} is not a path"))
}
