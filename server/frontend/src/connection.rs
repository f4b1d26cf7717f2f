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
    let mut timer = pin!(sleep_until((Instant::now() + limits.first_byte).into()));
    let (mut leaving, mut overdue) = (false, None);
    poll_fn(|cx| {
        if !leaving && drained.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
            leaving = true;
        }
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // Whatever the connection did just now, it did in the poll above: the deadline is new.
            let Some((due, why)) = activity.deadline(limits) else { return Poll::Pending };
            let due = if overdue.is_some() { due + FAREWELL } else { due };
            if due > Instant::now() {
                if timer.deadline().into_std() != due {
                    timer.as_mut().reset(due.into());
                }
                return timer.as_mut().poll(cx);
            }
            if overdue.replace(why).is_some() {
                return Poll::Ready(()); // it was asked and did not go
            }
            connection.as_mut().graceful_shutdown();
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
