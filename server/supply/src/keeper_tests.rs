use super::*;

use server_base::Origins;
use server_registry::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::fixture::{Place, Wants, target, uri, web};

/// Of what is called broken only the beginning comes.
async fn serve(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let body = match (head.starts_with("HEAD"), head.contains("broken")) {
        (true, _) => "",
        (false, true) => "mo",
        (false, false) => "model",
    };
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await; // who asked may have gone
}

/// Nobody wants anything but what the addresses name.
static QUIET: Wants = Wants { versions: Vec::new(), failed: Vec::new(), unknown: None };

fn desk<'a>(place: &'a Place, origins: &'a Origins, sources: &[&Uri]) -> Desk<'a> {
    let target = |(n, source): (usize, &&Uri)| target(&format!("m{n}"), (*source).clone());
    place.desk(&QUIET, (origins, sources.iter().enumerate().map(target).collect()))
}

fn model_of(address: &str, folder: &str) -> Uri {
    uri(&format!("http://{address}/{folder}/model.onnx"))
}

/// Brings one for the first time: the kind of the error, and whether the registry counts as silent now.
async fn first_of(desk: &Desk<'_>, uri: &Uri, is_silent: &Cell<bool>) -> Option<ErrorKind> {
    let awaited = AtomicUsize::new(1);
    let errand = Errand { uri: uri.clone(), poll: Duration::ZERO, is_first: true };
    let (_, placed) = bring(desk, (&awaited, is_silent), errand).await;
    assert_eq!(awaited.load(Ordering::Acquire), 0);
    placed.err().map(|it| it.kind())
}

#[tokio::test]
async fn one_that_breaks_off_keeps_no_other_away() {
    let address = web(serve).await;
    let (broken, whole) = (model_of(&address, "broken"), model_of(&address, "whole"));
    let (place, origins, silent) = (Place::new(), Origins::default(), Cell::new(false));
    let desk = desk(&place, &origins, &[&broken, &whole]);
    assert_eq!(first_of(&desk, &broken, &silent).await, Some(ErrorKind::Unavailable));
    assert_eq!(first_of(&desk, &whole, &silent).await, None, "its registry answers");
    let brought = place.house().join("m1/1/model.onnx");
    assert_eq!(std::fs::read_to_string(brought).expect("placed"), "model");
}

#[tokio::test]
async fn a_registry_that_is_silent_is_asked_once() {
    // Held, so that nobody else comes to listen there.
    let held = TcpSocket::new_v4().expect("a socket");
    held.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let (one, other) = (model_of(&address, "one"), model_of(&address, "other"));
    let (place, origins, silent) = (Place::new(), Origins::default(), Cell::new(false));
    let desk = desk(&place, &origins, &[&one, &other]);
    for it in [&one, &other] {
        assert_eq!(first_of(&desk, it, &silent).await, Some(ErrorKind::Unavailable));
        assert!(silent.get());
    }
}
