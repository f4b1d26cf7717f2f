//! Finds out whether a peer that says nothing is still there.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

use crate::options::{PING_INTERVAL, PING_TIMEOUT};

/// Asks at intervals, and waits so long for the answer.
pub(crate) struct Keepalive {
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl Keepalive {
    pub(crate) fn new(pings: PingPong) -> Keepalive {
        Keepalive { pings, timer: Box::pin(sleep(PING_INTERVAL)), asked: false }
    }

    /// Ready when the peer has not answered in time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.asked && self.pings.poll_pong(cx).is_ready() {
                self.asked = false;
                self.timer.as_mut().reset(Instant::now() + PING_INTERVAL);
            }
            ready!(self.timer.as_mut().poll(cx));
            if self.asked || self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Ready(());
            }
            self.asked = true;
            self.timer.as_mut().reset(Instant::now() + PING_TIMEOUT);
        }
    }
}
