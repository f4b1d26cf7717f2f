//! What web servers get wrong, or lie about.

use std::sync::atomic::{AtomicUsize, Ordering};

use server_registry::{AddressPolicy, ErrorKind, Limits};

use crate::house::{House, told};
use crate::liar::{Asked, Liar, Reply, raw, reply};

const DIGITS: &str = "0123456789";
/// SHA-256 of `DIGITS`.
const DIGEST: &str = "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";

fn is_head(asked: &Asked) -> bool {
    asked.line.starts_with("HEAD")
}

fn uri(liar: &Liar) -> String {
    format!("http://{}/model.onnx", liar.address)
}

/// A HEAD that tells length and ETag; what a GET brings is the test's.
fn head(etag: &str) -> Reply {
    raw(&format!("200 OK; ETag: {etag}; Content-Length: 10"), "")
}

/// Tells the truth at HEAD, and this at GET.
async fn refused(get: fn() -> Reply, kind: ErrorKind, says: &str) {
    let liar = Liar::start(move |asked| if is_head(asked) { head("\"a\"") } else { get() }).await;
    let house = House::new();
    house.refused(house.pull(&uri(&liar)).await, kind, says);
}

#[tokio::test]
async fn an_honest_server_is_believed_once() {
    let liar = Liar::start(|asked| match asked.header("if-none-match").as_str() {
        "\"a\"" => raw("304 Not Modified; ETag: \"a\"", ""),
        _ if is_head(asked) => head("\"a\""),
        _ => reply("200 OK; ETag: \"a\"", DIGITS),
    })
    .await;
    let house = House::new();
    let first = house.pull(&uri(&liar)).await.expect("a model");
    assert_eq!((told(&first).as_str(), first.fetched), ("model.onnx=0123456789", true));
    let second = house.pull(&uri(&liar)).await.expect("a model");
    assert_eq!((second.lease.digest(), second.fetched), (first.lease.digest(), false));
    assert_eq!(liar.asked(), ["HEAD /model.onnx", "GET /model.onnx", "HEAD /model.onnx"]);
}

#[tokio::test]
async fn a_page_is_no_model() {
    refused(|| reply("200 OK; Content-Type: text/html", DIGITS), ErrorKind::Answer, "web page")
        .await;
}

#[tokio::test]
async fn more_and_less_than_was_told() {
    refused(|| reply("200 OK", "012345678"), ErrorKind::Answer, "9 bytes where 10").await;
    refused(|| reply("200 OK", "0123456789a"), ErrorKind::Answer, "11 bytes where 10").await;
    refused(|| raw("200 OK", "0123456789a"), ErrorKind::Answer, "more than the 10 bytes").await;
    let endless = || Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    refused(endless, ErrorKind::Answer, "more than the 10 bytes").await;
}

#[tokio::test]
async fn a_file_that_changes_between_two_looks() {
    refused(|| reply("200 OK; ETag: \"b\"", DIGITS), ErrorKind::Answer, "it changed").await;
}

#[tokio::test]
async fn a_rest_that_nobody_asked_for() {
    let part = || raw("206 Partial Content; Content-Range: bytes 0-9/10", DIGITS);
    refused(part, ErrorKind::Answer, "asked from 0").await;
}

#[tokio::test]
async fn nothing_but_a_limit_ends_what_has_no_end() {
    let liar = Liar::start(|asked| match is_head(asked) {
        true => raw("200 OK; ETag: \"a\"", ""),
        false => Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
    })
    .await;
    let limits = Limits { file_bytes_max: 1 << 20, ..Limits::default() };
    let house = House { limits, ..House::new() };
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Answer, "more than the 1048576 bytes");
}

#[tokio::test]
async fn a_head_without_end() {
    let liar = Liar::start(|_| Reply::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec())).await;
    let house = House::new();
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Unavailable, "model.onnx");
}

#[tokio::test]
async fn silence() {
    let short = std::time::Duration::from_millis(300);
    let house = House { limits: Limits { head_max: short, ..Limits::default() }, ..House::new() };
    let liar = Liar::start(|_| Reply::Silence(Vec::new())).await;
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Slow, "no answer within 300ms");
    let house = House { limits: Limits { idle_max: short, ..Limits::default() }, ..House::new() };
    let liar = Liar::start(|asked| match is_head(asked) {
        true => head("W/\"weak\""),
        false => Reply::Silence(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012".to_vec()),
    })
    .await;
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Slow, "nothing came for 300ms");
}

/// A page a byte at a time never falls silent; the look ends all the same.
#[tokio::test]
async fn an_answer_that_drips() {
    let liar = Liar::start(|_| Reply::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    let look_max = std::time::Duration::from_millis(300);
    let house = House { limits: Limits { look_max, ..Limits::default() }, ..House::new() };
    let uri = format!("mlflow://{}/wine@champion", liar.address);
    house.refused(house.pull(&uri).await, ErrorKind::Slow, "within 300ms");
}

#[tokio::test]
async fn nobody_there() {
    let house = House::new();
    // A port that is held and on which nobody listens: no other test comes to have it.
    let held = tokio::net::TcpSocket::new_v4().expect("a socket");
    held.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let closed = held.local_addr().expect("an address");
    let uri = format!("http://{closed}/model.onnx");
    house.refused(house.pull(&uri).await, ErrorKind::Unavailable, "onnection refused");
}

#[tokio::test]
async fn redirects_in_a_circle() {
    let liar = Liar::start(|_| raw("302 Found; Location: /model.onnx", "")).await;
    let house = House::new();
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Answer, "redirects more than 5 times");
    assert_eq!(liar.asked().len(), 6);
}

#[tokio::test]
async fn redirects_to_where_nobody_may_look() {
    for (to, kind, says) in [
        ("http://169.254.169.254/latest/meta-data", ErrorKind::Policy, "169.254.169.254"),
        ("http://[::ffff:10.0.0.1]/x", ErrorKind::Policy, "no public address"),
        ("http://localhost:1/x", ErrorKind::Policy, "no public address"),
        ("file:///etc/passwd", ErrorKind::Answer, "away from HTTP"),
        ("http://", ErrorKind::Answer, "no address"),
    ] {
        let liar = Liar::start(move |_| raw(&format!("302 Found; Location: {to}"), "")).await;
        let house = House::new();
        house.refused(house.pull(&uri(&liar)).await, kind, says);
    }
}

#[tokio::test]
async fn private_addresses_where_they_are_allowed() {
    let storage = Liar::start(|asked| match is_head(asked) {
        true => head("\"a\""),
        false => reply("200 OK; ETag: \"a\"", DIGITS),
    })
    .await;
    let to = uri(&storage);
    let liar = Liar::start(move |_| raw(&format!("307 Temporary; Location: {to}"), "")).await;
    let house = House { policy: AddressPolicy { allow_private: true }, ..House::new() };
    assert_eq!(house.pulled(&uri(&liar)).await, "model.onnx=0123456789");
}

type Then = fn(&Asked) -> Reply;

/// Sends `first` bytes of the file and breaks off; what comes then is the test's.
async fn breaks_off(first: usize, then: Then) -> Liar {
    let gets = AtomicUsize::new(0);
    Liar::start(move |asked| {
        if is_head(asked) {
            return head("\"a\"");
        }
        match gets.fetch_add(1, Ordering::Relaxed) {
            0 => raw("200 OK; ETag: \"a\"; Content-Length: 10", &DIGITS[..first]),
            _ => then(asked),
        }
    })
    .await
}

fn rest(asked: &Asked) -> Reply {
    let from: usize = asked.header("range")[6..].trim_end_matches('-').parse().expect("a range");
    let range = format!("Content-Range: bytes {from}-9/10");
    raw(&format!("206 Partial Content; ETag: \"a\"; {range}"), &DIGITS[from..])
}

#[tokio::test]
async fn what_breaks_off_is_gone_on_with() {
    let liar = breaks_off(4, rest).await;
    assert_eq!(House::new().pulled(&uri(&liar)).await, "model.onnx=0123456789");
    let last = liar.requests().pop().expect("a request");
    assert_eq!(
        (last.header("range"), last.header("if-range")),
        ("bytes=4-".into(), "\"a\"".into())
    );
}

#[tokio::test]
async fn a_server_that_starts_anew_is_followed() {
    let liar = breaks_off(4, |_| reply("200 OK; ETag: \"a\"", DIGITS)).await;
    assert_eq!(House::new().pulled(&uri(&liar)).await, "model.onnx=0123456789");
}

#[tokio::test]
async fn a_rest_of_something_else_is_refused() {
    let wrong: [(Then, &str); 5] = [
        (|_| raw("206 Partial; Content-Range: bytes 5-9/10", "56789"), "asked from 4"),
        (
            |_| raw("206 Partial; Content-Range: bytes 4-10/11; ETag: \"a\"", "456789a"),
            "11 bytes where 10",
        ),
        (|_| raw("206 Partial; Content-Range: bytes 4-9/10", "456789"), "without an ETag"),
        (|_| raw("206 Partial; Content-Range: bytes 4-9/10; ETag: \"b\"", "456789"), "it changed"),
        (|_| reply("200 OK; ETag: \"b\"", "abcdefghij"), "it changed"),
    ];
    for (then, says) in wrong {
        let liar = breaks_off(4, then).await;
        let house = House::new();
        house.refused(house.pull(&uri(&liar)).await, ErrorKind::Answer, says);
    }
}

#[tokio::test]
async fn a_server_that_always_breaks_off_is_given_up_and_gone_on_with_later() {
    let liar = breaks_off(4, |asked| match asked.header("range").as_str() {
        "bytes=4-" => raw("206 Partial; ETag: \"a\"; Content-Range: bytes 4-9/10", ""),
        _ => rest(asked),
    })
    .await;
    let house = House::new();
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Unavailable, "model.onnx");
    let gets = liar.asked().iter().filter(|it| it.starts_with("GET")).count();
    assert_eq!(gets, 2, "no try without progress since the last");
    assert_eq!(house.entries("partial"), 2, "the beginning, and a note about it");
}

#[tokio::test]
async fn a_beginning_is_gone_on_with_by_the_next_pull() {
    let gets = AtomicUsize::new(0);
    let liar = Liar::start(move |asked| match is_head(asked) {
        true => head("\"a\""),
        false => match gets.fetch_add(1, Ordering::Relaxed) {
            0 => raw("200 OK; ETag: \"a\"; Content-Length: 10", "0123"),
            1 => raw("503 Service Unavailable", ""),
            _ => rest(asked),
        },
    })
    .await;
    let house = House::new();
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Unavailable, "503");
    assert_eq!(house.pulled(&uri(&liar)).await, "model.onnx=0123456789");
    assert_eq!(liar.requests().pop().expect("a request").header("range"), "bytes=4-");
}

/// As after a machine that died before it wrote down what it had been given.
#[tokio::test]
async fn a_beginning_that_is_not_what_came_is_not_gone_on_with() {
    for damage in ["0000", "01", "", "01234567"] {
        let liar = breaks_off(4, |asked| match asked.header("range").as_str() {
            "" => reply("200 OK; ETag: \"a\"", DIGITS),
            "bytes=4-" => raw("503 Service Unavailable", ""),
            other => raw(&format!("500 {other}"), ""),
        })
        .await;
        let house = House::new();
        house.refused(house.pull(&uri(&liar)).await, ErrorKind::Unavailable, "503");
        std::fs::write(house.partial(), damage).expect("written");
        let pulled = house.pull(&uri(&liar)).await;
        if damage == "01234567" {
            // What came is there, and more, which is not believed.
            house.refused(pulled, ErrorKind::Unavailable, "503");
        } else {
            assert_eq!(told(&pulled.expect("a model")), "model.onnx=0123456789", "{damage}");
        }
    }
}

/// As after a process that died when it had given the bytes their name, and not yet taken the old one.
#[tokio::test]
async fn a_beginning_that_is_a_blob_is_not_written_to() {
    let liar = breaks_off(4, |asked| match asked.header("range").as_str() {
        "" => reply("200 OK; ETag: \"a\"", DIGITS),
        _ => raw("503 Service Unavailable", ""),
    })
    .await;
    let house = House::new();
    house.refused(house.pull(&uri(&liar)).await, ErrorKind::Unavailable, "503");
    let blob = house.cache.root().join("blobs/left");
    std::fs::hard_link(house.partial(), &blob).expect("linked");
    assert_eq!(house.pulled(&uri(&liar)).await, "model.onnx=0123456789");
    assert_eq!(std::fs::read(&blob).expect("bytes"), b"0123");
}

#[tokio::test]
async fn without_a_validator_nothing_is_gone_on_with() {
    let liar = Liar::start(|asked| match is_head(asked) {
        true => raw("200 OK; Content-Length: 10", ""),
        false => raw("200 OK; Content-Length: 10", "0123"),
    })
    .await;
    let house = House::new();
    for _ in 0..2 {
        house.refused(house.pull(&uri(&liar)).await, ErrorKind::Unavailable, "model.onnx");
    }
    assert!(liar.requests().iter().all(|it| it.header("range").is_empty()));
}

#[tokio::test]
async fn another_content_than_the_digest_says() {
    let gets = AtomicUsize::new(0);
    let liar = Liar::start(move |asked| match is_head(asked) {
        true => head("\"a\""),
        false if gets.fetch_add(1, Ordering::Relaxed) == 0 => reply("200 OK", "012345678X"),
        false => reply("200 OK", DIGITS),
    })
    .await;
    let house = House::new();
    let uri = format!("{}#{DIGEST}", uri(&liar));
    house.refused(house.pull(&uri).await, ErrorKind::Corrupt, "was promised");
    assert_eq!(house.pulled(&uri).await, "model.onnx=0123456789");
    assert!(!house.pull(&uri).await.expect("a model").fetched);
}
