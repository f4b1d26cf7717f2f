use super::*;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::Context;

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
