//! What monitors have found out.

use http::{Response, StatusCode};
use serde_json::json;
use server_base::{Kind, Version};
use server_monitor::Monitors;

use super::route::Route;
use super::{json, refusal};
use crate::body::ResponseBody;

/// `GET /v2/models/{model}/drift`: its versions, the newest first; or the one that is named.
pub(crate) fn show(monitors: Option<&Monitors>, route: &Route) -> Response<ResponseBody> {
    let Route { model, version, .. } = route;
    let number = match version.as_str() {
        "" => None,
        text => match text.parse() {
            Ok(it) => Some(Version(it)),
            Err(_) => {
                let words = format!("version {text:?}: expected a number");
                return refusal(Kind::Invalid, words);
            }
        },
    };
    let views = monitors.map(|it| it.views(model, number)).unwrap_or_default();
    match (views.first(), number) {
        (Some(view), Some(_)) => json(StatusCode::OK, &**view),
        (Some(_), None) => {
            let versions: Vec<&serde_json::Value> = views.iter().map(AsRef::as_ref).collect();
            json(StatusCode::OK, &json!({ "model": model, "versions": versions }))
        }
        (None, _) => {
            let words = match number {
                Some(it) => format!("version {it} of model {model:?} has no monitor: see [drift]"),
                None => format!("model {model:?} has no monitor: see [drift] of a model.toml"),
            };
            refusal(Kind::NotFound, words)
        }
    }
}
