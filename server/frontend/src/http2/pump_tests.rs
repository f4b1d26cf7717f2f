use super::*;

use bytes::Bytes;
use h2::client;
use http::Request;

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
