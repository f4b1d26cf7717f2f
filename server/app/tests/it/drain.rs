//! Stopping: not ready at once, what is inside is answered, and no peer can hold the server up.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::house::{DOUBLE, House, PATIENCE, json, message, values};

#[tokio::test]
async fn what_is_inside_is_answered() {
    let mut house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let (mut grpc, mut http) = (house.grpc().await, house.http().await);
    let mut probe = house.http().await;
    let calling = tokio::spawn(async move { grpc.model_infer(message("m", &[[99.0, 1.0]])).await });
    house.hangs().await;
    let asking = tokio::spawn(async move { http.infer("m", &[[99.0, 2.0]]).await });
    house.holds(2, 1).await; // one runs and hangs, the other waits
    assert_eq!(probe.get("/v2/health/ready").await.0, StatusCode::OK);
    let (fake, lifecycle) = (house.fake.clone(), house.server().lifecycle().clone());
    let opening = tokio::spawn(async move {
        let mut changes = lifecycle.changes();
        while !lifecycle.readiness().is_draining() {
            changes.changed().await.expect("lives");
        }
        assert!(!lifecycle.readiness().is_ready(), "not ready from the first moment on");
        fake.hangs().open();
    });
    assert!(house.stop(PATIENCE).await, "everything came to its end");
    opening.await.expect("saw the drain");
    let called = calling.await.expect("lives").expect("answered").into_inner();
    assert_eq!(values(&called), [198.0, 2.0]);
    assert_eq!(asking.await.expect("lives").0, StatusCode::OK);
}

/// Opens a connection and sends what a rude peer sends.
async fn peer(house: &House, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(house.at.http).await.expect("connects");
    stream.write_all(bytes).await.expect("sends");
    stream
}

#[tokio::test]
async fn no_peer_holds_the_server_up() {
    let mut house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let body = json(&[[1.0, 1.0]]);
    let head = format!(
        "POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n",
        body.len()
    );
    let mut peers = vec![
        peer(&house, b"").await,
        peer(&house, b"POST /v2/models/m/inf").await,
        peer(&house, format!("{head}\r\n{{\"inputs\"").as_bytes()).await,
        peer(&house, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await,
    ];
    // One that keeps its connection after a good request.
    let mut kept = peer(&house, format!("{head}\r\n{body}").as_bytes()).await;
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    peers.push(kept);
    let grace = Duration::from_secs(2);
    let began = Instant::now();
    let clean = house.stop(grace).await;
    // One after the other they would take five times as long.
    assert!(began.elapsed() < grace + Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!clean, "a half-sent request cannot be answered");
    drop(peers);
}

#[tokio::test]
async fn idle_peers_are_let_go() {
    let mut house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let mut kept = house.http().await;
    assert_eq!(kept.infer("m", &[[1.0, 1.0]]).await.0, StatusCode::OK);
    let mut called = house.grpc().await;
    called.model_infer(message("m", &[[1.0, 1.0]])).await.expect("answered");
    assert!(house.stop(PATIENCE).await, "nothing was cut off");
    TcpStream::connect(house.at.http).await.expect_err("the port is closed");
}

/// Only then is it known what was left behind.
#[tokio::test]
async fn the_audit_log_has_time_when_the_drains_is_up() {
    let state = tempfile::tempdir().expect("scratch");
    let audit = state.path().join("audit.jsonl");
    let mut house = House::with(&[("m/1/model.fake", DOUBLE)], |args| {
        args.state = Some(state.path().to_path_buf());
    })
    .await;
    while !fs::read_to_string(&audit).is_ok_and(|it| it.contains("\"event\":\"load\"")) {
        tokio::task::yield_now().await;
    }
    // From now on a disk that hangs until somebody reads.
    fs::remove_file(&audit).expect("removed");
    assert!(Command::new("mkfifo").arg(&audit).status().expect("runs").success());
    let began = Instant::now();
    house.stop(Duration::ZERO).await;
    let took = began.elapsed();
    let text = fs::read_to_string(&audit).expect("a line");
    assert!(text.contains("\"event\":\"unload\""), "{text}");
    // The control port alone may take 200 ms.
    assert!(took >= Duration::from_millis(500), "{took:?}");
}
