//! Argo Workflows: a workflow submitted from a template, under a name that can be taken only once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::RunState;
use super::shape::Shape;
use crate::event::Event;

/// A name of Kubernetes: at most 63 characters.
pub(super) fn run(event: &Event) -> String {
    format!("salver-{}", &event.key[..event.key.len().min(40)])
}

pub(super) fn submit(
    (namespace, template): (&str, &str),
    event: &Event,
    given: &BTreeMap<String, String>,
) -> Shape {
    let parameters: Vec<String> = given.iter().map(|(name, it)| format!("{name}={it}")).collect();
    let body = json!({
        "namespace": namespace,
        "resourceKind": "WorkflowTemplate",
        "resourceName": template,
        "submitOptions": { "name": run(event), "parameters": parameters },
    });
    Shape::post(&["api", "v1", "workflows", namespace, "submit"], &body)
}

pub(super) fn look(namespace: &str, run: &str) -> Shape {
    Shape::get(&["api", "v1", "workflows", namespace, run])
}

pub(super) fn state(body: &Value) -> RunState {
    match body["status"]["phase"].as_str() {
        Some("Succeeded") => RunState::Succeeded,
        Some("Failed" | "Error") => RunState::Failed,
        _ => RunState::Running,
    }
}
