//! In place of `trigger` in a build without triggers.

use http::{Request, Response};

use super::route::Route;
use crate::absent::absent;
use crate::body::{RequestBody, ResponseBody};
use crate::present::Triggers;

/// `GET /v2/triggers`.
pub(crate) async fn list(_: Option<&Triggers>) -> Response<ResponseBody> {
    absent("triggers", "triggers")
}

/// `POST /v2/triggers/{trigger}/..`.
pub(crate) async fn tell(
    _: Option<Triggers>,
    _: Route,
    _: Request<RequestBody>,
) -> Response<ResponseBody> {
    absent("triggers", "triggers")
}
