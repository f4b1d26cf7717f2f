use super::*;

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ListResult, ObjectStore};
use tokio::time::Instant;

use crate::http::AddressPolicy;
use crate::limits::Limits;
use crate::secret::Environment;

/// Names in pages, as stores give them.
struct Paged {
    store: Arc<dyn ObjectStore>,
    page: usize,
    asked: AtomicUsize,
}

#[async_trait::async_trait]
impl PaginatedListStore for Paged {
    async fn list_paginated(
        &self,
        prefix: Option<&str>,
        options: PaginatedListOptions,
    ) -> object_store::Result<PaginatedListResult> {
        assert_eq!(options.delimiter.as_deref(), Some("/"));
        self.asked.fetch_add(1, Ordering::Relaxed);
        let prefix = prefix.map(Path::parse).transpose()?;
        let all = self.store.list_with_delimiter(prefix.as_ref()).await?;
        let from = options.page_token.map_or(0, |it| it.parse().expect("a token of ours"));
        let total = all.objects.len().max(all.common_prefixes.len());
        let page_token = (from + self.page < total).then(|| (from + self.page).to_string());
        let objects = all.objects.into_iter().skip(from).take(self.page).collect();
        let common_prefixes = all.common_prefixes.into_iter().skip(from).take(self.page).collect();
        let result = ListResult { objects, common_prefixes, extensions: all.extensions };
        Ok(PaginatedListResult { result, page_token })
    }
}

fn paged(page: usize) -> (Arc<dyn ObjectStore>, Arc<Paged>) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let pages = Paged { store: Arc::clone(&store), page, asked: AtomicUsize::new(0) };
    (store, Arc::new(pages))
}

#[tokio::test]
async fn a_folder_that_is_too_large_is_not_read_to_its_end() {
    let (store, pages) = paged(1_000);
    let objects = Objects(Store { store, pages: pages.clone(), ..objects("p").0 });
    for number in 0..15_000 {
        objects.replace(&format!("x/{number}"), bytes("")).await.expect("made");
    }
    let error = objects.list("x").await.expect_err("too many").to_string();
    assert_eq!(error, "s3://bucket/p: p/x has more than 10000 entries");
    assert_eq!(pages.asked.load(Ordering::Relaxed), 11, "and no page more");
}

fn objects(prefix: &str) -> Objects {
    let (store, pages) = paged(1);
    let (name, prefix) = (format!("s3://bucket/{prefix}"), prefix.to_owned());
    Objects(Store { store, pages, name, prefix, version: None, limits: Limits::default() })
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn names(objects: &Objects, folder: &str) -> Vec<String> {
    let mut names = objects.list(folder).await.expect("listed");
    names.sort();
    names
}

#[tokio::test]
async fn objects_are_named_as_files_are() {
    for prefix in ["", "a", "a/b"] {
        let objects = objects(prefix);
        assert_eq!(objects.read("x/1", 9).await.expect("read"), None);
        assert!(names(&objects, "x").await.is_empty());
        objects.remove("x/1").await.expect("nothing to remove");
        assert!(objects.create("x/1", bytes("one")).await.expect("made"));
        assert!(!objects.create("x/1", bytes("two")).await.expect("there already"));
        assert_eq!(objects.read("x/1", 9).await.expect("read"), Some(bytes("one")));
        objects.replace("x/1", bytes("three")).await.expect("replaced");
        objects.replace("x/Größe x/2", bytes("")).await.expect("made");
        assert_eq!(objects.read("x/1", 5).await.expect("read"), Some(bytes("three")));
        assert_eq!(names(&objects, "x").await, ["1", "Größe x"]);
        assert_eq!(names(&objects, "x/Größe x").await, ["2"]);
        objects.remove("x/1").await.expect("removed");
        assert_eq!(names(&objects, "x").await, ["Größe x"]);
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let objects = objects("p");
    objects.replace("x", bytes("three")).await.expect("made");
    let error = objects.read("x", 4).await.expect_err("five bytes").to_string();
    assert_eq!(error, "s3://bucket/p: p/x has more than 4 bytes");
    for path in ["a//b", "../x"] {
        objects.replace(path, bytes("")).await.expect_err(path);
    }
}

#[tokio::test(start_paused = true)]
async fn several_are_read_at_once() {
    let mut objects = objects("p");
    objects.replace("x/1", bytes("one")).await.expect("made");
    objects.replace("x/2", bytes("large")).await.expect("made");
    let wait = Duration::from_millis(40);
    let config = ThrottleConfig { wait_get_per_call: wait, ..ThrottleConfig::default() };
    objects.0.store = Arc::new(ThrottledStore::new(objects.0.store, config));
    let names = ["x/1", "x/0", "x/2"].map(str::to_owned);
    let began = Instant::now();
    let read = objects.read_all(&names, 3).await;
    assert_eq!(began.elapsed(), wait, "all of them wait together");
    let [Ok(Some(one)), Ok(None), Err(large)] = &read[..] else { panic!("{read:?}") };
    assert_eq!(one, "one");
    assert_eq!(large.to_string(), "s3://bucket/p: p/x/2 has more than 3 bytes");
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_for_ever() {
    let objects = objects("p");
    let silent = std::future::pending::<()>();
    let error = objects.0.in_time("s3://bucket/p: p/x", silent).await.expect_err("no answer");
    let most = Limits::default().look_max;
    assert!(most < Duration::from_secs(3_600));
    assert_eq!(error.to_string(), format!("s3://bucket/p: p/x: no answer within {most:?}"));
}

#[track_caller]
fn check(address: &str, says: Option<&str>) {
    let policy = AddressPolicy { allow_private: true };
    let registries = Registries::new(Environment::default(), None, policy, Limits::default());
    let uri = Uri::from_str(address).expect(address);
    match (registries.objects(&uri), says) {
        (Ok(found), None) => assert!(address.starts_with(found.name()), "{found:?}"),
        (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
        (found, says) => panic!("{address}: {found:?} instead of {says:?}"),
    }
}

#[test]
fn a_prefix_is_an_address() {
    check("s3://bucket/prefix", None);
    check("s3://bucket/prefix?version=2", Some("is no prefix such as"));
    check("https://host/model.onnx", Some("is no prefix such as"));
}
