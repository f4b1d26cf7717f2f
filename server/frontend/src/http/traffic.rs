//! Who answers a model's requests that name no version, and what is known of the copies of them.

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use serde::Serialize;
use server_serving::copies::LeftOut;
use server_serving::{InferError, Serving, Shadow, Sticky};

use super::{failure, json};
use crate::body::ResponseBody;

#[derive(Serialize)]
struct View<'a> {
    model: &'a str,
    labels: BTreeMap<&'a str, u64>,
    /// Of the requests that name no version, from 0 to 1, by version.
    shares: BTreeMap<u64, f64>,
    sticky: Option<String>,
    shadow: Option<ShadowView>,
}

#[derive(Serialize)]
struct ShadowView {
    version: u64,
    percent: f64,
    compared: u64,
    disagreements: Disagreements,
    difference: Differences,
    failed: u64,
    left_out: BTreeMap<&'static str, u64>,
    /// Were to be logged for what they disagree on, and there was no room.
    unlogged: u64,
}

#[derive(Serialize)]
struct Disagreements {
    answer: u64,
    nonfinite: u64,
}

/// The shadow's numbers less the served ones, of pairs that have numbers.
#[derive(Serialize)]
struct Differences {
    pairs: u64,
    mean: f64,
    max: f64,
}

/// `GET /v2/models/{model}/traffic`.
pub(super) fn show(serving: &Serving, model: &str) -> Response<ResponseBody> {
    let table = serving.table();
    let Some(entry) = table.model(model) else {
        return failure(&InferError::UnknownModel { model: model.to_owned() });
    };
    let view = View {
        model,
        labels: entry.labels().iter().map(|(name, it)| (&**name, it.0)).collect(),
        shares: entry.shares().into_iter().map(|(version, it)| (version.0, it)).collect(),
        sticky: entry.sticky().map(|it| match it {
            Sticky::Header(name) => name.to_string(),
            Sticky::Parameter(name) => format!("parameter:{name}"),
        }),
        shadow: entry.shadow().map(|it| ShadowView::new(it)),
    };
    json(StatusCode::OK, &view)
}

impl ShadowView {
    fn new(shadow: &Shadow) -> ShadowView {
        let pairs = shadow.pairs();
        let (with_numbers, mean, _) = pairs.moments;
        let left_out = LeftOut::ALL.iter().zip(pairs.left_out_for);
        ShadowView {
            version: shadow.servable().version().0,
            percent: shadow.share() as f64 / 100.0,
            compared: pairs.compared,
            disagreements: Disagreements { answer: pairs.flips, nonfinite: pairs.nonfinite },
            difference: Differences { pairs: with_numbers, mean, max: pairs.max },
            failed: pairs.failed,
            left_out: left_out.map(|(why, count)| (why.label(), count)).collect(),
            unlogged: pairs.unlogged,
        }
    }
}
