//! Ground truth: labels come in, and how right a model is goes out.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use server_base::{Kind, Version};
use server_truth::{Given, LABELS_MAX, Label, Recorded};

use super::repository::read;
use super::route::Route;
use super::{failure, json, refusal};
use crate::body::{RequestBody, ResponseBody};
use crate::dispatch::Shared;
use crate::truth::{Refused, performance, record};

/// `{"labels": [{"id": "a", "value": 1, "row": 0, "timestamp": 1790000000.5}]}`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LabelsBody {
    labels: Vec<LabelBody>,
}

/// A `value` that is an array is one for each row, from `row` on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelBody {
    id: String,
    value: Value,
    #[serde(default)]
    row: u32,
    /// Seconds since 1970.
    timestamp: Option<f64>,
}

/// `POST /v2/models/{model}/labels`: returns when they are on the disk.
pub(crate) async fn post(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let LabelsBody { labels } = match read(request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let labels = match parsed(&labels) {
        Ok(labels) => labels,
        Err(text) => return refusal(Kind::Invalid, text),
    };
    shown(record(&shared, &route.model, labels).await)
}

fn shown(recorded: Result<Recorded, Refused>) -> Response<ResponseBody> {
    match recorded {
        Ok(recorded) => json(StatusCode::OK, &recorded),
        Err(Refused { kind, text }) => refusal(kind, text),
    }
}

fn parsed(bodies: &[LabelBody]) -> Result<Vec<Label>, String> {
    let mut labels = Vec::with_capacity(bodies.len());
    for (place, body) in bodies.iter().enumerate() {
        let at = |what: String| format!("labels[{place}]: {what}");
        let time_us = body.timestamp.map(micros).transpose().map_err(at)?;
        let one = std::slice::from_ref(&body.value);
        let values = body.value.as_array().map_or(one, Vec::as_slice);
        for (n, value) in (0_u32..).zip(values) {
            if labels.len() == LABELS_MAX {
                return Err(format!("more than {LABELS_MAX} labels: expected several requests"));
            }
            let row = body.row.checked_add(n).ok_or_else(|| {
                let (row, values) = (body.row, values.len());
                at(format!("row {row} and {values} values: expected rows up to {}", u32::MAX))
            })?;
            let value = Given::of_json(value).map_err(at)?;
            labels.push(Label::new(&body.id, row, value, time_us).map_err(at)?);
        }
    }
    if labels.is_empty() {
        return Err("labels: there is none, expected {\"labels\": [{\"id\": .., \"value\": ..}]}"
            .to_owned());
    }
    Ok(labels)
}

fn micros(seconds: f64) -> Result<i64, String> {
    // The year 9999.
    if !(0.0..=253_402_300_799.0).contains(&seconds) {
        return Err(format!("timestamp {seconds}: expected seconds since 1970"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "in that range")]
    Ok((seconds * 1e6) as i64)
}

/// `GET /v2/models/{model}/performance`, of one version or of all.
pub(crate) async fn show(shared: &Arc<Shared>, route: &Route) -> Response<ResponseBody> {
    let version = match version(route) {
        Ok(version) => version,
        Err(text) => return refusal(Kind::Invalid, text),
    };
    match performance(shared, &route.model, version).await {
        Ok(shown) => json(StatusCode::OK, &shown),
        Err(Refused { kind, text }) => refusal(kind, text),
    }
}

/// The same, of who judges what others have answered.
#[cfg(all(feature = "drift", feature = "triggers"))]
pub(crate) fn told(
    route: &Route,
    performance: Option<&crate::watching::Performance>,
) -> Response<ResponseBody> {
    let version = match version(route) {
        Ok(version) => version,
        Err(text) => return refusal(Kind::Invalid, text),
    };
    let shown = performance.and_then(|it| it(&route.model, version));
    match shown.filter(|it| it["versions"].as_array().is_some_and(|it| !it.is_empty())) {
        Some(shown) => json(StatusCode::OK, &shown),
        None => {
            let model = &route.model;
            let of = version.map_or(String::new(), |it| format!("version {it} of "));
            let text = format!("{of}model {model:?} is not judged: see [truth] of a model.toml");
            refusal(Kind::NotFound, text)
        }
    }
}

/// The one that is asked for.
fn version(route: &Route) -> Result<Option<Version>, String> {
    match route.version.as_str() {
        "" => Ok(None),
        text => match text.parse().ok().filter(|it| *it > 0) {
            Some(number) => Ok(Some(Version(number))),
            None => Err(format!("version {text:?}: expected a number from 1")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Vec<(String, u32, Given)>, String> {
        let body: LabelsBody = serde_json::from_str(body).map_err(|it| it.to_string())?;
        let labels = parsed(&body.labels)?;
        Ok(labels.into_iter().map(|it| (it.id.to_string(), it.row, it.value)).collect())
    }

    #[test]
    fn labels_are_of_rows() {
        let number = |it| Given::Number(it);
        let text = r#"{"labels": [{"id": "a", "value": 1}, {"id": "b", "value": [2, "x"], "row": 3,
            "timestamp": 1790000000.5}]}"#;
        let expect = [
            ("a".to_owned(), 0, number(1.0)),
            ("b".to_owned(), 3, number(2.0)),
            ("b".to_owned(), 4, Given::Text("x".into())),
        ];
        assert_eq!(parse(text).as_deref(), Ok(expect.as_slice()));
    }

    #[test]
    fn what_is_no_label_is_named() {
        for (body, what) in [
            ("{}", "labels: there is none"),
            (r#"{"labels": [{"id": "", "value": 1}]}"#, "labels[0]: id of 0 bytes"),
            (r#"{"labels": [{"id": "a", "value": {}}]}"#, "labels[0]: value {}: expected a number"),
            (
                r#"{"labels": [{"id": "a", "value": 1, "timestamp": -1}]}"#,
                "labels[0]: timestamp -1",
            ),
            (
                r#"{"labels": [{"id": "a", "row": 4294967294, "value": [1, 2, 3]}]}"#,
                "labels[0]: row 4294967294 and 3 values: expected rows up to 4294967295",
            ),
            (r#"{"labels": [{"id": "a"}]}"#, "missing field `value`"),
            (r#"{"labels": [{"id": "a", "value": 1, "line": 1}]}"#, "unknown field `line`"),
        ] {
            let error = parse(body).expect_err(body);
            assert!(error.starts_with(what), "{error}");
        }
        let last = r#"{"labels": [{"id": "a", "row": 4294967294, "value": [1, 2]}]}"#;
        let rows: Vec<u32> = parse(last).expect("rows").into_iter().map(|it| it.1).collect();
        assert_eq!(rows, [u32::MAX - 1, u32::MAX], "the last there can be");
        let many: Vec<String> = (0..=LABELS_MAX).map(|it| it.to_string()).collect();
        let body = format!(r#"{{"labels": [{{"id": "a", "value": [{}]}}]}}"#, many.join(","));
        parse(&body).expect_err("too many");
    }
}
