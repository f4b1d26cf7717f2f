//! Object stores that misbehave, by the protocol of S3.

use std::sync::atomic::{AtomicUsize, Ordering};

use server_registry::{ErrorKind, Limits, Stored};

use crate::house::House;
use crate::liar::{Asked, Liar, Reply, raw, reply};

const DIGITS: &str = "0123456789";

/// A list of objects, each as (key, size); the ETag of all is `a`.
fn list(objects: &[(&str, u64)]) -> Reply {
    let object = |(key, size): &(&str, u64)| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"a\"</ETag><Size>{size}</Size></Contents>"
        )
    };
    let objects: String = objects.iter().map(object).collect();
    let list =
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>");
    reply("200 OK; Content-Type: application/xml", list)
}

/// A store with the object `wine/m` of ten bytes; what a GET of it brings is the test's.
async fn one_object(get: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Liar {
    Liar::start(move |asked| match asked.line.contains("list-type") {
        true => list(&[("wine/m", 10)]),
        false => get(asked),
    })
    .await
}

fn uri(liar: &Liar) -> String {
    format!("s3://http://{}/models/wine", liar.address)
}

/// The head of an object as it was listed.
const OBJECT: &str = "200 OK; ETag: \"a\"; Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT";

#[tokio::test]
async fn stores_that_refuse_to_list() {
    for (head, kind) in [
        ("403 Forbidden", ErrorKind::Refused),
        ("404 Not Found", ErrorKind::NotFound),
        ("503 Slow Down", ErrorKind::Unavailable),
        ("301 Moved Permanently; Location: http://169.254.169.254/", ErrorKind::Unavailable),
    ] {
        let liar = Liar::start(move |_| reply(head, "<Error></Error>")).await;
        let house = House::new();
        house.refused(house.pull(&uri(&liar)).await, kind, "models");
        assert_eq!(liar.asked().len(), 1, "{:?}", liar.asked());
    }
}

#[tokio::test]
async fn stores_that_list_what_may_not_be() {
    for (key, kind) in [
        ("wine/../../etc/passwd", ErrorKind::Invalid),
        ("wine/a\\b", ErrorKind::Policy),
        ("wine//etc/passwd", ErrorKind::Invalid),
    ] {
        let liar = Liar::start(move |_| list(&[(key, 5)])).await;
        let house = House::new();
        house.refused(house.pull(&uri(&liar)).await, kind, "wine");
    }
}

#[tokio::test]
async fn marks_of_folders_are_no_files() {
    let liar = Liar::start(|asked| match asked.line.contains("list-type") {
        true => list(&[("wine/", 0), ("wine/sub/", 0), ("wine/sub/m", 10), ("wine/empty", 0)]),
        false if asked.line.ends_with("/empty") => reply(OBJECT, ""),
        false => reply(OBJECT, DIGITS),
    })
    .await;
    assert_eq!(House::new().pulled(&uri(&liar)).await, "empty= sub/m=0123456789");
}

#[tokio::test]
async fn an_object_that_changed_since_it_was_listed() {
    let liar = one_object(|_| reply(&OBJECT.replace("\"a\"", "\"b\""), DIGITS)).await;
    let house = House::new();
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Answer, "changed");
}

/// Breaks off once; what comes then is the test's.
async fn breaks_off(then: fn(&Asked) -> Reply) -> Liar {
    let gets = AtomicUsize::new(0);
    one_object(move |asked| match gets.fetch_add(1, Ordering::Relaxed) {
        0 => raw(&format!("{OBJECT}; Content-Length: 10"), "0123"),
        _ => then(asked),
    })
    .await
}

#[tokio::test]
async fn what_breaks_off_is_gone_on_with() {
    let liar = breaks_off(|_| {
        let head = OBJECT.replace("200 OK", "206 Partial Content; Content-Range: bytes 4-9/10");
        reply(&head, "456789")
    })
    .await;
    assert_eq!(House::new().pulled(&uri(&liar)).await, "m=0123456789");
    let last = liar.requests().pop().expect("a request");
    assert_eq!(
        (last.header("range"), last.header("if-match")),
        ("bytes=4-".into(), "\"a\"".into())
    );
}

#[tokio::test]
async fn a_store_without_ranges_starts_anew() {
    let liar = breaks_off(|_| reply(OBJECT, DIGITS)).await;
    assert_eq!(House::new().pulled(&uri(&liar)).await, "m=0123456789");
}

#[tokio::test]
async fn words_without_end() {
    let endless = |head: &str| Reply::Endless(format!("HTTP/1.1 {head}\r\n\r\n").into_bytes());
    let limits = Limits { answer_bytes_max: 1 << 16, ..Limits::default() };
    let house = House { limits, ..House::new() };
    let says = "answers with more than 65536 bytes";
    let liar = Liar::start(move |_| endless("200 OK")).await;
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::TooLarge, says);
    // An error's body is read whole, to be quoted.
    let liar = one_object(move |_| endless("500 Internal Server Error")).await;
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::TooLarge, says);
}

#[tokio::test]
async fn a_store_that_knows_no_place_to_begin_at() {
    let liar =
        Liar::start(|_| list(&[("wine/logs/a", 10), ("wine/logs/b", 10), ("wine/logs/c", 10)]));
    let liar = liar.await;
    let registries = House::new().registries();
    let uri = uri(&liar).parse().expect("an address");
    let collection = registries.collection(&uri).expect("a prefix");
    let names = |found: Vec<Stored>| found.into_iter().map(|it| it.path).collect::<Vec<_>>();
    let behind = collection.list("logs", ("a", 1)).await.expect("a list");
    assert_eq!(names(behind), ["b"]);
    let all = collection.list("logs", ("", 10)).await.expect("a list");
    assert_eq!(names(all), ["a", "b", "c"]);
}

#[tokio::test]
async fn googles_own_name_for_an_emulator() {
    let liar = one_object(|_| reply(OBJECT, DIGITS)).await;
    let mut house = House::new();
    for host in [liar.address.clone(), format!("http://{}/", liar.address)] {
        house.environment = vec![("STORAGE_EMULATOR_HOST".into(), host)];
        assert_eq!(house.pulled("gs://models/wine").await, "m=0123456789");
    }
    let asked = liar.requests();
    assert!(asked[0].line.starts_with("GET /models?"), "{asked:?}");
    assert!(asked[1].line.starts_with("GET /models/wine"), "{asked:?}");
    assert!(asked.iter().all(|it| it.header("authorization").is_empty()), "{asked:?}");
}
