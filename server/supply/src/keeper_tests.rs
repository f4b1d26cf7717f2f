use super::*;

use std::collections::BTreeMap;

use server_base::{ModelName, Origins, Version};
use server_registry::{
    AddressPolicy, Cache, Environment, ErrorKind, Limits, Lock, Registries, SignaturePolicy,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::folder::ModelFolder;
use crate::supply::{Fate, Stock, World};
use crate::target::Target;

/// Nobody wants anything but what the addresses name.
struct Quiet;

impl World for Quiet {
    fn fate(&self, _: &ModelName, _: Version) -> Fate {
        Fate::Idle
    }

    fn wanted(&self) -> Vec<(ModelName, Version)> {
        Vec::new()
    }

    fn failed(&self) -> Vec<(ModelName, Version)> {
        Vec::new()
    }

    fn faults(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// A web server until the test ends: of what is called broken only the beginning comes.
async fn web() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

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

struct Place {
    root: TempDir,
    stock: Stock,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().expect("scratch");
        let cache = Cache::open(&root.path().join("cache"), 1 << 30).expect("a cache");
        let policy = AddressPolicy::default();
        let registries = Registries::new(Environment::default(), None, policy, Limits::default());
        let (lock, signatures) = (Lock::default(), SignaturePolicy::Ignored);
        let stock = Stock { registries, cache, lock, signatures, artifacts: vec!["model.onnx"] };
        Place { root, stock }
    }

    fn desk<'a>(&'a self, origins: &'a Origins, sources: &[&Uri]) -> Desk<'a> {
        let folder = |(n, source): (usize, &&Uri)| {
            let target = Target {
                model: ModelName::new(&format!("m{n}")).expect("a name"),
                source: (*source).clone(),
                labels: BTreeMap::new(),
                promoted_alias: None,
                verdicts: None,
                poll: Duration::ZERO,
                settings: toml::Table::new(),
            };
            ModelFolder::new(self.root.path(), target).expect("a folder")
        };
        Desk::new((&self.stock, &Quiet), origins, sources.iter().enumerate().map(folder).collect())
    }
}

fn uri(address: &str, folder: &str) -> Uri {
    format!("http://{address}/{folder}/model.onnx").parse().expect("an address")
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
    let address = web().await;
    let (broken, whole) = (uri(&address, "broken"), uri(&address, "whole"));
    let (place, origins, silent) = (Place::new(), Origins::default(), Cell::new(false));
    let desk = place.desk(&origins, &[&broken, &whole]);
    assert_eq!(first_of(&desk, &broken, &silent).await, Some(ErrorKind::Unavailable));
    assert_eq!(first_of(&desk, &whole, &silent).await, None, "its registry answers");
    let brought = place.root.path().join("m1/1/model.onnx");
    assert_eq!(std::fs::read_to_string(brought).expect("placed"), "model");
}

#[tokio::test]
async fn a_registry_that_is_silent_is_asked_once() {
    // Held, so that nobody else comes to listen there.
    let held = tokio::net::TcpSocket::new_v4().expect("a socket");
    held.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let (one, other) = (uri(&address, "one"), uri(&address, "other"));
    let (place, origins, silent) = (Place::new(), Origins::default(), Cell::new(false));
    let desk = place.desk(&origins, &[&one, &other]);
    for it in [&one, &other] {
        assert_eq!(first_of(&desk, it, &silent).await, Some(ErrorKind::Unavailable));
        assert!(silent.get());
    }
}
