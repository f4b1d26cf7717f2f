//! In place of `drift` in a build without monitors.

use http::Response;

use super::route::Route;
use crate::absent::absent;
use crate::body::ResponseBody;
use crate::present::Monitors;

/// `GET /v2/models/{model}/drift`.
pub(crate) fn show(_: Option<&Monitors>, _: &Route) -> Response<ResponseBody> {
    absent("monitors", "drift")
}
