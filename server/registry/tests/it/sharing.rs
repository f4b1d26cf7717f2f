//! What several pulls share, and what is there when the registry is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use server_registry::{Digest, ErrorKind, Pinned};

use crate::house::{House, told};
use crate::liar::{Liar, Reply, raw, reply};

async fn honest() -> Liar {
    Liar::start(|asked| match asked.line.starts_with("HEAD") {
        true => raw("200 OK; ETag: \"a\"; Content-Length: 5", ""),
        false => reply("200 OK; ETag: \"a\"", "model"),
    })
    .await
}

fn uri(liar: &Liar) -> String {
    format!("http://{}/model.onnx", liar.address)
}

#[tokio::test]
async fn one_of_many_fetches() {
    let liar = honest().await;
    let (house, address) = (House::new(), uri(&liar));
    let pulls = tokio::join!(
        house.pull(&address),
        house.pull(&address),
        house.pull(&address),
        house.pull(&address)
    );
    for pulled in [pulls.0, pulls.1, pulls.2, pulls.3] {
        assert_eq!(told(&pulled.expect("a model")), "model.onnx=model");
    }
    let gets = liar.asked().iter().filter(|it| it.starts_with("GET")).count();
    assert_eq!(gets, 1);
}

#[tokio::test]
async fn a_damaged_model_is_fetched_again() {
    let liar = honest().await;
    let house = House::new();
    let lease = house.pull(&uri(&liar)).await.expect("a model").lease;
    let path = lease.folder().join("model.onnx");
    drop(lease);
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, "other").expect("written");
    let again = house.pull(&uri(&liar)).await.expect("a model");
    assert_eq!((told(&again).as_str(), again.fetched), ("model.onnx=model", true));
    let gets = liar.asked().iter().filter(|it| it.starts_with("GET")).count();
    assert_eq!(gets, 2, "once at first, and once again");
}

#[tokio::test]
async fn what_is_moved_back_is_not_fetched_again() {
    let version = Arc::new(AtomicU64::new(1));
    let now = version.clone();
    let liar = Liar::start(move |asked| {
        let now = now.load(Ordering::Relaxed);
        match asked.line.starts_with("HEAD") {
            true => raw(&format!("200 OK; ETag: \"{now}\"; Content-Length: 1"), ""),
            false => reply(&format!("200 OK; ETag: \"{now}\""), now.to_string()),
        }
    })
    .await;
    let house = House::new();
    for (now, fetched) in [(1, true), (2, true), (1, false), (2, false)] {
        version.store(now, Ordering::Relaxed);
        let pulled = house.pull(&uri(&liar)).await.expect("a model");
        assert_eq!((told(&pulled), pulled.fetched), (format!("model.onnx={now}"), fetched));
        let known = house.cache.record(&uri(&liar).parse().expect("an address"));
        assert_eq!(known.expect("a record").expect("a record"), pulled.record);
    }
    assert_eq!(liar.asked().iter().filter(|it| it.starts_with("GET")).count(), 2);
}

#[tokio::test]
async fn a_pinned_model_needs_no_registry() {
    let liar = honest().await;
    let (mut house, address) = (House::new(), uri(&liar));
    let pulled = house.pull(&address).await.expect("a model");
    let listing = pulled.lease.listing().clone();
    let identity = pulled.record.identity.clone();
    house.lock.pin(&address.parse().expect("an address"), Pinned { identity, listing });
    drop(liar);
    assert_eq!(house.pulled(&address).await, "model.onnx=model");
}

#[tokio::test]
async fn a_pinned_model_is_that_or_nothing() {
    let (first, second) = (honest().await, House::new());
    let mut pinned = second.pull(&uri(&first)).await.expect("a model").lease.listing().clone();
    drop(first);
    let liar = Liar::start(|asked| match asked.line.starts_with("HEAD") {
        true => raw("200 OK; ETag: \"b\"; Content-Length: 5", ""),
        false => reply("200 OK; ETag: \"b\"", "other"),
    })
    .await;
    let mut house = House::new();
    let address = uri(&liar);
    let pin = |listing| Pinned { identity: String::new(), listing };
    house.lock.pin(&address.parse().expect("an address"), pin(pinned.clone()));
    house.refused(house.pull(&address).await, ErrorKind::Corrupt, "was promised");
    // A file more, or less, is another model as well.
    let more = pinned.iter().map(|(path, fact)| (path.clone(), *fact));
    let extra = (
        server_registry::RelativePath::new("more").expect("a name"),
        server_registry::Fact { digest: Digest::of(b""), size: 0 },
    );
    let other = server_registry::Fact { digest: Digest::of(b"other"), size: 5 };
    let files = more.map(|(path, _)| (path, other)).chain([extra]).collect();
    pinned = server_registry::Listing::new(files).expect("names that fit");
    house.lock.pin(&address.parse().expect("an address"), pin(pinned));
    house.refused(house.pull(&address).await, ErrorKind::Policy, "more is pinned to");
}

#[tokio::test]
async fn a_cache_that_is_too_small_says_so() {
    let liar = honest().await;
    let mut house = House::new();
    let root = house.cache.root().to_owned();
    house.cache = server_registry::Cache::open(&root, 4).expect("a cache");
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::TooLarge, "5 bytes, the cache holds 4");
}

/// What nobody declared is bounded by what the cache holds.
#[tokio::test]
async fn a_cache_that_turns_out_too_small_says_so() {
    let liar = Liar::start(|asked| match asked.line.starts_with("HEAD") {
        true => raw("200 OK; ETag: \"a\"", ""),
        false => Reply::Endless(b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n".to_vec()),
    })
    .await;
    let mut house = House::new();
    let root = house.cache.root().to_owned();
    house.cache = server_registry::Cache::open(&root, 1 << 20).expect("a cache");
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::TooLarge, "the model may have");
}
