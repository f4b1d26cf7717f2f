//! Databricks Jobs 2.1. The same token gives the same run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::RunState;
use super::shape::Shape;
use crate::event::Event;

/// Tokens have at most 64 characters, and a key has 64.
pub(super) fn submit(job: u64, event: &Event, given: &BTreeMap<String, String>) -> Shape {
    let body = json!({ "job_id": job, "job_parameters": given, "idempotency_token": event.key });
    Shape::post(&["api", "2.1", "jobs", "run-now"], &body)
}

pub(super) fn look(run: &str) -> Shape {
    let query = vec![("run_id", run.to_owned())];
    Shape { query, ..Shape::get(&["api", "2.1", "jobs", "runs", "get"]) }
}

pub(super) fn state(body: &Value) -> RunState {
    let state = &body["state"];
    match state["life_cycle_state"].as_str() {
        Some("TERMINATED") if state["result_state"].as_str() == Some("SUCCESS") => {
            RunState::Succeeded
        }
        Some("TERMINATED" | "SKIPPED" | "INTERNAL_ERROR") => RunState::Failed,
        _ => RunState::Running,
    }
}
