//! Versions beside each other for longer than a rollout: callers that stay with one, copies for another.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::{Method, StatusCode};
use proto::inference::InferParameter;
use proto::inference::infer_parameter::ParameterChoice;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::house::{House, PATIENCE, json, message, put, values};

const DOUBLE: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
const COPY: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = copy x\non 13 fail\non 99 hang\n";
const LABELS: &str = "version_policy = 'all'\n[labels]\nstable = 1\ncanary = 2\n[traffic]\n";
const SHADOW: &str = "weights = { stable = 1 }\nshadow = { version = 'canary', percent = 100 }\n";

/// A server with two versions of a model.
async fn house(model: &str, settings: &str) -> House {
    let path = |it: &str| format!("{model}/{it}");
    let files = [
        (path("model.toml"), format!("{LABELS}{settings}")),
        (path("1/model.fake"), DOUBLE.to_owned()),
        (path("2/model.fake"), COPY.to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
    // A build without rollouts has no use for it, and says so.
    let interval = cfg!(feature = "rollouts").then_some(10);
    House::with(&files, |args| args.rollout_interval_ms = interval).await
}

/// What is told of a model's traffic.
async fn traffic(house: &House, model: &str) -> Value {
    let (status, text) = house.http().await.get(&format!("/v2/models/{model}/traffic")).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Waits until that is told.
async fn tells(house: &House, model: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let view = traffic(house, model).await;
            if is_so(&view) {
                return view;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(view) => view,
        Err(_) => panic!("{:#}", traffic(house, model).await),
    }
}

/// The sample of a series that has these labels.
async fn sample(house: &House, name: &str, labels: &[&str]) -> Option<f64> {
    let (_, text) = house.metrics().await.get("/metrics").await;
    let is = |it: &&str| it.starts_with(name) && labels.iter().all(|label| it.contains(label));
    let line = text.lines().filter(|it| !it.starts_with('#')).find(is)?.to_owned();
    line.rsplit(' ').next().and_then(|it| it.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_compared_and_never_returned() {
    let mut house = house("copied", SHADOW).await;
    let (mut http, mut grpc) = (house.http().await, house.grpc().await);
    for asked in [1, 2, 3] {
        let (status, text) = http.infer("copied", &[[1.0, 3.0]]).await;
        assert!(status == StatusCode::OK && text.contains("[2.0,6.0]"), "{text}");
        let path = "/v2/models/copied/versions/stable/infer";
        let (status, text) = http.send(Method::POST, path, json(&[[1.0, 3.0]])).await;
        assert!(status == StatusCode::OK && text.contains("[2.0,6.0]"), "{text}");
        let answer = grpc.model_infer(message("copied", &[[1.0, 3.0]])).await.expect("answered");
        assert_eq!(answer.metadata().get("x-salver-version").expect("told"), "1");
        assert_eq!(values(answer.get_ref()), [2.0, 6.0]);
        tells(&house, "copied", |it| it["shadow"]["compared"] == 2 * asked).await;
    }
    let nobody =
        json!({ "busy": 0, "under_way": 0, "refused": 0, "unanswered": 0, "uncompared": 0 });
    let expect = json!({
        "model": "copied", "labels": { "stable": 1, "canary": 2 }, "shares": { "1": 1.0 },
        "sticky": null,
        "shadow": {
            "version": 2, "percent": 100.0, "compared": 6,
            "disagreements": { "answer": 0, "nonfinite": 0 },
            "difference": { "pairs": 6, "mean": -2.0, "max": 3.0 },
            "failed": 0, "left_out": nobody, "unlogged": 0,
        },
    });
    assert_eq!(traffic(&house, "copied").await, expect);
    // A copy that fails is nobody's failure.
    let (status, text) = http.infer("copied", &[[13.0, 1.0]]).await;
    assert!(status == StatusCode::OK && text.contains("[26.0,2.0]"), "{text}");
    tells(&house, "copied", |it| it["shadow"]["failed"] == 1).await;
    let of = ["model=\"copied\"", "version=\"2\""];
    assert_eq!(sample(&house, "salver_shadow_compared_total", &of).await, Some(6.0));
    assert_eq!(sample(&house, "salver_shadow_failed_total", &of).await, Some(1.0));
    assert_eq!(sample(&house, "salver_shadow_mean_difference", &of).await, Some(-2.0));
    let busy = [of[0], of[1], "reason=\"busy\""];
    assert_eq!(sample(&house, "salver_shadow_left_out_total", &busy).await, Some(0.0));
    let asked = sample(&house, "salver_requests_total", &of).await.unwrap_or_default();
    assert_eq!(asked, 0.0, "nobody has asked it");
    drop((http, grpc));
    assert!(house.stop(PATIENCE).await, "nothing is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_copies() {
    let mut house = house("hanging", SHADOW).await;
    let mut http = house.http().await;
    for _ in 0..100 {
        let (status, text) = http.infer("hanging", &[[99.0, 1.0]]).await;
        assert!(status == StatusCode::OK && text.contains("[198.0,2.0]"), "{text}");
    }
    let view = traffic(&house, "hanging").await;
    let left_out = view["shadow"]["left_out"]["busy"].as_u64().expect("a number");
    // What hangs is a batch, and eight wait behind it.
    assert!(left_out >= 80 && view["shadow"]["compared"] == 0, "{view:#}");
    house.fake.hangs().open();
    tells(&house, "hanging", |it| it["shadow"]["compared"] == 100 - left_out).await;
    drop(http);
    assert!(house.stop(PATIENCE).await, "nothing is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_begin_and_end_with_the_file() {
    let mut house = house("moved", "weights = { stable = 1 }\n").await;
    assert_eq!(traffic(&house, "moved").await["shadow"], Value::Null);
    let settings = |it: &str| put(house.root.path(), "moved/model.toml", &format!("{LABELS}{it}"));
    settings(SHADOW);
    tells(&house, "moved", |it| it["shadow"]["version"] == 2).await;
    let mut http = house.http().await;
    http.infer("moved", &[[1.0, 3.0]]).await;
    tells(&house, "moved", |it| it["shadow"]["compared"] == 1).await;
    // What it has come to is known on while nothing about the copies changes.
    settings(&format!("sticky = 'x-user'\n{SHADOW}"));
    tells(&house, "moved", |it| it["sticky"] == "x-user" && it["shadow"]["compared"] == 1).await;
    // The one that answered is now the one that is asked beside it.
    settings("weights = { canary = 1 }\nshadow = { version = 'stable', percent = 100 }\n");
    tells(&house, "moved", |it| it["shadow"]["version"] == 1 && it["shares"]["2"] == 1.0).await;
    let (_, text) = http.infer("moved", &[[1.0, 3.0]]).await;
    assert!(text.contains("[1.0,3.0]"), "{text}");
    let view = tells(&house, "moved", |it| it["shadow"]["compared"] == 1).await;
    assert_eq!(view["shadow"]["difference"]["mean"], 2.0, "{view:#}");
    // A version that is not there gets none, and its requests are answered.
    std::fs::remove_dir_all(house.root.path().join("moved/1")).expect("removed");
    tells(&house, "moved", |it| it["shadow"].is_null()).await;
    assert_eq!(http.infer("moved", &[[1.0, 3.0]]).await.0, StatusCode::OK);
    drop(http);
    assert!(house.stop(PATIENCE).await, "nothing is left");
}

#[cfg(feature = "rollouts")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_makes_its_own_copies() {
    let mut house = house("rolled", SHADOW).await;
    let post = async |path: &str, body: Value| {
        let path = format!("/v2/models/rolled/{path}");
        let (status, text) = house.http().await.send(Method::POST, &path, body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{text}");
    };
    let plan = json!({ "shadow_rows": 1_000_000, "shadow_percent": "100", "latency": false });
    post("rollout", json!({ "to": 2, "plan": plan })).await;
    tells(&house, "rolled", |it| it["shadow"].is_null()).await;
    // The rollout comes to its own copies, and these are all there are.
    let mut http = house.http().await;
    let wait = async {
        loop {
            http.infer("rolled", &[[1.0, 3.0]]).await;
            let (_, text) = http.get("/v2/models/rolled/rollout").await;
            let view: Value = serde_json::from_str(&text).expect("JSON");
            if view["counts"]["pairs"]["pairs"].as_u64() >= Some(3) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("pairs are compared");
    assert_eq!(traffic(&house, "rolled").await["shadow"], Value::Null);
    post("rollout/abort", json!({})).await;
    post("forget", json!({})).await;
    tells(&house, "rolled", |it| it["shadow"]["version"] == 2).await;
    http.infer("rolled", &[[1.0, 3.0]]).await;
    tells(&house, "rolled", |it| it["shadow"]["compared"] == 1).await;
    drop(http);
    assert!(house.stop(PATIENCE).await, "nothing is left");
}

#[cfg(feature = "parquet")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_copies_are_answered_otherwise_is_logged() {
    let log = tempfile::tempdir().expect("scratch");
    let settings = format!("{LABELS}{SHADOW}[log]\nsample = 0.0\ndisagreement = true\n");
    let other = "input x FP32 rows,2\noutput y FP32 rows,2 = constant 0.5\n";
    let files = [
        ("disputed/model.toml", &*settings),
        ("disputed/1/model.fake", DOUBLE),
        ("disputed/2/model.fake", other),
    ];
    let mut house =
        House::with(&files, |args| args.log.log_dir = Some(log.path().to_path_buf())).await;
    let mut http = house.http().await;
    // The largest of the first answer is its second element, of the other's its first; and then of both.
    http.infer("disputed", &[[1.0, 2.0]]).await;
    http.infer("disputed", &[[2.0, 1.0]]).await;
    let view = tells(&house, "disputed", |it| it["shadow"]["compared"] == 2).await;
    assert_eq!(view["shadow"]["disagreements"]["answer"], 1, "{view:#}");
    let wait = async {
        for version in ["version=\"1\"", "version=\"2\""] {
            let of = ["model=\"disputed\"", version];
            while sample(&house, "salver_log_records_written_total", &of).await != Some(1.0) {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("both rows are written");
    drop(http);
    assert!(house.stop(PATIENCE).await, "nothing is left");
}

/// The version that answers a request with such parameters, over HTTP in these ways.
async fn by_http(house: &House, parameters: &str, way: &str) -> u64 {
    let inputs = r#""inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.0,3.0]}]"#;
    let body = format!(r#"{{{inputs},"parameters":{parameters}}}"#);
    let mut head = "POST /v2/models/kept/infer HTTP/1.1\r\nhost: here\r\n".to_owned();
    let body = match way {
        "plain" => {
            write!(head, "content-length: {}\r\n\r\n", body.len()).expect("text");
            body
        }
        "binary" => {
            let size = r#""shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}"#;
            let body = format!(r#"{{"inputs":[{{"name":"x",{size}}}],"parameters":{parameters}}}"#);
            let (json, all) = (body.len(), body.len() + 8);
            write!(head, "inference-header-content-length: {json}\r\n").expect("text");
            write!(head, "content-length: {all}\r\n\r\n").expect("text");
            body + &"\0".repeat(8)
        }
        "chunked" => {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        }
        _ => unreachable!("{way}"),
    };
    let mut stream = TcpStream::connect(house.at.http).await.expect("connects");
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
    let mut text = Vec::new();
    while !text.ends_with(b"}]}") {
        let mut part = [0; 1_024];
        let read = stream.read(&mut part).await.expect("answered");
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&part[..read]);
    }
    let text = String::from_utf8_lossy(&text).to_lowercase();
    let (_, version) = text.split_once("x-salver-version: ").unwrap_or_else(|| panic!("{text}"));
    let version = version.split("\r\n").next().expect("a line").parse().expect("a number");
    let said = format!("\"model_version\":\"{version}\"");
    assert!(text.contains(&said), "{text}");
    version
}

async fn by_grpc(house: &House, choice: ParameterChoice) -> u64 {
    let mut message = message("kept", &[[1.0, 3.0]]);
    let parameter = InferParameter { parameter_choice: Some(choice) };
    message.parameters.insert("session".to_owned(), parameter);
    let answer = house.grpc().await.model_infer(message).await.expect("answered");
    let told = answer.metadata().get("x-salver-version").expect("told").to_str().expect("digits");
    assert_eq!(told, answer.get_ref().model_version);
    told.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_stay_by_a_parameter() {
    let settings = "weights = { stable = 1, canary = 1 }\nsticky = 'parameter:session'\n";
    let mut house = house("kept", settings).await;
    let mut counts = BTreeMap::new();
    for number in 0..40 {
        let text = format!(r#"{{"a":[1],"session":"session-{number}"}}"#);
        let version = by_http(&house, &text, "plain").await;
        for way in ["plain", "binary", "chunked"] {
            assert_eq!(by_http(&house, &text, way).await, version, "{way} {text}");
        }
        let choice = ParameterChoice::StringParam(format!("session-{number}"));
        assert_eq!(by_grpc(&house, choice).await, version, "{text}");
        *counts.entry(version).or_insert(0) += 1;
    }
    // These are the same every time: it is a hash that shares them out.
    assert!(counts.len() == 2 && counts.values().all(|it| *it > 3), "{counts:?}");
    for number in [0, 1, 2, 3] {
        let text = format!(r#"{{"session":{number}}}"#);
        let version = by_http(&house, &text, "plain").await;
        assert_eq!(by_grpc(&house, ParameterChoice::Uint64Param(number)).await, version, "{text}");
        assert_eq!(by_http(&house, &text, "chunked").await, version, "{text}");
    }
    // Without the parameter chance decides.
    let mut seen = [false; 2];
    let wait = async {
        while seen != [true; 2] {
            seen[usize::from(by_http(&house, r#"{"session":null}"#, "plain").await == 2)] = true;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("both versions answer");
    assert!(house.stop(PATIENCE).await, "nothing is left");
}
