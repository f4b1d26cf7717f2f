//! From what a monitor finds to what a target is told, through the whole server.

use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use server_base::{Finding, FindingKind, ModelName, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::house::{DOUBLE, House, PATIENCE};

/// A server whose trigger `r` tells a webhook at the listener.
async fn house(listener: &TcpListener) -> House {
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let text = format!(
        "[target.hook]\nkind = \"webhook\"\nurl = \"{url}\"\n\
         [[trigger]]\nname = \"r\"\nmodel = \"m\"\ntarget = \"hook\"\non = [\"drift\"]\nwindows = 1\n"
    );
    House::over(&[("m/1/model.fake", DOUBLE)], |_| {}, Some(&text)).await
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

/// The body of the next request, which is answered well.
async fn told(listener: &TcpListener) -> Value {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut piece).await.expect("bytes");
        all.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&all);
        let body = text.split_once("\r\n\r\n").map(|it| it.1).unwrap_or_default();
        if let Ok(body) = serde_json::from_str(body) {
            let answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.expect("sent");
            return body;
        }
        assert!(n > 0, "cut off: {text}");
    }
}

async fn listed(house: &House) -> Value {
    let (status, body) = house.http().await.get("/v2/triggers").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test]
async fn a_finding_becomes_an_event() {
    let listener = listener().await;
    let house = house(&listener).await;
    let finding = Finding {
        model: ModelName::new("m").expect("a name"),
        version: Version(1),
        kind: FindingKind::Drift,
        is_alarm: true,
        from: UNIX_EPOCH,
        to: UNIX_EPOCH + Duration::from_secs(3600),
        rows: 500,
        subjects: vec!["x".to_owned()],
        text: "psi 0.4".to_owned(),
        evidence: "{\"psi\":0.4}".to_owned(),
    };
    // Who is told later than in a second tells again: one window is one event.
    let findings = house.server().findings();
    assert!((0..PATIENCE.as_secs()).any(|_| findings.found(std::slice::from_ref(&finding))));
    let event = tokio::time::timeout(PATIENCE, told(&listener)).await.expect("an event");
    assert_eq!(event["type"], "dev.salver.retraining.requested.v1");
    let data = &event["data"];
    assert_eq!(
        (&data["model"], &data["version"], &data["cause"]),
        (&json!("m"), &json!(1), &json!("drift"))
    );
    assert_eq!(data["evidence"]["measured"]["psi"], 0.4);
    let wait = async {
        while listed(&house).await[0]["pending"] != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it is delivered");
    let view = &listed(&house).await[0]["models"][0];
    assert_eq!(
        view["alarms"][0],
        json!({
            "version": 1, "kind": "drift", "alarms": 1, "windows": 1, "armed": false,
        })
    );
}

#[tokio::test]
async fn operators_are_answered_in_words() {
    let listener = listener().await;
    let house = house(&listener).await;
    let mut http = house.http().await;
    let mut check = async |path: &str, body: &str, expect: StatusCode, says: &str| {
        let path = format!("/v2/triggers/{path}");
        let (status, text) = http.send(Method::POST, &path, body.to_owned()).await;
        assert_eq!(status, expect, "{path} {body}: {text}");
        assert!(text.contains(says), "{path} {body}: {says:?} is not in {text}");
    };
    let (well, wrong) = (StatusCode::OK, StatusCode::BAD_REQUEST);
    check("r/fire", "{\"dry_run\":true,\"id\":\"a\"}", well, "\"result\":\"dry_run\"").await;
    check("r/fire", "{\"model\":\"n\"}", wrong, "'n' is not one of those of 'm'").await;
    check("r/fire", "{\"models\":1}", wrong, "models").await;
    check("s/fire", "", StatusCode::NOT_FOUND, "there is no trigger 's'").await;
    check("r/mute", "{\"for_s\":0}", wrong, "for_s: expected").await;
    check("r/mute", "{\"for_s\":60}", well, "\"muted_until\":1").await;
    check("r/unmute", "", well, "\"muted_until\":null").await;
}

#[tokio::test]
async fn without_triggers_there_are_none() {
    let house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    assert_eq!(listed(&house).await, json!([]));
    let (status, _) = house.http().await.send(Method::POST, "/v2/triggers/r/fire", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
