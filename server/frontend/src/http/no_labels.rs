//! In place of `labels` in a build without ground truth.

use std::sync::Arc;

use http::{Request, Response};

use super::route::Route;
use crate::absent::absent;
use crate::body::{RequestBody, ResponseBody};
use crate::dispatch::Shared;

/// `POST /v2/models/{model}/labels`.
pub(crate) async fn post(
    _: Arc<Shared>,
    _: Route,
    _: Request<RequestBody>,
) -> Response<ResponseBody> {
    absent("ground truth", "truth")
}

/// `GET /v2/models/{model}/performance`.
pub(crate) async fn show(_: &Arc<Shared>, _: &Route) -> Response<ResponseBody> {
    absent("ground truth", "truth")
}
