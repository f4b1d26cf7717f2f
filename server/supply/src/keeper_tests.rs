use super::*;

use server_base::Origins;
use server_registry::{AddressPolicy, Environment, ErrorKind, Limits, Registries};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

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

/// Something happens while an address is pulled, which ends so. Is it looked at once more at once, and then no more?
async fn looked_at_again(
    (is_first, succeeds): (bool, bool),
    happens: impl Fn(&mut Keeper<'_>, &Uri),
) -> bool {
    let (mut place, origins) = (Place::new(), Origins::default());
    place.publish(1, ("model.onnx", "model"));
    // The clock does not wait for the disk: a look takes so long at most, and chance makes no poll as short.
    let limits = Limits { look_max: Duration::from_secs(1), ..Limits::default() };
    let (environment, policy) = (Environment::default(), AddressPolicy::default());
    place.stock.registries = Registries::new(environment, None, policy, limits);
    let (uri, poll) = (place.source(), Duration::from_secs(100 * 24 * 3600));
    let desk = desk(&place, &origins, &[&uri]);
    let (awaited, silent) = (AtomicUsize::new(1), Cell::new(false));
    let addresses = (vec![(uri.clone(), poll)], Rc::default());
    let mut keeper = Keeper::new(&desk, (&awaited, &silent), addresses);
    let errand = |is_first| Errand { uri: uri.clone(), poll, is_first };
    let failed = || Err(RegistryError::Unavailable("down".to_owned()));
    if !is_first {
        keeper.brought(errand(true), Ok("A".to_owned()));
        keeper.looked(uri.clone(), Ok(Seen::Changed));
    }
    happens(&mut keeper, &uri);
    keeper.brought(errand(is_first), if succeeds { Ok("B".to_owned()) } else { failed() });
    assert!(keeper.pulled.is_empty() && keeper.again.is_empty());
    let start = Instant::now();
    let mut is_next = async || {
        let (looked, _) = keeper.rounds.next(0.5).await.expect("watched");
        assert_eq!(looked, uri);
        start.elapsed() <= Duration::from_secs(1)
    };
    let is_again = is_next().await;
    assert!(!is_next().await, "not again and again");
    is_again
}

#[tokio::test(start_paused = true)]
async fn what_happens_during_a_pull_is_looked_at_after_it() {
    let says = |keeper: &mut Keeper<'_>, uri: &Uri| keeper.hurried(uri);
    let sees =
        |seen| move |keeper: &mut Keeper<'_>, uri: &Uri| keeper.looked(uri.clone(), Ok(seen));
    let down = || Err(RegistryError::Unavailable("down".to_owned()));
    let later = (false, true);
    assert!(looked_at_again(later, sees(Seen::Changed)).await, "something newer still");
    assert!(looked_at_again(later, sees(Seen::Same)).await, "it was taken back");
    assert!(looked_at_again(later, says).await, "a message");
    assert!(looked_at_again((true, true), says).await, "a message, before anybody watches");
    for is_first in [true, false] {
        assert!(!looked_at_again((is_first, true), |_, _| {}).await, "nothing has happened");
        assert!(!looked_at_again((is_first, false), |_, _| {}).await, "a pull has failed");
    }
    assert!(!looked_at_again((true, false), says).await, "what fails is not tried at once");
    assert!(!looked_at_again((false, false), sees(Seen::Changed)).await, "nor this");
    let fails = move |keeper: &mut Keeper<'_>, uri: &Uri| keeper.looked(uri.clone(), down());
    assert!(!looked_at_again(later, fails).await, "nobody has said anything");
}
