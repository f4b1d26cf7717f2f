use serde_json::json;

use super::*;
use crate::event::{Cause, Evidence, Window};
use server_base::FindingKind;
use server_base::settings::Section;

fn event() -> Event {
    Event {
        key: "ab".repeat(32),
        rule: "drift".to_owned(),
        model: "wine".to_owned(),
        version: 3,
        cause: Cause::Finding(FindingKind::Drift),
        at: Moment(1_763_769_600_000),
        window: Some(Window { from: Moment(0), to: Moment(3_600_000), rows: 500 }),
        alarms: Some((2, 3)),
        evidence: Evidence { text: "psi {model} 0.4".to_owned(), ..Evidence::default() },
    }
}

fn config(text: &str) -> Config {
    config_at("http://host/base", text)
}

fn config_at(url: &str, text: &str) -> Config {
    let table: toml::Table = format!("[target.t]\nurl = \"{url}\"\n{text}").parse().expect("TOML");
    let mut root = Section::root(&table);
    let config = Config::read(&mut root);
    root.finish(config).expect("no faults")
}

/// What is sent: address, headers, body.
fn sent(text: &str, event: &Event) -> (String, Vec<(&'static str, String)>, Value) {
    let config = config(text);
    let variables = [("KEY".to_owned(), "whsec_c2VjcmV0".to_owned())];
    let courier = Courier::new(&config, variables.into_iter().collect());
    let target = &config.targets["t"];
    let shape = courier.submission(target, event, Moment(1_763_769_600_123)).expect("a request");
    assert_eq!(shape.method, http::Method::POST);
    let url = shape.url(&target.url).expect("an address").to_string();
    let body = serde_json::from_slice(&shape.body).expect("JSON");
    (url, shape.headers, body)
}

fn told() -> Value {
    json!({
        "key": event().key, "rule": "drift", "model": "wine", "version": 3, "cause": "drift",
        "at": "2025-11-22T00:00:00.000Z",
        "window": { "from": "1970-01-01T00:00:00.000Z", "to": "1970-01-01T01:00:00.000Z", "rows": 500 },
        "alarms": { "count": 2, "windows": 3 },
        "evidence": { "subjects": [], "text": "psi {model} 0.4", "is_cut": false },
    })
}

#[test]
fn each_interface_gets_its_own_request() {
    let key = event().key;
    let check = |text: &str, url: &str, body: Value| {
        let (to, _, said) = sent(text, &event());
        assert_eq!(to, url);
        assert_eq!(said, body, "{url}");
    };
    let mut with = told();
    with["parameters"] = json!({ "rows": "500", "of": "wine-3" });
    check(
        "kind = \"airflow\"\ndag = \"train\"\nparameters = { rows = 500, of = \"{model}-{version}\" }",
        "http://host/base/api/v2/dags/train/dagRuns",
        json!({
            "logical_date": null, "dag_run_id": format!("salver__{key}"), "conf": with,
            "note": "drift of wine version 3",
        }),
    );
    check(
        "kind = \"argo_workflows\"\nnamespace = \"ml\"\ntemplate = \"train\"\nparameters = { model = \"{model}\" }",
        "http://host/base/api/v1/workflows/ml/submit",
        json!({
            "namespace": "ml", "resourceKind": "WorkflowTemplate", "resourceName": "train",
            "submitOptions": { "name": format!("salver-{}", &key[..40]), "parameters": ["model=wine"] },
        }),
    );
    check(
        "kind = \"kubeflow\"\npipeline = \"p\"\npipeline_version = \"v\"\nexperiment = \"e\"",
        "http://host/base/apis/v2beta1/runs",
        json!({
            "display_name": format!("salver-{key}"), "experiment_id": "e",
            "pipeline_version_reference": { "pipeline_id": "p", "pipeline_version_id": "v" },
            "runtime_config": { "parameters": {
                "model": "wine", "version": "3", "rule": "drift", "key": key,
            } },
        }),
    );
    check(
        "kind = \"github\"\nrepository = \"o/r\"",
        "http://host/base/repos/o/r/dispatches",
        json!({ "event_type": "retrain", "client_payload": told() }),
    );
    check(
        "kind = \"databricks\"\njob = 7\nparameters = { to = \"{window_to}\" }",
        "http://host/base/api/2.1/jobs/run-now",
        json!({
            "job_id": 7, "idempotency_token": key,
            "job_parameters": { "to": "1970-01-01T01:00:00.000Z" },
        }),
    );
    let payload = told();
    assert!(
        payload.as_object().is_some_and(|it| it.len() < 10),
        "GitHub takes ten, with parameters"
    );
}

#[test]
fn cloud_events_are_structured_or_binary_and_signed() {
    let (url, headers, body) = sent("kind = \"webhook\"\nsecret_env = \"KEY\"", &event());
    assert_eq!(url, "http://host/base");
    assert_eq!(body["type"], "dev.salver.retraining.requested.v1");
    assert_eq!((&body["id"], &body["subject"]), (&json!(event().key), &json!("wine")));
    assert_eq!(body["data"], told());
    let header = |headers: &[(&str, String)], name| {
        headers.iter().find(|it| it.0 == name).map(|it| it.1.clone()).unwrap_or_default()
    };
    assert_eq!(header(&headers, "content-type"), "application/cloudevents+json");
    assert_eq!(header(&headers, "webhook-id"), event().key);
    assert_eq!(header(&headers, "webhook-timestamp"), "1763769600");
    assert!(header(&headers, "webhook-signature").starts_with("v1,"));

    let alert = Event {
        cause: Cause::Finding(FindingKind::Quality),
        model: "größe 1".to_owned(),
        ..event()
    };
    let (_, headers, body) = sent("kind = \"webhook\"\nmode = \"binary\"", &alert);
    assert_eq!(header(&headers, "ce-type"), "dev.salver.alert.raised.v1");
    assert_eq!(header(&headers, "ce-subject"), "gr%C3%B6%C3%9Fe%201");
    assert_eq!(body["model"], "größe 1");
}

/// The example in the Standard Webhooks specification.
#[test]
fn a_signature_is_that_of_the_specification() {
    let body = "{\"test\": 2432232314}";
    let mut shape = shape::Shape::get(&[]);
    shape.body = body.as_bytes().to_vec();
    let key = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nother");
    let at = Moment(1_614_265_330_000);
    let signed = webhook::signed(shape, &key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at).expect("signed");
    let (_, signature) = signed.headers.last().expect("headers");
    let (first, second) = signature.split_once(' ').expect("two keys");
    assert_eq!(first, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert!(second.starts_with("v1,"));
}

#[test]
fn answers_about_runs_are_understood() {
    use RunState::{Failed, Running, Succeeded};
    let check = |state: fn(&Value) -> RunState, answers: &[(Value, RunState)]| {
        for (answer, expect) in answers {
            assert_eq!(state(answer), *expect, "{answer}");
        }
    };
    let is = |it: &str| json!({ "state": it });
    check(
        airflow::state,
        &[(is("queued"), Running), (is("success"), Succeeded), (is("failed"), Failed)],
    );
    let phase = |it: &str| json!({ "status": { "phase": it } });
    check(
        argo::state,
        &[(phase("Pending"), Running), (phase("Succeeded"), Succeeded), (phase("Error"), Failed)],
    );
    check(
        kubeflow::state,
        &[(is("RUNNING"), Running), (is("SUCCEEDED"), Succeeded), (is("CANCELED"), Failed)],
    );
    let ended =
        |it: &str| json!({ "state": { "life_cycle_state": "TERMINATED", "result_state": it } });
    let running = json!({ "state": { "life_cycle_state": "RUNNING" } });
    check(
        databricks::state,
        &[(running, Running), (ended("SUCCESS"), Succeeded), (ended("FAILED"), Failed)],
    );
    let name = format!("salver-{}", event().key);
    let runs = json!({ "runs": [{ "display_name": name, "run_id": "r" }] });
    assert_eq!(kubeflow::found(&runs, &event()), Some("r".to_owned()));
    assert_eq!(kubeflow::found(&json!({}), &event()), None);
}

#[test]
fn secrets_are_where_they_are_said_to_be_and_never_shown() {
    let folder = tempfile::tempdir().expect("scratch");
    let path = folder.path().join("token");
    std::fs::write(&path, "hush\n").expect("written");
    let text = format!("kind = \"webhook\"\ntoken_file = {path:?}\nsecret_env = \"NONE\"\n");
    let config = config(&text);
    let courier = Courier::new(&config, Environment::default());
    assert_eq!(courier.lacks(&config), ["target t: the variable NONE is not set"]);
    let read = secret(&crate::target::Source::File(path.clone()), &Environment::default());
    assert_eq!(read.as_ref().map(Secret::expose), Ok("hush"));
    assert_eq!(format!("{read:?}"), "Ok(Secret(..))");
    std::fs::write(&path, " \n").expect("written");
    let lacks = courier.lacks(&config);
    assert!(lacks[1].ends_with("the file is empty"), "{lacks:?}");
}

/// What came of telling a webhook at that address.
async fn delivered(url: &str, text: &str) -> Result<Delivered, Trouble> {
    let config = config_at(url, &format!("kind = \"webhook\"\ntimeout_s = 5\n{text}"));
    let courier = Courier::new(&config, Environment::default());
    courier.deliver(("t", &config.targets["t"]), &event(), Moment(1_763_769_600_123)).await
}

#[tokio::test]
async fn a_target_lies_where_it_may() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let answers = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 4];
        stream.read_exact(&mut head).await.expect("a request");
        let text = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(text).await.expect("an answer");
        stream.flush().await.expect("an answer");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    let (told, ()) = tokio::join!(delivered(&url, ""), answers);
    assert!(told.is_ok(), "clusters are private: {told:?}");

    let check = |told: Result<Delivered, Trouble>, expect: &str| match told {
        Err(Trouble::Never(words)) => assert!(words.contains(expect), "{words}"),
        other => panic!("{other:?} instead of a refusal for good"),
    };
    let closed = "allow_private_addresses = false";
    check(delivered(&url, closed).await, "127.0.0.1, which is no public address");
    let named = url.replace("127.0.0.1", "localhost");
    check(delivered(&named, closed).await, "which is no public address");
    let nobody = std::time::Duration::ZERO;
    let came = tokio::time::timeout(nobody, listener.accept()).await;
    assert!(came.is_err(), "nobody has tried to connect");
    for address in ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"] {
        let told = delivered(&format!("http://{address}/latest/meta-data"), "").await;
        check(told, "metadata service");
    }
}
