//! One HTTP/2 connection, straight on its frames.
//!
//! Predictions over gRPC, the many and small requests, are begun and ended by the connection
//! itself (see `calls`): no task, no channel and no wake-up for each. Everything else gets a task
//! and the same handler as over HTTP/1.

mod calls;
mod keepalive;
mod late;
mod pump;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use http::Request;

use crate::activity::{Active, Activity};
use crate::body::Incoming;
use crate::listener::Handler;
use crate::options::{
    CONNECTION_WINDOW, ConnectionLimits, FRAME_BYTES_MAX, HEADER_BYTES_MAX, RESETS_MAX,
    STREAM_WINDOW,
};
use crate::stream::Stream;

pub(crate) use calls::Calls;
use keepalive::Keepalive;
use late::Late;

/// A connection's driver.
pub(crate) struct Http2<H> {
    state: State,
    handler: Arc<H>,
    activity: Arc<Activity>,
    limits: Arc<ConnectionLimits>,
    calls: Option<Calls>,
}

enum State {
    /// The peer's preface and settings are being read. Set: it is to end as soon as it has begun.
    Handshake(Box<Handshake<Late, Bytes>>, bool),
    Open(Box<Connection<Late, Bytes>>, Option<Keepalive>),
}

impl<H: Handler> Http2<H> {
    pub(crate) fn new(
        stream: Stream,
        handler: Arc<H>,
        activity: Arc<Activity>,
        limits: Arc<ConnectionLimits>,
    ) -> Http2<H> {
        let handshake = Builder::new()
            .max_concurrent_streams(limits.streams_max)
            .max_local_error_reset_streams(Some(RESETS_MAX))
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_frame_size(FRAME_BYTES_MAX)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(Late::new(stream));
        let calls = handler.calls(&limits);
        let state = State::Handshake(Box::new(handshake), false);
        Http2 { state, handler, activity, limits, calls }
    }

    /// Tells the peer to go away; what it has begun is still answered.
    pub(crate) fn graceful_shutdown(&mut self) {
        match &mut self.state {
            State::Handshake(_, ends) => *ends = true,
            State::Open(connection, _) => connection.graceful_shutdown(),
        }
    }

    /// Ready when the connection is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Handshake(handshake, ends) = &mut self.state {
            let Poll::Ready(opened) = Pin::new(&mut **handshake).poll(cx) else {
                return Poll::Pending;
            };
            let Ok(mut connection) = opened else { return Poll::Ready(()) };
            if *ends {
                connection.graceful_shutdown();
            }
            let keepalive = connection.ping_pong().map(Keepalive::new);
            self.state = State::Open(Box::new(connection), keepalive);
        }
        let State::Open(connection, keepalive) = &mut self.state else { return Poll::Pending };
        // Answers first: the poll of the connection below sends them.
        if let Some(calls) = &mut self.calls {
            calls.answer(cx);
        }
        loop {
            match connection.poll_accept(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let active = self.activity.begin();
                    let begin = Begin { request, received: Bytes::new(), respond, active };
                    let begin = match &mut self.calls {
                        Some(calls) => calls.begin(cx, begin),
                        None => Some(begin),
                    };
                    if let Some(begin) = begin {
                        begin.spawn(Arc::clone(&self.handler), Arc::clone(&self.limits));
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
            }
        }
        if let Some(calls) = &mut self.calls {
            calls.listen(cx);
        }
        match keepalive.as_mut().map(|it| it.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(()),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

/// A request whose header has come in.
pub(crate) struct Begin {
    pub(crate) request: Request<RecvStream>,
    /// What has been read of its body.
    pub(crate) received: Bytes,
    pub(crate) respond: SendResponse<Bytes>,
    pub(crate) active: Active,
}

impl Begin {
    /// Takes what has come of the body. True if that is all of it.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut rest = BytesMut::new();
        let body = self.request.body_mut();
        let whole = loop {
            match body.poll_data(cx) {
                Poll::Ready(None) => break true,
                Poll::Ready(Some(Ok(data))) => {
                    // The connection's window is bounded, and so is what can be here.
                    let _ = body.flow_control().release_capacity(data.len());
                    if self.received.is_empty() {
                        self.received = data;
                    } else {
                        rest.extend_from_slice(&data);
                    }
                    if body.is_end_stream() {
                        break true;
                    }
                }
                // An error shows again when the body is read on.
                Poll::Ready(Some(Err(_))) | Poll::Pending => break false,
            }
        };
        if !rest.is_empty() {
            rest = [&self.received[..], &rest].concat().as_slice().into();
            self.received = rest.freeze();
        }
        whole
    }

    /// Answers it on a task of its own, until it is answered or the peer gives it up.
    fn spawn<H: Handler>(self, handler: Arc<H>, limits: Arc<ConnectionLimits>) {
        let Begin { request, received, mut respond, active } = self;
        tokio::spawn(async move {
            let (head, body) = request.into_parts();
            let body = Incoming::http2(&head.headers, body, received);
            let request = Request::from_parts(head, body);
            let handled = pump::unless_reset(&mut respond, handler.handle(request)).await;
            if let Some(response) = handled {
                pump::respond(respond, response, &limits).await;
            }
            drop(active);
        });
    }
}
