//! The HTTP side of the echo server: hyper's HTTP/1.1 and nothing around it.
//!
//! Speaks the Open Inference Protocol under `/v2/` and TensorFlow Serving's API under `/v1/`.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use super::canned::HttpAnswer;
use super::{Model, Models};
use crate::http1::{JSON_BYTES, tfs};
use crate::limits::MESSAGE_BYTES_MAX;

/// Must be called within a runtime; the future then serves until it is dropped.
pub(super) fn serve(
    listener: TcpListener,
    models: Arc<Models>,
) -> Result<impl Future<Output = Result<()>>> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let models = Arc::clone(&models);
            let service = service_fn(move |request| respond(Arc::clone(&models), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A connection that breaks is its client's affair.
            tokio::spawn(async move { drop(connection.await) });
        }
    })
}

type Answer = Response<Full<Bytes>>;

async fn respond(models: Arc<Models>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    if matches!(&*path, "/v2/health/live" | "/v2/health/ready") {
        return Ok(Response::new(Full::default()));
    }
    let found = path.strip_prefix("/v2/models/").map(|it| (it, false));
    let found = found.or_else(|| path.strip_prefix("/v1/models/").map(|it| (it, true)));
    let Some((name, verb, tfs)) = found.and_then(|(rest, tfs)| model_and_verb(rest, tfs)) else {
        return Ok(refusal(StatusCode::NOT_FOUND, "Not Found"));
    };
    let name = percent_decode_str(name).decode_utf8_lossy();
    let Some(model) = models.named(&name) else {
        return Ok(refusal(StatusCode::NOT_FOUND, &format!("unknown model {name:?}")));
    };
    let answer = match (request.method(), verb, tfs) {
        (&Method::GET, "", false) => Ok(plain(model.signature.to_json())),
        (&Method::GET, "ready", false) => Ok(Response::new(Full::default())),
        (&Method::POST, "infer", false) => infer(model, request).await,
        (&Method::GET, "metadata", true) => {
            Ok(plain(tfs::metadata(&model.signature).to_string().into_bytes()))
        }
        (&Method::POST, "predict", true) => predict(model, request).await,
        _ => return Ok(refusal(StatusCode::NOT_FOUND, "Not Found")),
    };
    Ok(answer.unwrap_or_else(|error| refusal(StatusCode::BAD_REQUEST, &format!("{error:#}"))))
}

/// Splits `NAME[/versions/V][/VERB]`; TensorFlow Serving's verb may follow a colon.
fn model_and_verb(rest: &str, tfs: bool) -> Option<(&str, &str, bool)> {
    let (rest, colon_verb) = match rest.rsplit_once(':') {
        Some((rest, verb)) if tfs => (rest, Some(verb)),
        _ => (rest, None),
    };
    let parts: Vec<&str> = rest.split('/').collect();
    match (&parts[..], colon_verb) {
        (&[name] | &[name, "versions", _], verb) => Some((name, verb.unwrap_or(""), tfs)),
        (&[name, verb] | &[name, "versions", _, verb], None) => Some((name, verb, tfs)),
        _ => None,
    }
}

/// An answer to rows if rows were sent, to columns if columns were.
async fn predict(model: &Model, request: Request<Incoming>) -> Result<Answer> {
    let body = Limited::new(request.into_body(), MESSAGE_BYTES_MAX).collect().await;
    let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    let body: Value = serde_json::from_slice(&body).context("not a prediction request")?;
    if let Some(instances) = body.get("instances").and_then(Value::as_array) {
        return Ok(inferred(model.tfs_rows(instances.len())?));
    }
    let inputs = body.get("inputs").and_then(Value::as_object);
    let inputs = inputs.context("neither \"instances\" nor \"inputs\"")?;
    let batched = inputs.iter().find(|(name, _)| model.batched(name));
    let rows = batched.and_then(|(_, it)| it.as_array()).map_or(1, Vec::len);
    Ok(inferred(model.tfs_columns(rows)?))
}

/// What an answer depends on; the tensors themselves are skipped.
#[derive(Deserialize)]
struct Asked {
    inputs: Vec<AskedInput>,
}

#[derive(Deserialize)]
struct AskedInput {
    name: String,
    shape: Vec<usize>,
}

async fn infer(model: &Model, request: Request<Incoming>) -> Result<Answer> {
    let json_bytes = request.headers().get(&JSON_BYTES).cloned();
    let body = Limited::new(request.into_body(), MESSAGE_BYTES_MAX).collect().await;
    let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    let json = match &json_bytes {
        Some(length) => {
            let length: Option<usize> = length.to_str().ok().and_then(|it| it.parse().ok());
            let json = length.and_then(|it| body.get(..it));
            json.with_context(|| format!("{JSON_BYTES} does not fit the body"))?
        }
        None => &body[..],
    };
    let asked: Asked = serde_json::from_slice(json).context("not an inference request")?;
    let input = asked.inputs.iter().find(|it| model.batched(&it.name));
    let rows = input.and_then(|it| it.shape.first().copied()).unwrap_or(1);
    let answer = match json_bytes {
        Some(_) => model.http_binary(rows)?,
        None => model.http_json(rows)?,
    };
    Ok(inferred(answer))
}

fn inferred(answer: HttpAnswer) -> Answer {
    let HttpAnswer { body, json_bytes } = answer;
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    match json_bytes {
        Some(length) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(&JSON_BYTES, HeaderValue::from(length));
        }
        None => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
    }
    response
}

fn plain(json: Vec<u8>) -> Answer {
    inferred(HttpAnswer { body: Bytes::from(json), json_bytes: None })
}

fn refusal(status: StatusCode, message: &str) -> Answer {
    let mut answer = plain(serde_json::json!({ "error": message }).to_string().into_bytes());
    *answer.status_mut() = status;
    answer
}
