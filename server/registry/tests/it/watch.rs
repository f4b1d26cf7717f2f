//! What a look costs a registry, and what it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use server_registry::{Seen, Watch};

use crate::house::House;
use crate::liar::{Liar, raw, reply};
use crate::protocols::{ROOT, mlflow, oci};

const MINUTE: Duration = Duration::from_secs(60);

fn watch(house: &House, uri: &str, known: Option<String>) -> Watch {
    let uri = uri.parse().expect("an address");
    Watch::new(&house.registries(), uri, known, MINUTE / 2).expect("a source")
}

async fn look(watch: &mut Watch) -> Seen {
    let (seen, pause) = watch.look(0.5).await;
    assert_eq!(pause, MINUTE / 2);
    seen.expect("an answer")
}

/// Pulls, and then looks twice: the second look is one request, which begins so.
async fn check(liar: &Liar, uri: &str, asks: &str) {
    let house = House::new();
    let identity = house.pull(uri).await.expect("a model").record.identity;
    let mut watch = watch(&house, uri, Some(identity));
    assert_eq!(look(&mut watch).await, Seen::Same); // may have to log in
    let before = liar.asked().len();
    assert_eq!(look(&mut watch).await, Seen::Same);
    let asked = liar.asked().split_off(before);
    assert!(asked.len() == 1 && asked[0].starts_with(asks), "{asked:?}");
}

#[tokio::test]
async fn what_is_the_same_costs_one_request() {
    let web = Liar::start(|asked| match asked.line.starts_with("HEAD") {
        true => raw("200 OK; ETag: \"a\"; Content-Length: 5", ""),
        false => reply("200 OK; ETag: \"a\"", "model"),
    })
    .await;
    check(&web, &format!("http://{}/m.onnx", web.address), "HEAD /m.onnx").await;
    let files = r#"{"path": "model.onnx", "is_dir": false, "file_size": 5}"#;
    let ml = mlflow(ROOT, files).await;
    let uri = format!("mlflow://{}/wine@champion", ml.address);
    check(&ml, &uri, "GET /api/2.0/mlflow/registered-models/alias?").await;
    let registry = oci(false).await;
    let uri = format!("oci://{}/org/wine:v1?tls=false", registry.address);
    check(&registry, &uri, "HEAD /v2/org/wine/manifests/v1").await;
}

#[tokio::test]
async fn a_change_is_seen_until_it_is_pulled() {
    let version = Arc::new(AtomicU64::new(1));
    let now = version.clone();
    let liar = Liar::start(move |asked| {
        let etag = format!("\"{}\"", now.load(Ordering::Relaxed));
        match asked.header("if-none-match") == etag {
            true => raw("304 Not Modified", ""),
            false => raw(&format!("200 OK; ETag: {etag}; Content-Length: 5"), ""),
        }
    })
    .await;
    let mut watch = watch(&House::new(), &format!("http://{}/m.onnx", liar.address), None);
    assert_eq!(look(&mut watch).await, Seen::Changed);
    watch.pulled("etag \"1\"");
    assert_eq!(look(&mut watch).await, Seen::Same);
    version.store(2, Ordering::Relaxed);
    assert_eq!(look(&mut watch).await, Seen::Changed);
    assert_eq!(look(&mut watch).await, Seen::Changed);
    assert_eq!(watch.failed(0.0), MINUTE, "a pull that failed is not tried again at once");
    assert_eq!(look(&mut watch).await, Seen::Changed);
    assert_eq!(watch.failed(0.0), 2 * MINUTE, "and less and less often, though the looks succeed");
    assert_eq!(look(&mut watch).await, Seen::Changed);
    watch.pulled("etag \"2\"");
    assert_eq!(watch.failed(0.0), MINUTE, "what was pulled is over");
    assert_eq!(look(&mut watch).await, Seen::Same);
    assert_eq!(watch.failed(0.0), MINUTE, "and so is what is the same");
}

#[tokio::test]
async fn what_cannot_be_told_apart_is_the_same() {
    let liar = Liar::start(|_| raw("200 OK; Content-Length: 5", "")).await;
    let uri = format!("http://{}/m.onnx", liar.address);
    assert_eq!(look(&mut watch(&House::new(), &uri, None)).await, Seen::Changed);
    assert_eq!(look(&mut watch(&House::new(), &uri, Some(String::new()))).await, Seen::Same);
}

#[tokio::test]
async fn a_registry_that_is_gone_is_asked_less_and_less() {
    let liar = Liar::start(|_| raw("503 Service Unavailable", "")).await;
    let mut watch = watch(&House::new(), &format!("http://{}/m.onnx", liar.address), None);
    for minutes in [1, 2, 4] {
        let (seen, pause) = watch.look(0.0).await;
        assert!(seen.is_err());
        assert_eq!(pause, MINUTE * minutes);
    }
}
