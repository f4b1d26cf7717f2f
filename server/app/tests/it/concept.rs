//! Concept drift, through a live server: what goes in looks as it did, and answers become wrong more often.

use std::fs;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use server_app::cli::LogArgs;

use crate::house::{House, Http, PATIENCE};

/// Of two numbers the larger says which class.
const ECHO: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";

/// Windows of a second, which are complete as soon as they are over.
const TRUTH: &str = "max_batch_size = 64\n[log]\n[truth]\ntask = \"classification\"\nwindow_s = 1\nhorizon_s = 0\n\
                     reference_rows = 1000\nfalse_alarm_windows = 720\n";

/// Rows of a request.
const ROWS: u32 = 50;

/// Asks once, and tells the truth of it: of so many rows it is another.
async fn ask(client: &mut Http, id: &str, wrong: u32) {
    let rows: Vec<[f32; 2]> = (0..ROWS).map(|_| [0.1, 0.4]).collect();
    let tensor = json!({"name": "x", "shape": [ROWS, 2], "datatype": "FP32", "data": rows});
    let body = json!({"id": id, "inputs": [tensor]}).to_string();
    let (status, answer) = client.send(Method::POST, "/v2/models/concept/infer", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let truth: Vec<u8> = (0..ROWS).map(|it| u8::from(it >= wrong)).collect();
    let body = json!({"labels": [{"id": id, "value": truth}]}).to_string();
    let (status, answer) = client.send(Method::POST, "/v2/models/concept/labels", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// Windows that were held against the reference, the last first.
async fn judged(client: &mut Http) -> Vec<Value> {
    let (status, shown) = client.get("/v2/models/concept/performance").await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let windows = shown["versions"][0]["windows"].as_array().cloned().unwrap_or_default();
    windows.into_iter().map(|it| it["concept_drift"].clone()).filter(|it| !it.is_null()).collect()
}

/// Asks with so many wrong rows in each request, until that is shown.
async fn until(client: &mut Http, wrong: u32, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let wait = async {
        for turn in 0_u64.. {
            ask(client, &format!("{wrong}-{turn}"), wrong).await;
            let windows = judged(client).await;
            if is_so(&windows) {
                return windows;
            }
        }
        Vec::new()
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it is shown")
}

#[tokio::test]
async fn errors_that_become_more_frequent_are_an_alarm() {
    let (log, state) =
        (tempfile::tempdir().expect("scratch"), tempfile::tempdir().expect("scratch"));
    let files = [("concept/model.toml", TRUTH), ("concept/1/model.fake", ECHO)];
    let (log_dir, folder) = (Some(log.path().to_path_buf()), state.path().to_path_buf());
    let house = House::with(&files, |args| {
        args.log = LogArgs { log_dir, ..LogArgs::default() };
        args.state = Some(folder);
    });
    let mut house = house.await;
    let mut client = house.http().await;
    // One row in ten: two windows are held against what was learned of those before.
    let quiet = until(&mut client, ROWS / 10, |it| it.len() >= 2).await;
    assert!(quiet.iter().all(|it| it["is_alarm"] == false), "{quiet:?}");
    assert!(quiet.iter().all(|it| it["before"] == 0.1 && it["window_p"] == 1.0), "{quiet:?}");
    // Four rows in ten.
    let is_alarm = |it: &[Value]| it.iter().any(|it| it["is_alarm"] == true);
    let windows = until(&mut client, 4 * ROWS / 10, is_alarm).await;
    // The first one: a busy machine may have told more than one meanwhile.
    let alarm = windows.iter().rev().find(|it| it["is_alarm"] == true).expect("an alarm");
    let number = |key: &str| alarm[key].as_f64().unwrap_or(f64::NAN);
    // The window in which it began has rows of both.
    let effect = number("after") - 0.1;
    assert!(
        (number("effect") - effect).abs() < 1e-9 && (0.0..=0.3 + 1e-9).contains(&effect),
        "{alarm}"
    );
    assert!(number("before_rows") >= 1_000.0 && number("after_rows") >= f64::from(ROWS), "{alarm}");
    assert!(
        number("after_rows") >= number("window_rows") && number("window_rows") > 0.0,
        "{alarm}"
    );
    assert!(number("evidence") >= 720.0 && number("needed") == 720.0, "{alarm}");
    assert!(number("window_p") < 1.0 && number("window_error") > number("bound"), "{alarm}");

    let (_, metrics) = house.metrics().await.get("/metrics").await;
    let series =
        "salver_performance_alarms_total{model=\"concept\",version=\"1\",kind=\"concept_drift\"} ";
    let told = metrics.lines().find_map(|it| it.strip_prefix(series)?.parse().ok());
    assert!(told.is_some_and(|it: u64| it >= 1), "{metrics}");
    for name in ["salver_concept_drift_evidence", "salver_concept_drift_effect"] {
        assert!(metrics.contains(&format!("{name}{{model=\"concept\",version=\"1\"}} ")), "{name}");
    }
    assert!(house.stop(PATIENCE).await, "nothing is left");
    // The audit has the same, once for each alarm.
    let text = fs::read_to_string(state.path().join("audit.jsonl")).expect("an audit");
    let lines = text.lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON"));
    let alarms: Vec<Value> = lines.filter(|it| it["event"] == "alarm").collect();
    let of_change = alarms.iter().filter(|it| it["kind"] == "concept_drift").collect::<Vec<_>>();
    let first = of_change.first().expect("an alarm");
    assert_eq!((&first["model"], &first["version"]), (&json!("concept"), &json!(1)));
    for key in ["effect", "window_p", "before_rows", "after_rows", "evidence"] {
        assert_eq!(first["evidence"][key], alarm[key], "{key}: {text}");
    }
    let words = first["text"].as_str().expect("words");
    assert!(words.contains("+0.") && words.contains("rows of the reference"), "{words}");
}
