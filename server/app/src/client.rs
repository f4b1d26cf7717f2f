//! A small HTTP client for the commands that speak to a running server.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::ServerArgs;

/// Largest answer that is read: more than any prediction a person would print.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// What is behind the JSON of a message goes as it is: how much of it is JSON.
const JSON_BYTES: &str = "inference-header-content-length";

const BINARY: &str = "application/octet-stream";

/// A message, and how much of it is JSON if not all of it is.
type Message = (Vec<u8>, Option<usize>);
type Answer = (Bytes, Option<usize>);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// Nobody is there, or they do not speak HTTP.
    Unreachable(anyhow::Error),
    /// The server said no: its status and its own words.
    Refused(StatusCode, String),
    /// Something else.
    Failed(anyhow::Error),
}

/// One server.
pub(crate) struct Client {
    authority: String,
    timeout: Duration,
    /// Is what is asked no traffic?
    is_replay: bool,
}

impl Client {
    pub(crate) fn new(server: &ServerArgs) -> Result<Client, ClientError> {
        let wrong =
            || ClientError::Failed(anyhow!("{:?} is no address like http://host:8000", server.url));
        let url: Uri = server.url.parse().map_err(|_| wrong())?;
        if url.scheme_str().is_some_and(|it| it != "http") {
            return Err(wrong());
        }
        let authority = url.authority().ok_or_else(wrong)?;
        let port = authority.port_u16().unwrap_or(80);
        let authority = format!("{}:{port}", authority.host());
        let timeout = Duration::from_secs(server.timeout);
        Ok(Client { authority, timeout, is_replay: false })
    }

    /// What is asked is marked: it was asked before, by others.
    #[cfg(feature = "parquet")]
    pub(crate) fn replaying(self) -> Client {
        Client { is_replay: true, ..self }
    }

    /// Asks, and returns the body of a 2xx answer.
    pub(crate) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Bytes, ClientError> {
        self.exchanged(method, path, (body, None)).map(|it| it.0)
    }

    /// Asks for a prediction, and returns its answer: bytes, of which so many are JSON if not all are.
    #[cfg(feature = "parquet")]
    pub(crate) fn infer(&self, path: &str, message: Message) -> Result<Answer, ClientError> {
        self.exchanged(Method::POST, path, message)
    }

    fn exchanged(
        &self,
        method: Method,
        path: &str,
        message: Message,
    ) -> Result<Answer, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|it| ClientError::Failed(it.into()))?;
        let asked = runtime
            .block_on(async { timeout(self.timeout, self.exchange(method, path, message)).await });
        let (status, answer) = match asked {
            Ok(answer) => answer?,
            Err(_) => {
                let (authority, waited) = (&self.authority, self.timeout);
                return Err(ClientError::Unreachable(anyhow!(
                    "{authority}: no answer within {waited:?}"
                )));
            }
        };
        if status.is_success() {
            Ok(answer)
        } else {
            Err(ClientError::Refused(status, words(&answer.0)))
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        (body, json): Message,
    ) -> Result<(StatusCode, Answer), ClientError> {
        let unreachable =
            |it: anyhow::Error| ClientError::Unreachable(it.context(self.authority.clone()));
        let stream =
            TcpStream::connect(&self.authority).await.map_err(|it| unreachable(it.into()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|it| unreachable(it.into()))?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, if json.is_some() { BINARY } else { "application/json" });
        if let Some(bytes) = json {
            request = request.header(JSON_BYTES, bytes);
        }
        if self.is_replay {
            request = request.header(server_serving::REPLAY_HEADER, "1");
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .with_context(|| format!("path {path}"))
            .map_err(ClientError::Failed)?;
        let response = sender.send_request(request).await.map_err(|it| unreachable(it.into()))?;
        let status = response.status();
        let json = response.headers().get(JSON_BYTES).and_then(|it| it.to_str().ok());
        let json = json.and_then(|it| it.parse().ok());
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|it| ClientError::Failed(anyhow!("the answer broke off: {it}")))?;
        Ok((status, (body.to_bytes(), json)))
    }
}

/// The server's own words, if it has any.
fn words(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = json.as_ref().and_then(|it| it.get("error")).and_then(|it| it.as_str());
    error.map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), str::to_owned)
}
