//! HTTP/1 connections, byte by byte: plain requests, odd ones, and both behind one another.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::house::{DOUBLE, House, PATIENCE};

/// A prediction of one row with these elements, plain or in chunks.
fn ask(first: u32, chunked: bool) -> String {
    let body = format!(
        r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"FP32","data":[{first},0.5]}}]}}"#
    );
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: here\r\n";
    if chunked {
        return format!(
            "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
    }
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

/// Status and body of the next answer.
async fn answer(stream: &mut TcpStream) -> (String, String) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    let field = |name: &str| {
        let line = head.lines().find(|it| it.starts_with(name)).unwrap_or_else(|| panic!("{head}"));
        line[name.len()..].trim().to_owned()
    };
    assert!(!field("date:").is_empty());
    let mut body = vec![0; field("content-length:").parse().expect("a number")];
    stream.read_exact(&mut body).await.expect("a body");
    let status = head.split(' ').nth(1).expect("a status").to_owned();
    (status, String::from_utf8(body).expect("text"))
}

/// Sends the pieces one after the other and holds the answers against what the model makes.
async fn check(pieces: Vec<String>, expect: Vec<(&'static str, &'static str)>) {
    let mut house = House::new(&[("m/1/model.fake", DOUBLE)]).await;
    let mut stream = TcpStream::connect(house.at.http).await.expect("connects");
    stream.set_nodelay(true).expect("no delay");
    for piece in &pieces {
        stream.write_all(piece.as_bytes()).await.expect("sends");
        stream.flush().await.expect("sends");
        tokio::task::yield_now().await;
    }
    for (status, part) in expect {
        let (got, body) = answer(&mut stream).await;
        assert!(got == status && body.contains(part), "{status} {part}: {got} {body}");
    }
    drop(stream);
    assert!(house.stop(PATIENCE).await, "nothing is left");
}

#[tokio::test]
async fn one_after_the_other() {
    let all = [ask(1, false), ask(2, false), ask(3, false)].concat();
    check(vec![all], vec![("200", "[2.0,1.0]"), ("200", "[4.0,1.0]"), ("200", "[6.0,1.0]")]).await;
}

#[tokio::test]
async fn an_odd_request_between_plain_ones() {
    let all = [ask(1, false), ask(2, true), ask(3, false)].concat();
    check(vec![all], vec![("200", "[2.0,1.0]"), ("200", "[4.0,1.0]"), ("200", "[6.0,1.0]")]).await;
}

#[tokio::test]
async fn a_request_in_pieces() {
    let text = ask(1, false);
    let pieces = text.as_bytes().chunks(7).map(|it| String::from_utf8_lossy(it).into_owned());
    check(pieces.collect(), vec![("200", "[2.0,1.0]")]).await;
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_open() {
    let unknown = ask(1, false).replace("/m/", "/nobody/");
    let odd = ask(1, false).replace("FP32", "FP64");
    let expect = vec![
        ("404", "'nobody' is not found"),
        ("400", "data-type is 'FP64'"),
        ("200", "[4.0,1.0]"),
    ];
    check(vec![[unknown, odd, ask(2, false)].concat()], expect).await;
}

#[tokio::test]
async fn another_path_behind_a_plain_request() {
    let live = "GET /v2/health/live HTTP/1.1\r\nhost: here\r\n\r\n".to_owned();
    check(vec![[ask(1, false), live].concat()], vec![("200", "[2.0,1.0]"), ("200", "")]).await;
}
