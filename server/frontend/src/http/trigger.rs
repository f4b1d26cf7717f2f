//! Triggers: look at them, fire one by hand, silence one.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use serde::Deserialize;
use server_base::Kind;
use server_triggers::{FireAsked, Moment, TriggerError, Triggers};

use super::repository::read;
use super::route::{Endpoint, Route};
use super::{failure, json, refusal};
use crate::body::{RequestBody, ResponseBody};

/// Longest silence: a year. Who wants more removes the trigger.
const MUTE_S_MAX: u64 = 366 * 86_400;

/// `{"for_s": 3600}`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MuteBody {
    for_s: Option<u64>,
}

/// `GET /v2/triggers`: an array.
pub(crate) async fn list(triggers: Option<&Triggers>) -> Response<ResponseBody> {
    let Some(triggers) = triggers else { return json(StatusCode::OK, &[(); 0]) };
    match triggers.show().await {
        Ok(views) => json(StatusCode::OK, &views),
        Err(error) => refused(&error),
    }
}

/// What is to be done with one: `POST /v2/triggers/{trigger}/..`.
pub(crate) async fn tell(
    triggers: Option<Triggers>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    if route.endpoint == Endpoint::TriggerFire {
        fire(triggers, route, request).await
    } else if route.endpoint == Endpoint::TriggerMute {
        mute(triggers, route, request).await
    } else {
        unmute(triggers, route, request).await
    }
}

/// `POST /v2/triggers/{trigger}/fire`.
async fn fire(
    triggers: Option<Triggers>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let asked: FireAsked = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let Some(triggers) = &triggers else { return unknown(route.model) };
    match triggers.fire(&route.model, asked).await {
        Ok(fired) => json(StatusCode::OK, &fired),
        Err(error) => refused(&error),
    }
}

/// `POST /v2/triggers/{trigger}/mute`.
async fn mute(
    triggers: Option<Triggers>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let MuteBody { for_s } = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let Some(for_s) = for_s.filter(|it| (1..=MUTE_S_MAX).contains(it)) else {
        let text = format!("for_s: expected a whole number of seconds from 1 to {MUTE_S_MAX}");
        return refusal(Kind::Invalid, text);
    };
    let until = Moment::now().after(Duration::from_secs(for_s));
    silenced(triggers, route, Some(until)).await
}

/// `POST /v2/triggers/{trigger}/unmute`: whatever the body says is read and means nothing.
async fn unmute(
    triggers: Option<Triggers>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let read: Result<serde_json::Map<_, serde_json::Value>, _> = read(request).await;
    if let Err(error) = read {
        return failure(&error);
    }
    silenced(triggers, route, None).await
}

async fn silenced(
    triggers: Option<Triggers>,
    route: Route,
    until: Option<Moment>,
) -> Response<ResponseBody> {
    let Some(triggers) = &triggers else { return unknown(route.model) };
    match triggers.mute(&route.model, until).await {
        Ok(view) => json(StatusCode::OK, &view),
        Err(error) => refused(&error),
    }
}

/// There are none at all.
fn unknown(name: String) -> Response<ResponseBody> {
    refused(&TriggerError::Unknown { name })
}

fn refused(error: &TriggerError) -> Response<ResponseBody> {
    refusal(error.kind(), error.to_string())
}
