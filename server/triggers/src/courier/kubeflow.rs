//! Kubeflow Pipelines 2, API v2beta1. It knows no keys: the name of a run is looked for first, so that
//! two replicas that ask at the same moment may start two.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::RunState;
use super::shape::Shape;
use crate::event::Event;
use crate::target::TargetKind;

fn name(event: &Event) -> String {
    format!("salver-{}", event.key)
}

pub(super) fn search(event: &Event) -> Shape {
    let predicate =
        json!({ "operation": "EQUALS", "key": "display_name", "string_value": name(event) });
    let filter = json!({ "predicates": [predicate] }).to_string();
    let query = vec![("page_size", "1".to_owned()), ("filter", filter)];
    Shape { query, ..Shape::get(&["apis", "v2beta1", "runs"]) }
}

pub(super) fn found(body: &Value, event: &Event) -> Option<String> {
    let name = name(event);
    let mut runs = body["runs"].as_array()?.iter();
    let run = runs.find(|it| it["display_name"].as_str() == Some(&name))?;
    run["run_id"].as_str().map(str::to_owned)
}

pub(super) fn submit(kind: &TargetKind, event: &Event, given: &BTreeMap<String, String>) -> Shape {
    let mut body = json!({
        "display_name": name(event),
        "runtime_config": { "parameters": given },
    });
    if let TargetKind::Kubeflow { pipeline, version, experiment, service_account } = kind {
        body["pipeline_version_reference"] = json!({ "pipeline_id": pipeline });
        if let Some(version) = version {
            body["pipeline_version_reference"]["pipeline_version_id"] = json!(version);
        }
        for (key, it) in [("experiment_id", experiment), ("service_account", service_account)] {
            if let Some(it) = it {
                body[key] = json!(it);
            }
        }
    }
    Shape::post(&["apis", "v2beta1", "runs"], &body)
}

pub(super) fn look(run: &str) -> Shape {
    Shape::get(&["apis", "v2beta1", "runs", run])
}

pub(super) fn state(body: &Value) -> RunState {
    match body["state"].as_str() {
        Some("SUCCEEDED") => RunState::Succeeded,
        Some("FAILED" | "CANCELED" | "SKIPPED") => RunState::Failed,
        _ => RunState::Running,
    }
}
