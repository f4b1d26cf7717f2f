//! What is shown of a monitor: one JSON object, made when something has changed.

use std::collections::VecDeque;

use serde_json::{Value, json};
use server_base::{ModelName, Version};
use server_drift::Origin;

use crate::entry::Last;
use crate::monitor::Monitor;

/// Who is shown, and what has been found so far.
pub(crate) struct Shown<'a> {
    pub(crate) model: &'a ModelName,
    pub(crate) version: Version,
    pub(crate) is_loaded: bool,
    pub(crate) last: Option<&'a Last>,
    pub(crate) history: &'a VecDeque<Value>,
}

pub(crate) fn view(monitor: &Monitor, shown: &Shown<'_>) -> Value {
    let plan = monitor.plan();
    let (rows, of) = monitor.progress();
    let reference = monitor.basis().map(|it| {
        let features: Vec<&str> = it.columns.iter().map(|it| it.0.as_str()).collect();
        json!({
            "source": it.source,
            "rows": it.rows,
            "features": features,
            "absent": it.absent,
            "unjudged": it.unjudged(&plan.rule),
        })
    });
    let origin = match &plan.origin {
        Origin::Carried => json!("carried"),
        Origin::File(it) => json!(it),
        Origin::Learned(rows) => json!({ "learned_rows": rows }),
    };
    json!({
        "model": shown.model.as_str(),
        "version": shown.version.0,
        "is_loaded": shown.is_loaded,
        "state": if reference.is_some() { "watching" } else { "learning" },
        "reference": reference,
        "origin": origin,
        "windowing": plan.windowing,
        "rule": plan.rule,
        "drift_share": plan.drift_share,
        "quality": plan.quality,
        "open": { "rows": rows, "of": of },
        "rows": { "seen": monitor.seen, "left_out": monitor.left_out },
        "last": shown.last,
        "history": shown.history,
    })
}
