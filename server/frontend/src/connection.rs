//! Drives one connection from its first byte to its last.
//!
//! Ends it when the peer does, when it is overdue (see `Activity`), or, politely, when the server
//! drains: HTTP/2 peers are told to go away, HTTP/1 answers say that they are the last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::activity::{Activity, Overdue};
use crate::body::{Incoming, ResponseBody};
use crate::http1::{Ended, Plain};
use crate::http2::Http2;
use crate::listener::Handler;
use crate::options::{ConnectionLimits, HTTP1_BUFFER_BYTES};
use crate::stream::{Spoken, Stream};

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
    limits: Arc<ConnectionLimits>,
    mut drain: watch::Receiver<bool>,
) -> Option<Overdue> {
    let activity = Arc::new(Activity::new());
    let stream = Stream::new(stream, Arc::clone(&activity), limits.write_stall);
    let mut driver = Driver::Unknown(Opening { stream, handler, limits: Arc::clone(&limits) });
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
                driver.graceful_shutdown();
            }
            if driver.poll(cx, &activity).is_ready() {
                return Poll::Ready(());
            }
            let due = activity.deadline(&limits, leaving);
            // Nothing is due before the timer, as most of the time: no need to ask the clock.
            let later = due.is_none_or(|(at, _)| at >= timer.deadline().into_std());
            if later && timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            let farewell = |asked: Instant| asked.max(activity.last_write()) + FAREWELL;
            let next = match (due, asked) {
                (Some((due, _)), _) if due > now => due,
                // It was asked and does not go.
                (Some(_), Some(asked)) if farewell(asked) <= now => return Poll::Ready(()),
                (Some(_), Some(asked)) => farewell(asked),
                (Some((_, why)), None) => {
                    overdue = leaving.is_none().then_some(why);
                    asked = Some(now);
                    driver.graceful_shutdown();
                    continue;
                }
                // A request may end on another task, without a word to this one.
                (None, _) => now + RECHECK,
            };
            // An earlier look than needed does no harm, and setting a timer costs.
            let set = timer.deadline().into_std();
            if next < set || set <= now {
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

/// Who drives the connection.
enum Driver<H> {
    /// Nobody yet: its first bytes have not come.
    Unknown(Opening<H>),
    /// HTTP/1 as long as it is plain.
    Plain(Box<Plain>, Arc<H>),
    Http1(Pin<Box<dyn Http1>>),
    Http2(Box<Http2<H>>),
    Closed,
}

/// What a driver is made of.
struct Opening<H> {
    stream: Stream,
    handler: Arc<H>,
    limits: Arc<ConnectionLimits>,
}

impl<H: Handler> Driver<H> {
    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>, activity: &Arc<Activity>) -> Poll<()> {
        if let Driver::Unknown(opening) = self {
            let Ok(spoken) = ready!(opening.stream.poll_protocol(cx)) else {
                return Poll::Ready(());
            };
            let Driver::Unknown(opening) = std::mem::replace(self, Driver::Closed) else {
                return Poll::Ready(());
            };
            *self = opening.begin(spoken, activity);
        }
        if let Driver::Plain(plain, _) = self {
            match ready!(plain.poll(cx)) {
                Ended::Closed => return Poll::Ready(()),
                Ended::Unusual => {}
            }
            let Driver::Plain(plain, handler) = std::mem::replace(self, Driver::Closed) else {
                return Poll::Ready(());
            };
            let leaving = plain.is_leaving();
            *self = hyper(plain.into_stream(), handler, Arc::clone(activity));
            if leaving {
                self.graceful_shutdown();
            }
        }
        match self {
            Driver::Unknown(_) | Driver::Plain(..) => Poll::Pending,
            Driver::Http1(connection) => connection.as_mut().poll(cx).map(drop),
            Driver::Http2(connection) => connection.poll(cx),
            Driver::Closed => Poll::Ready(()),
        }
    }

    fn graceful_shutdown(&mut self) {
        match self {
            Driver::Unknown(_) => *self = Driver::Closed,
            Driver::Plain(plain, _) => plain.graceful_shutdown(),
            Driver::Http1(connection) => connection.as_mut().shut(),
            Driver::Http2(connection) => connection.graceful_shutdown(),
            Driver::Closed => {}
        }
    }
}

impl<H: Handler> Opening<H> {
    fn begin(self, spoken: Spoken, activity: &Arc<Activity>) -> Driver<H> {
        let Opening { stream, handler, limits } = self;
        if spoken == Spoken::Http2 {
            let activity = Arc::clone(activity);
            return Driver::Http2(Box::new(Http2::new(stream, handler, activity, limits)));
        }
        let activity = Arc::clone(activity);
        match handler.plain() {
            Some(rest) => Driver::Plain(Box::new(Plain::new(stream, rest, activity)), handler),
            None => hyper(stream, handler, activity),
        }
    }
}

/// HTTP/1 in all its forms.
fn hyper<H: Handler>(stream: Stream, handler: Arc<H>, activity: Arc<Activity>) -> Driver<H> {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (handler, active) = (Arc::clone(&handler), activity.begin());
        async move {
            let response: Response<ResponseBody> =
                handler.handle(request.map(Incoming::Http1)).await;
            Ok::<_, Infallible>(response.map(|body| body.holding(active)))
        }
    });
    let mut builder = http1::Builder::new();
    // Ours counts from a header's first byte; hyper's would count idle time too.
    builder.timer(TokioTimer::new()).header_read_timeout(None).keep_alive(true);
    builder.max_buf_size(HTTP1_BUFFER_BYTES);
    Driver::Http1(Box::pin(builder.serve_connection(TokioIo::new(stream), service)))
}

/// An HTTP/1 connection, whatever its service's type.
trait Http1: Future<Output = hyper::Result<()>> + Send {
    fn shut(self: Pin<&mut Self>);
}

impl<S> Http1 for http1::Connection<TokioIo<Stream>, S>
where
    S: HttpService<hyper::body::Incoming, ResBody = ResponseBody, Error = Infallible> + Send,
    S::Future: Send,
    http1::Connection<TokioIo<Stream>, S>: Future<Output = hyper::Result<()>> + Send,
{
    fn shut(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
