//! Drives one connection from its first byte to its last.
//!
//! Ends it when the peer does, when it is overdue (see `Activity`), or, politely, when the server
//! drains: HTTP/2 peers are told to go away, HTTP/1 answers say that they are the last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::activity::{Activity, Overdue};
use crate::body::ResponseBody;
use crate::listener::Handler;
use crate::options::{
    CONNECTION_WINDOW, ConnectionLimits, FRAME_BYTES_MAX, HEADER_BYTES_MAX, PING_INTERVAL,
    PING_TIMEOUT, RESETS_MAX, STREAM_WINDOW,
};
use crate::stream::Stream;

/// How long a connection that was asked to end may take before it is cut. Longer than a round
/// trip; what is still being answered is not asked to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often a busy connection is looked at: far apart enough to cost nothing, and close enough
/// that an idle time-out is not much later than it says.
const RECHECK: Duration = Duration::from_secs(10);

/// Serves one connection to its end. Says why if we ended it.
pub(crate) async fn serve<H: Handler>(
    stream: TcpStream,
    handler: Arc<H>,
    limits: &ConnectionLimits,
    mut drain: watch::Receiver<bool>,
) -> Option<Overdue> {
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Stream::new(stream, Arc::clone(&activity), limits.write_stall));
    let service = {
        let activity = Arc::clone(&activity);
        service_fn(move |request: Request<Incoming>| {
            let (handler, active) = (Arc::clone(&handler), activity.begin());
            async move {
                let response: Response<ResponseBody> = handler.handle(request).await;
                Ok::<_, Infallible>(response.map(|body| body.holding(active)))
            }
        })
    };
    let builder = builder(limits);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut drained = pin!(async move { drain.wait_for(|it| *it).await.is_ok() });
    let mut timer = pin!(sleep_until(Instant::now().into()));
    let mut leaving: Option<Instant> = None;
    let mut asked: Option<Instant> = None;
    let mut overdue = None;
    poll_fn(|cx| {
        if leaving.is_none() && drained.as_mut().poll(cx).is_ready() {
            leaving = Some(Instant::now());
        }
        loop {
            // An idle HTTP/1 peer may be sending just now: it is given a moment, see `Activity`.
            if asked.is_none() && leaving.is_some() && activity.can_be_asked() {
                asked = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let now = Instant::now();
            let next = match (activity.deadline(limits, leaving), asked) {
                (Some((due, _)), _) if due > now => due,
                // It was asked and does not go.
                (Some(_), Some(asked)) if asked + FAREWELL <= now => return Poll::Ready(()),
                (Some(_), Some(asked)) => asked + FAREWELL,
                (Some((_, why)), None) => {
                    overdue = leaving.is_none().then_some(why);
                    asked = Some(now);
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                // A request may end on another task, without a word to this one.
                (None, _) => now + RECHECK,
            };
            if timer.deadline().into_std() != next {
                timer.as_mut().reset(next.into());
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
    overdue
}

fn builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Ours counts from a header's first byte; hyper's would count idle time too.
        .header_read_timeout(None)
        .keep_alive(true)
        .max_buf_size(FRAME_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_local_error_reset_streams(RESETS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
