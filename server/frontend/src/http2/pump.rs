//! Sends answers as fast as the peer takes them, and gives up on one that does not.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{Response, header};
use http_body::Body as _;

use crate::body::ResponseBody;
use crate::options::ConnectionLimits;

/// The peer has gone away or does not read.
struct GaveUp;

/// Runs `work` unless the peer resets the stream before it is done.
pub(crate) async fn unless_reset<T>(
    respond: &mut SendResponse<Bytes>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if respond.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Sends a whole response. Its share of the budget is given back when the last piece is about to be sent,
/// and there is room for it in the peer's window; what else it holds when that is sent, and all of it when
/// the peer is given up.
pub(crate) async fn respond(
    mut respond: SendResponse<Bytes>,
    response: Response<ResponseBody>,
    limits: &ConnectionLimits,
) {
    let (mut head, mut body) = response.into_parts();
    // Of HTTP/1 alone; a peer of HTTP/2 would take it for a fault.
    head.headers.remove(header::CONNECTION);
    let empty = body.is_end_stream();
    if empty {
        body.let_go(); // the head is all of it
    }
    let Ok(stream) = respond.send_response(Response::from_parts(head, ()), empty) else { return };
    if !empty {
        send(stream, body, limits).await;
    }
}

/// Sends a body.
pub(crate) async fn send(
    mut stream: SendStream<Bytes>,
    mut body: ResponseBody,
    limits: &ConnectionLimits,
) {
    let mut pace = Pace::new(limits);
    let mut ended = false;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame else {
            stream.send_reset(Reason::INTERNAL_ERROR);
            return;
        };
        let sent = match frame.into_data() {
            Ok(data) => {
                ended = body.is_end_stream();
                pace.send(&mut stream, data, ended.then_some(&mut body)).await
            }
            Err(frame) => {
                ended = true;
                body.let_go();
                let trailers = frame.into_trailers().unwrap_or_default();
                stream.send_trailers(trailers).map_err(|_| GaveUp)
            }
        };
        if sent.is_err() {
            return;
        }
    }
    if !ended {
        body.let_go();
        let _ = stream.send_data(Bytes::new(), true);
    }
}

/// How fast the peer takes an answer.
struct Pace {
    began: Instant,
    /// When it last took something.
    took: Instant,
    sent: u64,
    stall: Duration,
    grace: Duration,
    rate_min: u64,
}

impl Pace {
    fn new(limits: &ConnectionLimits) -> Pace {
        let now = Instant::now();
        let (stall, grace) = (limits.write_stall, limits.body_grace);
        let rate_min = limits.body_rate_min.max(1);
        Pace { began: now, took: now, sent: 0, stall, grace, rate_min }
    }

    /// When the peer will have been too slow, by taking nothing or too little.
    fn due(&self) -> Instant {
        let earned = Duration::from_secs(self.sent / self.rate_min);
        (self.took + self.stall).min(self.began + self.grace + self.stall + earned)
    }

    /// Sends a piece; if it is the last, with the body that is at its end.
    async fn send(
        &mut self,
        stream: &mut SendStream<Bytes>,
        mut data: Bytes,
        mut last: Option<&mut ResponseBody>,
    ) -> Result<(), GaveUp> {
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            if stream.capacity() == 0 {
                let room = poll_fn(|cx| stream.poll_capacity(cx));
                match tokio::time::timeout_at(self.due().into(), room).await {
                    Ok(Some(Ok(_))) => {}
                    Ok(Some(Err(_)) | None) => return Err(GaveUp),
                    Err(_) => {
                        tracing::debug!(sent = self.sent, "a peer does not read its answer");
                        stream.send_reset(Reason::CANCEL);
                        return Err(GaveUp);
                    }
                }
            }
            let now = data.split_to(stream.capacity().min(data.len()));
            if !now.is_empty() {
                (self.sent, self.took) = (self.sent + now.len() as u64, Instant::now());
            }
            let ended = last.take_if(|_| data.is_empty());
            let ends = ended.is_some();
            // The peer may hear of it, and ask again, before this task goes on.
            ended.into_iter().for_each(|it| it.let_go());
            stream.send_data(now, ends).map_err(|_| GaveUp)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
