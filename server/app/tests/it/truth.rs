//! Labels come in over HTTP and gRPC, meet what was predicted, and show how right a model is.

use std::path::Path;

use http::{Method, StatusCode};
use proto::salver::label::Value as Labelled;
use proto::salver::labels_client::LabelsClient;
use proto::salver::{Label, RecordRequest};
use serde_json::{Value, json};
use server_app::cli::LogArgs;
use tonic::Code;
use tonic::transport::Channel;

use crate::house::{House, Http, PATIENCE, message, metrics, put};

/// Two numbers for two classes: the larger says which.
const ECHO: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
const TRUTH: &str = "[log]\n[truth]\ntask = \"classification\"\nclasses = [\"no\", \"yes\"]\n";

async fn house(files: &[(&str, &str)], log: &Path) -> House {
    let log_dir = Some(log.to_path_buf());
    House::with(files, |args| args.log = LogArgs { log_dir, ..LogArgs::default() }).await
}

/// A prediction with a name.
async fn ask(client: &mut Http, model: &str, id: &str, rows: &[[f32; 2]]) {
    let rows = json!({"name": "x", "shape": [rows.len(), 2], "datatype": "FP32", "data": rows});
    let body = json!({"id": id, "inputs": [rows]}).to_string();
    let (status, answer) =
        client.send(Method::POST, &format!("/v2/models/{model}/infer"), body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

async fn label(client: &mut Http, model: &str, body: &Value) -> (StatusCode, Value) {
    let path = format!("/v2/models/{model}/labels");
    let (status, answer) = client.send(Method::POST, &path, body.to_string()).await;
    (status, serde_json::from_str(&answer).expect("JSON"))
}

async fn performance(client: &mut Http, path: &str) -> (StatusCode, Value) {
    let (status, answer) = client.get(&format!("/v2/models/{path}/performance")).await;
    (status, serde_json::from_str(&answer).expect("JSON"))
}

async fn grpc(house: &House) -> LabelsClient<Channel> {
    let endpoint = Channel::from_shared(format!("http://{}", house.at.grpc)).expect("a URL");
    LabelsClient::new(endpoint.connect().await.expect("connects"))
}

#[tokio::test]
async fn labels_meet_predictions_over_either_protocol() {
    let log = tempfile::tempdir().expect("scratch");
    let files = [("t/model.toml", TRUTH), ("t/1/model.fake", ECHO)];
    let mut house = house(&files, log.path()).await;
    let mut client = house.http().await;
    ask(&mut client, "t", "a", &[[0.1, 0.4], [0.4, 0.1]]).await;
    let mut request = message("t", &[[0.1, 0.4]]);
    request.id = "b".to_owned();
    house.grpc().await.model_infer(request).await.expect("an answer");

    let body =
        json!({"labels": [{"id": "a", "value": ["yes", "yes"]}, {"id": "c", "value": "no"}]});
    let (status, answer) = label(&mut client, "t", &body).await;
    let expect = json!({"recorded": 3, "joined": 2, "corrected": 0, "waiting": 1});
    assert_eq!((status, answer), (StatusCode::OK, expect));
    // Over gRPC, one that is new and one that is mended.
    let of = |id: &str, row, text: &str| Label {
        id: id.to_owned(),
        row,
        value: Some(Labelled::Text(text.to_owned())),
        timestamp_us: Some(1_790_000_000_000_000),
    };
    let labels = vec![of("b", 0, "no"), of("a", 1, "no")];
    let request = RecordRequest { model_name: "t".to_owned(), labels };
    let answer = grpc(&house).await.record(request).await.expect("recorded").into_inner();
    assert_eq!((answer.recorded, answer.joined, answer.corrected), (2, 2, 1));
    // The prediction comes after its label.
    ask(&mut client, "t", "c", &[[0.4, 0.1]]).await;
    let (status, shown) = until_labelled(&mut client, 4).await;
    assert_eq!(status, StatusCode::OK);
    let so_far = &shown["versions"][0]["so_far"];
    assert_eq!((&so_far["predicted"], &so_far["metrics"]["accuracy"]), (&json!(4), &json!(0.75)));
    assert_eq!(performance(&mut client, "t/versions/1").await.1["versions"][0]["version"], 1);
    assert!(metrics().render().contains("salver_labels_total{model=\"t\",result=\"corrected\"} 1"));

    assert!(house.stop(PATIENCE).await, "nothing is left");
    // What a training job reads.
    let folder = log.path().join("labels/model=t");
    // Of both days, if it was midnight.
    let days = std::fs::read_dir(folder).expect("days").map(|it| it.expect("a day").path());
    let lines = days.map(|it| std::fs::read_to_string(it.join("labels.jsonl")).expect("lines"));
    let lines: String = lines.collect();
    assert_eq!(lines.lines().filter(|it| !it.is_empty()).count(), 5, "{lines}");
    assert!(lines.contains(r#""inference_id":"b","row_index":0,"label":"no""#), "{lines}");
}

/// Predictions are looked at twenty times a second.
async fn until_labelled(client: &mut Http, rows: u64) -> (StatusCode, Value) {
    let wait = async {
        loop {
            let (status, shown) = performance(client, "t").await;
            if shown["versions"][0]["so_far"]["labelled"] == rows {
                return (status, shown);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("they are joined")
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let log = tempfile::tempdir().expect("scratch");
    let files = [
        ("t/model.toml", TRUTH),
        ("t/1/model.fake", ECHO),
        ("plain/1/model.fake", ECHO),
        ("bad/model.toml", "[log]\n[truth]\noutput = \"z\"\n"),
        ("bad/1/model.fake", ECHO),
    ];
    let house = house(&files, log.path()).await;
    let mut client = house.http().await;
    let one = json!({"labels": [{"id": "a", "value": 1}]});
    for (model, body, status, what) in [
        ("nobody", &one, 404, "unknown model: 'nobody'"),
        ("plain", &one, 400, "model \"plain\" takes no labels: expected [log] and [truth]"),
        ("t", &one, 400, "labels[0]: value 1: expected one of no, yes"),
        ("t", &json!({}), 400, "labels: there is none"),
        ("t", &json!({"labels": 1}), 400, "invalid type: integer `1`, expected a sequence"),
    ] {
        let (got, answer) = label(&mut client, model, body).await;
        let text = answer["error"].as_str().unwrap_or_default().to_owned();
        assert!(got.as_u16() == status && text.contains(what), "{got} {text}");
    }
    for (path, status) in
        [("nobody", 404), ("plain", 400), ("t/versions/7", 404), ("t/versions/x", 400)]
    {
        assert_eq!(performance(&mut client, path).await.0.as_u16(), status, "{path}");
    }
    let request = RecordRequest { model_name: "t".to_owned(), labels: Vec::new() };
    let refused = grpc(&house).await.record(request).await.expect_err("no label");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "0 labels: expected 1 to 10000")
    );
    let index = house.server().lifecycle().index();
    let reason = index.iter().find(|it| it.model.as_str() == "bad").expect("a line").reason.clone();
    assert!(reason.contains("truth.output: \"z\" is none of y"), "{reason}");
}

#[tokio::test]
async fn without_a_log_there_is_nothing_to_hold_labels_against() {
    let house = House::new(&[("t/model.toml", TRUTH), ("t/1/model.fake", ECHO)]).await;
    let mut client = house.http().await;
    let body = json!({"labels": [{"id": "a", "value": "no"}]});
    let (status, answer) = label(&mut client, "t", &body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    put(house.root.path(), "t/model.toml", "[truth]\n");
    let told = house.server().lifecycle().load("t").await;
    assert!(told.is_err_and(|it| it.to_string().contains("expected a [log] as well")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_is_wrong_more_often_is_rolled_back() {
    let log = tempfile::tempdir().expect("scratch");
    let log_dir = Some(log.path().to_path_buf());
    let settings = format!("version_policy = {{ specific = [1] }}\n{TRUTH}");
    // Of two equal numbers the first is the class.
    let wrong = "input x FP32 rows,2\noutput y FP32 rows,2 = constant 0.5\n";
    let files =
        [("t/model.toml", settings.as_str()), ("t/1/model.fake", ECHO), ("t/2/model.fake", wrong)];
    let house = House::with(&files, |args| {
        args.rollout_interval_ms = Some(10);
        args.log = LogArgs { log_dir, ..LogArgs::default() };
    });
    let house = house.await;
    let mut client = house.http().await;
    let plan = json!({
        "steps": "50,100", "shadow_rows": 0, "latency": false, "step_requests_min": 100,
        "step_duration_s_min": 0, "step_labels_min": 1_000_000, "loss_increase_max": 0.05,
    });
    let body = json!({"to": 2, "plan": plan}).to_string();
    let (status, answer) = client.send(Method::POST, "/v2/models/t/rollout", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let rolled_back = async {
        for turn in 0_u64.. {
            let id = turn.to_string();
            ask(&mut client, "t", &id, &[[0.1, 0.4]]).await;
            label(&mut client, "t", &json!({"labels": [{"id": id, "value": "yes"}]})).await;
            let (_, view) = client.get("/v2/models/t/rollout").await;
            let view: Value = serde_json::from_str(&view).expect("JSON");
            if view["state"]["name"] == "rolled_back" {
                return view;
            }
        }
        Value::Null
    };
    let view = tokio::time::timeout(PATIENCE, rolled_back).await.expect("it goes back");
    let last = view["evidence"].as_array().and_then(|it| it.last()).expect("evidence");
    assert_eq!(last["cause"], json!({"guard": "loss"}), "{view:#}");
    let words = last["words"].as_str().expect("words");
    assert!(words.contains("mean loss: candidate 1.0000 of "), "{words}");
    let labels = &last["counts"]["labels"];
    assert_eq!((&labels["stable"]["mean"], &labels["canary"]["mean"]), (&json!(0.0), &json!(1.0)));
}
