//! A TCP stream that reports what it reads and gives up when nothing of it can be written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::activity::Activity;

/// How every HTTP/2 connection begins.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
}

/// What the first bytes tell, if they are enough to tell.
fn spoken(first: &[u8]) -> Option<Spoken> {
    if first.is_empty() {
        None
    } else if first.starts_with(PREFACE) {
        Some(Spoken::Http2)
    } else if PREFACE.starts_with(first) {
        None
    } else {
        Some(Spoken::Http1)
    }
}

/// The stream under a connection.
pub(crate) struct Stream {
    inner: TcpStream,
    /// What was read to see which protocol it is, and has not been handed on.
    first: Vec<u8>,
    activity: Arc<Activity>,
    write_stall: Duration,
    /// Runs while a write waits for the peer.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(crate) fn new(inner: TcpStream, activity: Arc<Activity>, write_stall: Duration) -> Stream {
        Stream { inner, first: Vec::new(), activity, write_stall, stalled: None }
    }

    /// Reads until it is clear what the peer speaks. An error: it has gone without a word.
    pub(crate) fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Spoken>> {
        loop {
            if let Some(spoken) = spoken(&self.first) {
                self.activity.speaks(spoken);
                return Poll::Ready(Ok(spoken));
            }
            let mut bytes = [0; PREFACE.len()];
            // No more than the preface, which is then all that has to be kept.
            let room = bytes.get_mut(self.first.len()..).unwrap_or_default();
            let mut buffer = ReadBuf::new(room);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.activity.read(buffer.filled());
            self.first.extend_from_slice(buffer.filled());
        }
    }

    /// Reads at most `room` bytes behind what is in `buffer`.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        buffer.reserve(room);
        let mut limited = (&mut *buffer).limit(room);
        tokio_util::io::poll_read_buf(Pin::new(self), cx, &mut limited)
    }

    /// Ready when there may be something to read.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_read_ready(cx)
    }

    /// Takes what was read to see which protocol it is.
    pub(crate) fn take_first(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.first)
    }

    /// Gives back what was read: it will be read again.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        self.first = [bytes, &self.first].concat();
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(self).poll_shutdown(cx).map(drop)
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.activity.writes_again();
            }
            return written;
        }
        if self.stalled.is_none() {
            self.activity.cannot_write();
        }
        let stall = self.write_stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer does not read its answers",
        )))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            let (now, rest) = first.split_at(first.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.first = rest.to_vec();
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.activity.read(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_apart_by_their_first_bytes() {
        for (first, expect) in [
            (&b""[..], None),
            (b"PR", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (PREFACE, Some(Spoken::Http2)),
            (b"PRO", Some(Spoken::Http1)),
            (b"PRI * HTTP/1.1\r\n", Some(Spoken::Http1)),
            (b"G", Some(Spoken::Http1)),
        ] {
            assert_eq!(spoken(first), expect, "{first:?}");
        }
    }
}
