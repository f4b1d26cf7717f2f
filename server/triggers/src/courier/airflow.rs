//! Airflow 3, REST API v2. A run of the same name is answered with 409: that is what keys are for.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use server_registry::Answered;

use super::reply::Trouble;
use super::secrets::Secret;
use super::shape::{Shape, told_with};
use super::{RunState, reply};
use crate::event::Event;

/// The name of the run. Airflow allows letters, digits and few signs, so the model is not in it.
pub(super) fn run(event: &Event) -> String {
    format!("salver__{}", event.key)
}

pub(super) fn submit(dag: &str, event: &Event, given: &BTreeMap<String, String>) -> Shape {
    let note = format!("{} of {} version {}", event.cause, event.model, event.version);
    let body = json!({
        // Required, and null is what says that no time slot is meant.
        "logical_date": null,
        "dag_run_id": run(event),
        "conf": told_with(event, given),
        "note": note,
    });
    Shape::post(&["api", "v2", "dags", dag, "dagRuns"], &body)
}

pub(super) fn look(dag: &str, run: &str) -> Shape {
    Shape::get(&["api", "v2", "dags", dag, "dagRuns", run])
}

pub(super) fn about(dag: &str) -> Shape {
    Shape::get(&["api", "v2", "dags", dag])
}

pub(super) fn state(body: &Value) -> RunState {
    match body["state"].as_str() {
        Some("success") => RunState::Succeeded,
        Some("failed") => RunState::Failed,
        _ => RunState::Running,
    }
}

pub(super) fn login(user: &str, password: &str) -> Shape {
    Shape::post(&["auth", "token"], &json!({ "username": user, "password": password }))
}

pub(super) fn token(answered: &Answered) -> Result<Secret, Trouble> {
    let body = reply::json(&answered.body);
    let token = body["access_token"].as_str().map(Secret::new);
    token.ok_or_else(|| Trouble::Never("the login's answer has no access_token".to_owned()))
}
