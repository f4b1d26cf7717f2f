//! In place of `rollout` in a build without rollouts.

use std::sync::Arc;

use http::{Request, Response};

use super::route::Route;
use crate::absent::absent;
use crate::body::{RequestBody, ResponseBody};
use crate::dispatch::Shared;
use crate::present::Conductor;

/// What would be told to one.
#[derive(Clone, Copy)]
pub(super) enum Command {
    Promote,
    Hold,
    Resume,
    Abort,
}

/// `GET /v2/rollouts`.
pub(crate) async fn list(_: &Conductor) -> Response<ResponseBody> {
    absent("rollouts", "rollouts")
}

/// `GET /v2/models/{model}/rollout`.
pub(crate) async fn show(_: &Conductor, _: &str) -> Response<ResponseBody> {
    absent("rollouts", "rollouts")
}

/// `POST /v2/models/{model}/rollout`.
pub(crate) async fn start(
    _: Arc<Shared>,
    _: Route,
    _: Request<RequestBody>,
) -> Response<ResponseBody> {
    absent("rollouts", "rollouts")
}

/// `POST /v2/models/{model}/rollout/{command}`.
pub(super) async fn command(
    _: Arc<Shared>,
    _: (Route, Request<RequestBody>),
    _: Command,
) -> Response<ResponseBody> {
    absent("rollouts", "rollouts")
}
