//! In place of `orders` in a build without rollouts, which carry them out.

use std::sync::Arc;

use http::{Request, Response};

use super::route::Route;
use crate::absent::absent;
use crate::body::{RequestBody, ResponseBody};
use crate::dispatch::Shared;

/// `POST /v2/models/{model}/promote`.
pub(crate) async fn promote(
    _: Arc<Shared>,
    _: Route,
    _: Request<RequestBody>,
) -> Response<ResponseBody> {
    absent("rollouts", "rollouts")
}

/// `POST /v2/models/{model}/rollback`.
pub(crate) async fn roll_back(
    _: Arc<Shared>,
    _: Route,
    _: Request<RequestBody>,
) -> Response<ResponseBody> {
    absent("rollouts", "rollouts")
}

/// `POST /v2/models/{model}/forget`.
pub(crate) async fn forget(
    _: Arc<Shared>,
    _: Route,
    _: Request<RequestBody>,
) -> Response<ResponseBody> {
    absent("rollouts", "rollouts")
}
