use super::*;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use h2::client;
use http::{HeaderMap, Request};
use http_body::Frame;
use server_serving::{Admission, AdmissionLimits};
use tokio::sync::oneshot;

/// A peer whose window is so large asks once; what it got of ten bytes, or how it was given up.
async fn ask(window: u32) -> Result<Bytes, Option<Reason>> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(async move {
        let mut connection = h2::server::handshake(far).await.expect("a server");
        let mut sending = None;
        while let Some(Ok((_, respond))) = connection.accept().await {
            sending = Some(tokio::spawn(async move {
                let body = ResponseBody::full(&b"ten bytes."[..]);
                super::respond(respond, Response::new(body), &ConnectionLimits::default()).await;
            }));
        }
        sending.expect("one request").await.expect("sends");
    });
    let mut builder = client::Builder::new();
    let (mut sender, connection) =
        builder.initial_window_size(window).handshake::<_, Bytes>(near).await.expect("a client");
    let driven = tokio::spawn(connection);
    let request = Request::builder().uri("http://peer/").body(()).expect("a request");
    let (response, _) = sender.send_request(request, true).expect("sends");
    let mut body = response.await.expect("a head").into_body();
    let got = match body.data().await {
        Some(Ok(data)) => Ok(data),
        Some(Err(error)) => Err(error.reason()),
        None => Err(None),
    };
    drop((sender, body));
    driven.await.expect("lives").expect("ends well");
    served.await.expect("the permit's holder has ended");
    got
}

/// Time is virtual: it passes when nothing else can happen.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    assert_eq!(ask(0).await, Err(Some(Reason::CANCEL)));
}

#[tokio::test(start_paused = true)]
async fn one_that_reads_gets_everything() {
    assert_eq!(ask(65_535).await, Ok(Bytes::from_static(b"ten bytes.")));
}

/// A body that does not say that there is no more before its reader has all of it.
struct Late {
    frames: VecDeque<Frame<Bytes>>,
    read: oneshot::Receiver<()>,
}

impl http_body::Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.read).poll(cx).map(|_| None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }
}

/// Requests and bytes in the house at the beginning of an answer of these frames, and when a peer has read it to
/// its end while whoever sends it has not gone on.
async fn held(frames: impl Into<VecDeque<Frame<Bytes>>>) -> [(usize, usize); 2] {
    let door = Admission::new(AdmissionLimits::default());
    let permit = door.enter().expect("room");
    permit.grow(10).expect("room");
    let before = door.in_flight();
    let (has_read, read) = oneshot::channel();
    let late = tonic::body::Body::new(Late { frames: frames.into(), read });
    let body = ResponseBody::grpc(late).with_permit(Some(Arc::new(permit)));
    let (near, far) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(async move {
        let mut connection = h2::server::handshake(far).await.expect("a server");
        let (_, respond) = connection.accept().await.expect("one").expect("a request");
        let limits = ConnectionLimits::default();
        let sending = tokio::spawn(async move {
            super::respond(respond, Response::new(body), &limits).await;
        });
        assert!(connection.accept().await.is_none(), "no more than one");
        sending.await.expect("sends");
    });
    let (mut sender, connection) = client::handshake(near).await.expect("a client");
    let driven = tokio::spawn(connection);
    let request = Request::builder().uri("http://peer/").body(()).expect("a request");
    let (response, _) = sender.send_request(request, true).expect("sends");
    let mut body = response.await.expect("a head").into_body();
    while body.data().await.transpose().expect("data").is_some() {}
    body.trailers().await.expect("an end");
    let after = door.in_flight();
    has_read.send(()).expect("the body is there");
    drop((sender, body));
    driven.await.expect("lives").expect("ends well");
    served.await.expect("ends well");
    [before, after]
}

#[tokio::test(start_paused = true)]
async fn who_has_all_of_an_answer_finds_room() {
    let data = |it: &'static str| Frame::data(Bytes::from_static(it.as_bytes()));
    let trailers = Frame::trailers(HeaderMap::new());
    assert_eq!(held([data("ten "), data("bytes.")]).await, [(1, 10), (0, 0)], "by data");
    assert_eq!(held([data("ten bytes."), trailers]).await, [(1, 10), (0, 0)], "by trailers");
}

/// Notes, at the moment when a connection is told that there is something to send, how many requests and bytes are
/// in the house.
struct Look {
    door: Admission,
    saw: Mutex<Vec<(usize, usize)>>,
}

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        let saw = self.door.in_flight();
        self.saw.lock().expect("no panics").push(saw);
    }
}

/// What was in the house when the end of such an answer could first be sent. `begun`: all but its end is sent before
/// that, and the end comes with the word of the body's reader.
async fn ended(body: tonic::body::Body, begun: Option<oneshot::Sender<()>>) -> Vec<(usize, usize)> {
    let door = Admission::new(AdmissionLimits::default());
    let permit = door.enter().expect("room");
    permit.grow(10).expect("room");
    let body = ResponseBody::grpc(body).with_permit(Some(Arc::new(permit)));
    let (near, far) = tokio::io::duplex(1 << 16);
    let shaken = tokio::join!(client::handshake(near), h2::server::handshake(far));
    let ((mut sender, connection), mut server) =
        (shaken.0.expect("a client"), shaken.1.expect("a server"));
    let driven = tokio::spawn(connection);
    let request = Request::builder().uri("http://peer/").body(()).expect("a request");
    let (_response, _) = sender.send_request(request, true).expect("sends");
    let (_, respond) = server.accept().await.expect("one").expect("a request");
    let limits = ConnectionLimits::default();
    let mut sending = pin!(super::respond(respond, Response::new(body), &limits));
    let mut noop = Context::from_waker(Waker::noop());
    if begun.is_some() {
        assert!(sending.as_mut().poll(&mut noop).is_pending(), "the end is not known yet");
    }
    let look = Arc::new(Look { door: door.clone(), saw: Mutex::default() });
    let waker = Waker::from(Arc::clone(&look));
    // All that there is to send so far is sent.
    assert!(server.poll_accept(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(door.in_flight(), (1, 10));
    begun.into_iter().for_each(|it| it.send(()).expect("the body is there"));
    look.saw.lock().expect("no panics").clear();
    assert!(sending.as_mut().poll(&mut noop).is_ready(), "all is handed over");
    let saw = std::mem::take(&mut *look.saw.lock().expect("no panics"));
    drop((sender, server));
    driven.abort();
    saw
}

/// A body that learns that there is no more when it is asked for more.
struct Blind(Late);

impl http_body::Body for Blind {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn so_does_who_has_one_that_ends_with_its_head() {
    assert_eq!(ended(tonic::body::Body::empty(), None).await, [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn and_one_whose_end_comes_by_itself() {
    let (tell, read) = oneshot::channel();
    let late = Late { frames: [Frame::data(Bytes::from_static(b"ten bytes."))].into(), read };
    assert_eq!(ended(tonic::body::Body::new(Blind(late)), Some(tell)).await, [(0, 0)]);
}

#[test]
fn taking_a_little_now_and_then_is_not_enough() {
    let limits = ConnectionLimits::default();
    let mut pace = Pace::new(&limits);
    let end = pace.began + limits.body_grace + limits.write_stall;
    assert_eq!(pace.due(), pace.began + limits.write_stall);
    // A byte each second, an hour long.
    pace.took = pace.began + Duration::from_secs(3_600);
    pace.sent = 3_600;
    assert_eq!(pace.due(), end + Duration::from_secs(3_600 / limits.body_rate_min));
}
