//! GitHub, `repository_dispatch`: told and forgotten, without a key. The workflow has to look at the
//! key itself, for instance as the group of its `concurrency`.

use std::collections::BTreeMap;

use serde_json::json;

use super::shape::{Shape, told_with};
use crate::event::Event;

/// At most ten keys at the top of `client_payload`: there are nine, and `parameters`.
pub(super) fn submit(
    (repository, name): (&str, &str),
    event: &Event,
    given: &BTreeMap<String, String>,
) -> Shape {
    let (owner, repository) = repository.split_once('/').unwrap_or(("", repository));
    let body = json!({ "event_type": name, "client_payload": told_with(event, given) });
    let mut shape = Shape::post(&["repos", owner, repository, "dispatches"], &body);
    shape.headers[0].1 = "application/vnd.github+json".to_owned();
    shape.headers.push(("x-github-api-version", "2022-11-28".to_owned()));
    shape
}
