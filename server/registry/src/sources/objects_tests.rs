use super::*;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::http::AddressPolicy;
use crate::limits::Limits;
use crate::secret::Environment;

fn objects(prefix: &str) -> Objects {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (name, prefix) = (format!("s3://bucket/{prefix}"), prefix.to_owned());
    Objects(Store { store, name, prefix, version: None, limits: Limits::default() })
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
