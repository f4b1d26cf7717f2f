//! Accepts connections, so many at a time, and knows when all of them have ended.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout_at};

use crate::body::{Incoming, ResponseBody};
use crate::connection;
use crate::http::Rest;
use crate::http2::Calls;
use crate::metrics::ConnectionMetrics;
use crate::options::ConnectionLimits;

/// Connections that the kernel holds for us while all places are taken.
const BACKLOG: i32 = 1_024;

/// Pause after a failed accept, doubling up to the last: no descriptors are left, usually, and
/// trying at once would only burn the core that frees them.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A peer that has vanished without a word is noticed by the kernel after this and a few probes.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Errors are answers too.
    fn handle(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<ResponseBody>> + Send;

    /// What an HTTP/2 connection answers by itself; nothing if every request gets a task.
    fn calls(&self, limits: &Arc<ConnectionLimits>) -> Option<Calls>;

    /// What a plain HTTP/1 connection asks by itself; nothing if hyper has every connection.
    fn plain(&self) -> Option<Arc<Rest>>;
}

/// A port that is ours, not yet served.
pub struct Bound {
    listener: StdListener,
    name: &'static str,
}

impl Bound {
    /// Takes the port; 0 takes a free one. The error names the address.
    pub fn bind(name: &'static str, address: SocketAddr) -> io::Result<Bound> {
        let bind = || {
            let socket =
                Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            // A restart need not wait for the last server's connections to be forgotten.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        let named =
            |it: io::Error| io::Error::new(it.kind(), format!("{name} port {address}: {it}"));
        Ok(Bound { listener: bind().map_err(named)?, name })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves it on the current runtime.
    pub fn serve<H: Handler>(
        self,
        handler: Arc<H>,
        limits: ConnectionLimits,
    ) -> io::Result<Serving> {
        let listener = TcpListener::from_std(self.listener)?;
        let (drain, draining) = watch::channel(false);
        let places = Arc::new(Semaphore::new(limits.connections_max));
        let (name, places_max) = (self.name, limits.connections_max);
        let door = Door {
            listener,
            handler,
            metrics: ConnectionMetrics::new(self.name),
            limits: Arc::new(limits),
            places: Arc::clone(&places),
            draining,
        };
        let accepting = tokio::spawn(door.accept());
        Ok(Serving { name, drain, accepting, places, places_max })
    }
}

/// A port that is being served.
pub struct Serving {
    name: &'static str,
    drain: watch::Sender<bool>,
    /// Ends once the listening socket is closed.
    accepting: JoinHandle<()>,
    places: Arc<Semaphore>,
    places_max: usize,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Every connection came to its end.
    Complete,
    /// So many were still open when the time was up.
    Cut(usize),
}

impl Serving {
    /// Accepts no more, lets every connection finish what it has begun, and returns when the port and all
    /// of them are closed, or at `by`.
    pub async fn drain(self, by: Instant) -> Drain {
        self.drain.send_replace(true);
        let all = u32::try_from(self.places_max).unwrap_or(u32::MAX);
        let closed = async {
            // Places say nothing of the port: the one that it had for the next peer is free before it is closed.
            let _ = self.accepting.await;
            self.places.acquire_many(all).await.is_ok()
        };
        if timeout_at(by.into(), closed).await.unwrap_or(false) {
            return Drain::Complete;
        }
        let open = self.places_max.saturating_sub(self.places.available_permits());
        tracing::warn!(listener = self.name, open, "connections are cut: the time to drain is up");
        Drain::Cut(open)
    }
}

/// What the accept loop owns.
struct Door<H> {
    listener: TcpListener,
    handler: Arc<H>,
    metrics: ConnectionMetrics,
    limits: Arc<ConnectionLimits>,
    places: Arc<Semaphore>,
    draining: watch::Receiver<bool>,
}

impl<H: Handler> Door<H> {
    /// Until the server drains. The listening socket is closed at the end: new peers are refused.
    async fn accept(mut self) {
        let mut draining = self.draining.clone();
        let drained = async move { draining.wait_for(|it| *it).await.is_ok() };
        tokio::select! {
            _ = drained => {}
            () = self.accept_all() => {}
        }
    }

    async fn accept_all(&mut self) {
        let mut pause = ACCEPT_PAUSE;
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    pause = ACCEPT_PAUSE;
                    if let Err(error) = prepare(&stream) {
                        tracing::debug!(%error, "a new connection was gone already");
                        continue;
                    }
                    let (handler, limits) = (Arc::clone(&self.handler), Arc::clone(&self.limits));
                    let (draining, open) = (self.draining.clone(), self.metrics.open());
                    tokio::spawn(async move {
                        let overdue = connection::serve(stream, handler, limits, draining).await;
                        open.closed(overdue);
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(listener = self.metrics.listener(), %error, "cannot accept");
                    sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
