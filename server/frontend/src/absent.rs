//! Answers for what this build is without.

use http::Response;
use server_base::Kind;

use crate::body::ResponseBody;
use crate::http::refusal;

/// `feature`: the feature of cargo that adds it.
pub(crate) fn absent(what: &str, feature: &str) -> Response<ResponseBody> {
    refusal(Kind::Unimplemented, text(what, feature))
}

pub(crate) fn text(what: &str, feature: &str) -> String {
    format!("this build is without {what}, which `--features {feature}` adds")
}
