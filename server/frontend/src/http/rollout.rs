//! Rollouts: start one, look at it, say what it should do.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use serde::Deserialize;
use server_base::Kind;
use server_base::Version;
use server_conductor::{Conductor, ConductorError, View};
pub(super) use server_rollout::Command;
use server_rollout::RawPlan;

use super::orders::{WhoBody, order};
use super::repository::read;
use super::route::Route;
use super::{failure, json, refusal};
use crate::body::{RequestBody, ResponseBody};
use crate::dispatch::Shared;

/// `{"to": 3, "from": 2, "plan": {"steps": "5,50,100"}, "by": "anna", "reason": ".."}`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StartBody {
    to: Option<u64>,
    from: Option<u64>,
    plan: RawPlan,
    by: String,
    reason: String,
}

/// `GET /v2/rollouts`: an array.
pub(crate) async fn list(conductor: &Conductor) -> Response<ResponseBody> {
    match conductor.show().await {
        Ok(views) => json(StatusCode::OK, &views),
        Err(error) => refused(&error),
    }
}

/// `GET /v2/models/{model}/rollout`.
pub(crate) async fn show(conductor: &Conductor, model: &str) -> Response<ResponseBody> {
    let views = match conductor.show().await {
        Ok(views) => views,
        Err(error) => return refused(&error),
    };
    match views.iter().find(|it| it.subject.model().as_str() == model) {
        Some(view) => json(StatusCode::OK, view),
        None => refused(&ConductorError::NoRollout { model: model.to_owned() }),
    }
}

/// `POST /v2/models/{model}/rollout`: begins one.
pub(crate) async fn start(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let StartBody { to, from, plan, by, reason } = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let Some(to) = to.filter(|it| *it > 0) else {
        let text = "to: expected the number of the version to roll out, from 1".to_owned();
        return refusal(Kind::Invalid, text);
    };
    let plan = match plan.validate() {
        Ok(plan) => plan,
        Err(faults) => return refusal(Kind::Invalid, faults.to_string()),
    };
    let versions = (from.map(Version), Version(to));
    match order(by, reason, None) {
        Ok(order) => shown(shared.conductor.start(&route.model, versions, plan, order).await),
        Err(why) => refusal(Kind::Invalid, why),
    }
}

/// `POST /v2/models/{model}/rollout/{command}`. Who and why may be left out, and the body with them.
pub(crate) async fn command(
    shared: Arc<Shared>,
    (route, request): (Route, Request<RequestBody>),
    command: Command,
) -> Response<ResponseBody> {
    let WhoBody { by, reason } = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    match order(by, reason, None) {
        Ok(order) => shown(shared.conductor.command(&route.model, command, order).await),
        Err(why) => refusal(Kind::Invalid, why),
    }
}

pub(super) fn shown(view: Result<View, ConductorError>) -> Response<ResponseBody> {
    match view {
        Ok(view) => json(StatusCode::OK, &view),
        Err(error) => refused(&error),
    }
}

fn refused(error: &ConductorError) -> Response<ResponseBody> {
    refusal(error.kind(), error.to_string())
}
