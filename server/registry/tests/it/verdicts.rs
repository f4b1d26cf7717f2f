//! What registries are told of versions.

use std::sync::{Arc, Mutex};

use server_registry::{Alias, RegistryError, Told, Uri, Verdict};

use crate::house::House;
use crate::liar::{Asked, Liar, reply};
use crate::protocols::json;

const API: &str = "/api/2.0/mlflow/";

const TAG: &str = "POST model-versions/set-tag";
const LOOK: &str = "GET registered-models/alias";
const MOVE: &str = "POST registered-models/alias";

/// An MLflow server whose alias names this version, or none; `is_down`: what it names cannot be read.
async fn mlflow(names: &Arc<Mutex<Option<u64>>>, is_down: bool) -> Liar {
    let names = Arc::clone(names);
    Liar::start(move |Asked { line, body, .. }| {
        let mut names = names.lock().expect("not poisoned");
        if line.contains("model-versions/set-tag") {
            return json("{}");
        }
        assert!(line.contains("registered-models/alias"), "{line}");
        if line.starts_with("POST") {
            let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert_eq!((&body["name"], &body["alias"]), (&"wine".into(), &"champion".into()));
            *names = body["version"].as_str().and_then(|it| it.parse().ok());
            return json("{}");
        }
        match *names {
            _ if is_down => reply("503 Down", ""),
            Some(it) => json(format!(r#"{{"model_version": {{"version": "{it}"}}}}"#)),
            None => reply("400 Bad Request", r#"{"message": "alias champion not found."}"#),
        }
    })
    .await
}

/// Version 2 of a rollout from 1 was promoted, and the alias names `before`. Where it is afterwards, and what came of
/// telling.
async fn tell(
    (before, only_from, is_down): (Option<u64>, Option<u64>, bool),
) -> (Option<u64>, Vec<String>, Result<Told, RegistryError>) {
    let names = Arc::new(Mutex::new(before));
    let liar = mlflow(&names, is_down).await;
    let uri: Uri = format!("mlflow://{}/wine@champion", liar.address).parse().expect("an address");
    let verdict = Verdict {
        version: 2,
        tags: vec![("salver.verdict".to_owned(), "promoted".to_owned())],
        alias: Some(Alias { name: "champion".to_owned(), to: 2, only_from }),
        evidence: vec!["{}".to_owned()],
    };
    let told = House::new().registries().tell(&uri, &verdict).await;
    let after = *names.lock().expect("not poisoned");
    let line = |it: &String| it.split('?').next().unwrap_or_default().replace(API, "");
    let asked = liar.asked().iter().map(line).collect();
    (after, asked, told)
}

#[tokio::test]
async fn an_alias_goes_to_what_serves() {
    for before in [None, Some(1), Some(2), Some(3)] {
        let (after, asked, told) = tell((before, None, false)).await;
        assert_eq!(after, Some(2), "{before:?}");
        assert_eq!(asked, [TAG, MOVE, TAG], "{before:?}");
        assert!(matches!(told, Ok(Told::Whole)), "{told:?}");
    }
}

#[tokio::test]
async fn an_alias_that_was_moved_since_stays_where_it_is() {
    for before in [None, Some(2), Some(3)] {
        let (after, asked, told) = tell((before, Some(1), false)).await;
        assert_eq!(after, before);
        assert_eq!(asked, [TAG, LOOK, TAG], "{before:?}");
        assert!(matches!(told, Ok(Told::Whole)), "{told:?}");
    }
    // Nobody had moved it: the first telling was lost.
    let (after, asked, told) = tell((Some(1), Some(1), false)).await;
    assert_eq!(after, Some(2));
    assert_eq!(asked, [TAG, LOOK, MOVE, TAG]);
    assert!(matches!(told, Ok(Told::Whole)), "{told:?}");
    // It is not moved blindly.
    let (after, _, told) = tell((Some(3), Some(1), true)).await;
    assert_eq!(after, Some(3));
    assert!(told.expect_err("it is down").to_string().contains("503"));
}
