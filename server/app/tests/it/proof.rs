//! Versions prove themselves before they are ready, and what came of it is shown and written down.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backend_tract::Tract;
use http::StatusCode;
use serde_json::{Value, json};
use server_base::{ModelName, Version};
use server_lifecycle::{Defaults, Engines, LoadPolicy, ModelConfig, Single, Transition};
use server_serving::Cores;

use crate::house::{House, PATIENCE, json, put};

const DOUBLE: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
const COPY: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = copy x\n";

fn lines(state: &Path) -> Vec<Value> {
    let text = fs::read_to_string(state.join("audit.jsonl")).expect("a log");
    text.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect()
}

#[tokio::test]
async fn what_the_server_answered_is_what_the_next_version_proves() {
    let state = tempfile::tempdir().expect("scratch");
    let mut house = House::with(&[("m/1/model.fake", DOUBLE)], |args| {
        args.state = Some(state.path().to_path_buf());
    })
    .await;
    let mut client = house.http().await;
    let mut golden = String::new();
    for rows in [[1.0, 0.1], [-3.5, 1e-7]] {
        let (status, answer) = client.infer("m", &[rows]).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        golden += &format!("{{\"request\":{},\"response\":{answer}}}\n", json(&[rows]));
    }
    put(house.root.path(), "m/golden.jsonl", &golden);

    put(house.root.path(), "m/2/model.fake", COPY);
    house.shows("m/1:AVAILABLE m/2:END").await;
    let (_, answer) = client.infer("m", &[[1.0, 2.0]]).await;
    assert!(answer.contains("\"data\":[2.0,4.0]"), "the old version answers: {answer}");
    let (_, series) = house.metrics().await.get("/metrics").await;
    let refused = "salver_model_refusals_total{model=\"m\",reason=\"golden\"} 1";
    assert!(series.contains(refused), "{series}");

    put(house.root.path(), "m/3/model.fake", DOUBLE);
    house.shows("m/1:END m/2:END m/3:AVAILABLE").await;
    let (_, metadata) = client.get("/v2/models/m").await;
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let report = "2 requests, 4 elements, 0 off, largest difference 0.000e0";
    assert_eq!(metadata["parameters"], json!({ "proof.golden": report }));

    assert!(house.stop(PATIENCE).await);
    let short = |it: &Value| {
        let word = |key: &str| it[key].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {} {}",
            it["version"],
            word("event"),
            word("result"),
            word("by"),
            word("rule")
        )
    };
    let lines = lines(state.path());
    assert_eq!(
        lines.iter().map(short).collect::<Vec<_>>(),
        [
            "1 load available repository -",
            "2 load refused repository golden",
            "3 load available repository -",
            "1 unload unloaded repository -",
            "3 unload unloaded shutdown -",
        ]
    );
    let digests: BTreeSet<&str> = lines.iter().filter_map(|it| it["digest"].as_str()).collect();
    assert_eq!(digests.len(), 2, "1 and 3 are the same bytes");
}

/// What was logged of the version in service is what the next one has to answer alike.
#[cfg(feature = "parquet")]
#[tokio::test]
async fn what_was_logged_is_what_the_next_version_is_asked() {
    let log = tempfile::tempdir().expect("scratch");
    let toml =
        "[log]\nmode = \"at_least_once\"\n[proof]\nreplay = 2\nreplay_difference_max = 0.5\n";
    let files = [("m/1/model.fake", DOUBLE), ("m/model.toml", toml)];
    let mut house = House::with(&files, |args| {
        args.log.log_dir = Some(log.path().to_path_buf());
        args.log.log_roll_ms = Some(10);
    })
    .await;
    let mut client = house.http().await;
    // The last two are alike for both; the first is not.
    for rows in [[3.0, 5.0], [0.0, 0.25], [0.125, 0.0]] {
        let logged = || parquet_files(&log.path().join("parquet"));
        let before = logged();
        let (status, answer) = client.infer("m", &[rows]).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        // Each in a file of its own.
        tokio::time::timeout(PATIENCE, async {
            while logged() <= before {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("it is delivered");
    }
    put(house.root.path(), "m/2/model.fake", COPY);
    house.shows("m/1:END m/2:AVAILABLE").await;
    let (_, metadata) = client.get("/v2/models/m").await;
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let report = "2 requests, 2 rows, 0 of another class, 2 off, largest difference 2.500e-1; as version 1 \
                  has answered";
    assert_eq!(metadata["parameters"], json!({ "proof.replay": report }));

    // Of version 2 nothing is logged yet, so that the next is not held against what version 1 has answered.
    put(house.root.path(), "m/3/model.fake", DOUBLE);
    house.shows("m/1:END m/2:END m/3:AVAILABLE").await;
    let before = parquet_files(&log.path().join("parquet"));
    client.infer("m", &[[3.0, 5.0]]).await;
    tokio::time::timeout(PATIENCE, async {
        while parquet_files(&log.path().join("parquet")) <= before {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is delivered");
    put(house.root.path(), "m/4/model.fake", COPY);
    house.shows("m/1:END m/2:END m/3:AVAILABLE m/4:END").await;
    let (_, series) = house.metrics().await.get("/metrics").await;
    let refused = "salver_model_refusals_total{model=\"m\",reason=\"replay\"} 1";
    assert!(series.contains(refused), "{series}");
    assert!(house.stop(PATIENCE).await);
}

/// Files of the log that are whole.
#[cfg(feature = "parquet")]
fn parquet_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let count = entries.map(|it| {
        let path = it.path();
        let name = it.file_name().to_string_lossy().into_owned();
        match path.is_dir() && !name.starts_with('.') {
            true => parquet_files(&path),
            false => usize::from(name.ends_with(".parquet")),
        }
    });
    count.sum()
}

/// Folders as MLflow 3.17 wrote them, loaded by an engine that reads them.
#[test]
fn models_of_mlflow_prove_themselves() {
    let root = tempfile::tempdir().expect("scratch");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proof/fixtures");
    let engines = Engines::new(vec![Arc::new(Tract)], Vec::new());
    let defaults = Defaults {
        instances: 1,
        transition: Transition::Availability,
        load: LoadPolicy::Eager,
        engines: engines.names(),
    };
    let load = |name: &str, from: &str| {
        let folder = root.path().join(name).join("1");
        fs::create_dir_all(&folder).expect("folders");
        for file in ["MLmodel", "serving_input_example.json", "model.onnx"] {
            let from = fixtures.join(if file == "MLmodel" { from } else { name });
            fs::copy(from.join(file), folder.join(file)).expect("copied");
        }
        let single = Single::find(root.path(), &ModelName::new(name).expect("a name"), &engines);
        let config = ModelConfig::parse("[proof]\nlatency_ms_max = 60000", &defaults);
        let config = config.expect("no faults");
        let alone = single.expect("there").load((&engines, &Cores::new(1)), Version(1), &config)?;
        let facts = alone.servable().plan().facts.clone();
        assert!(alone.stop(std::time::Instant::now() + Duration::from_secs(20)));
        Ok::<_, String>(facts)
    };
    for name in ["unnamed", "named", "columns"] {
        let facts = load(name, name).expect("proves itself");
        assert_eq!(facts["mlflow.version"], "3.17.2", "{name}");
        assert_eq!(facts["proof.example"], "runs, all numbers finite", "{name}");
        assert!(facts.contains_key("proof.latency_ms"), "{name}");
    }
    // What another model declares is not what this one's graph is.
    let error = load("unnamed", "named").expect_err("it has no such outputs");
    let text = "MLmodel has the output 'label', and the graph has probabilities";
    assert!(error.contains(text), "{error}");
}
