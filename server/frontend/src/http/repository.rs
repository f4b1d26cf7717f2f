//! The model repository extension: index, load, unload.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use server_base::Kind;
use server_lifecycle::State;

use super::route::Route;
use super::{failure, health, json, object, refusal};
use crate::body::{RequestBody, ResponseBody, collect};
use crate::dispatch::Shared;
use crate::index::lines;
use server_serving::InferError;

/// `{"ready": true}` leaves out what cannot answer. No body is the same as `{}`.
#[derive(Default, Deserialize)]
struct IndexBody {
    #[serde(default)]
    ready: bool,
}

#[derive(Serialize)]
struct IndexLine<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    state: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    warm: bool,
}

/// `POST /v2/repository/index`: an array, one object a version.
pub(crate) async fn index(
    shared: Arc<Shared>,
    _route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let body: IndexBody = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let index = lines(&shared, body.ready);
    let lines: Vec<IndexLine<'_>> = index
        .iter()
        .map(|it| IndexLine {
            name: it.model.as_str(),
            version: it.version.map(|it| it.to_string()),
            state: index_state(&it.state),
            reason: &it.reason,
            source: it.source.as_deref(),
            digest: it.digest.as_deref(),
            share: it.share,
            warm: it.is_warm,
        })
        .collect();
    json(StatusCode::OK, &lines)
}

/// A version's state as the repository index of the protocol names it.
pub(crate) fn index_state(state: &State) -> &'static str {
    match state {
        State::Available => "READY",
        State::Start | State::Loading => "LOADING",
        State::Unloading => "UNLOADING",
        State::End { .. } => "UNAVAILABLE",
    }
}

/// What load and unload may be told. The parameters of other servers name files and settings that
/// would have to be written somewhere; here models come from the repository alone.
#[derive(Default, Deserialize)]
struct CommandBody {
    #[serde(default)]
    parameters: serde_json::Map<String, serde_json::Value>,
}

/// `POST /v2/repository/models/{model}/load`: returns when it has come up or failed.
pub(crate) async fn load(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let body: CommandBody = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    if let Some(name) = body.parameters.keys().next() {
        let text =
            format!("load parameter '{name}' is not served: models come from the repository alone");
        return refusal(Kind::Unimplemented, text);
    }
    match shared.lifecycle.load(&route.model).await {
        Ok(()) => health(true),
        Err(error) => refusal(error.kind(), error.to_string()),
    }
}

/// `POST /v2/repository/models/{model}/unload`: returns when no request reaches it any more.
pub(crate) async fn unload(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    // `unload_dependents` is accepted: nothing depends on another model here.
    let read: Result<CommandBody, _> = read(request).await;
    if let Err(error) = read {
        return failure(&error);
    }
    match shared.lifecycle.unload(&route.model).await {
        Ok(()) => health(true),
        Err(error) => refusal(error.kind(), error.to_string()),
    }
}

pub(crate) async fn read<T: Default + DeserializeOwned>(
    request: Request<RequestBody>,
) -> Result<T, InferError> {
    let body = collect(request.into_body()).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    object::read(&body)
}
