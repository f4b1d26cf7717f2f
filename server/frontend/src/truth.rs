//! What both protocols do about ground truth.

use std::sync::Arc;

use serde_json::Value;
use server_base::{Kind, Version};
use server_truth::{Label, Recorded, Truth, TruthError};
use tokio::sync::oneshot;

use crate::dispatch::Shared;

/// Why not.
pub(crate) struct Refused {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

impl From<TruthError> for Refused {
    fn from(error: TruthError) -> Refused {
        Refused { kind: error.kind(), text: error.to_string() }
    }
}

/// Labels of one model; returns when they are on the disk.
pub(crate) async fn record(
    shared: &Shared,
    model: &str,
    labels: Vec<Label>,
) -> Result<Recorded, Refused> {
    let truth = truth(shared, model)?;
    let (tell, told) = oneshot::channel();
    // Nobody who listens any more is no error.
    truth.record(model, labels, Box::new(move |it| drop(tell.send(it))));
    match told.await {
        Ok(Err(TruthError::NoTruth(model))) => Err(none(shared, &model)),
        Ok(recorded) => Ok(recorded?),
        Err(_) => Err(TruthError::Closed.into()),
    }
}

/// How right a model is.
pub(crate) async fn performance(
    shared: &Shared,
    model: &str,
    version: Option<Version>,
) -> Result<Value, Refused> {
    let truth = truth(shared, model)?;
    let (tell, told) = oneshot::channel();
    truth.show(model, version, Box::new(move |it| drop(tell.send(it))));
    match told.await {
        Ok(Some(shown)) => {
            let found = shown["versions"].as_array().is_some_and(|it| !it.is_empty());
            match version.filter(|_| !found) {
                Some(version) => {
                    let text = format!("version {version} of model {model:?} is not judged");
                    Err(Refused { kind: Kind::NotFound, text })
                }
                None => Ok(shown),
            }
        }
        Ok(None) => Err(none(shared, model)),
        Err(_) => Err(TruthError::Busy.into()),
    }
}

fn truth<'a>(shared: &'a Shared, model: &str) -> Result<&'a Arc<Truth>, Refused> {
    shared.truth.as_ref().ok_or_else(|| none(shared, model))
}

/// It is not there, or asks for no labels.
fn none(shared: &Shared, model: &str) -> Refused {
    if shared.lifecycle.index().iter().any(|it| it.model.as_str() == model) {
        return TruthError::NoTruth(model.to_owned()).into();
    }
    Refused {
        kind: Kind::NotFound,
        text: format!("Request for unknown model: '{model}' is not found"),
    }
}
