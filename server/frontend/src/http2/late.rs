//! A stream under an HTTP/2 connection that keeps what comes too late from ending it.
//!
//! A connection that is to end says so twice: first that it is about to, with a ping, and when that is answered, which
//! stream was the last that it takes. A client may have numbered a stream before it heard the first, and send its frames
//! after it has answered the ping, as gRPC's C core does. They are to be ignored then, and the client asks elsewhere. h2
//! ignores all but WINDOW_UPDATE: that it takes for an error of the protocol, for which it ends the connection and all
//! that is still being answered. So those become frames of a kind that nobody knows, which are ignored as well.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::{PREFACE, Stream};

/// Length in three bytes, kind, flags and stream; see RFC 9113, 4.1.
const HEAD: usize = 9;
const PING_BYTES: usize = 8;

const HEADERS: u8 = 1;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const UNKNOWN: u8 = 0xff;

/// Of pings.
const ACK: u8 = 1;

/// What h2 has in the ping that goes with its first farewell. Were it another, late frames would end the connection as
/// before: `test_drain.py` would see it.
const FAREWELL: [u8; PING_BYTES] = [0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54];

/// See the module.
pub(crate) struct Late {
    stream: Stream,
    frames: Frames,
}

/// Follows the frames that come in.
struct Frames {
    /// Bytes until the next frame: of the preface, or of the last frame's content.
    over: usize,
    /// What is known of a frame: its head, and the content of a ping.
    head: [u8; HEAD + PING_BYTES],
    known: usize,
    /// The newest stream that was begun.
    newest: u32,
    /// The last stream that is taken, once that has been settled.
    last: Option<u32>,
}

impl Late {
    pub(crate) fn new(stream: Stream) -> Late {
        Late { stream, frames: Frames::new() }
    }
}

impl Frames {
    fn new() -> Frames {
        let head = [0; HEAD + PING_BYTES];
        Frames { over: PREFACE.len(), head, known: 0, newest: 0, last: None }
    }

    /// Looks at what came next, and changes what came too late. A frame whose head comes in two reads is left as it is:
    /// its beginning is gone.
    fn look(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let left = bytes.len() - at;
            if self.over > 0 {
                let passed = self.over.min(left);
                (self.over, at) = (self.over - passed, at + passed);
                continue;
            }
            let taken = (self.wanted() - self.known).min(left);
            self.head[self.known..self.known + taken].copy_from_slice(&bytes[at..at + taken]);
            (self.known, at) = (self.known + taken, at + taken);
            if self.known < self.wanted() {
                continue;
            }
            let start = at.checked_sub(self.known);
            if self.is_late()
                && let Some(kind) = start.and_then(|it| bytes.get_mut(it + 3))
            {
                *kind = UNKNOWN;
            }
            self.over = (self.length() + HEAD).saturating_sub(self.known);
            self.known = 0;
        }
    }

    /// So many bytes of a frame are looked at.
    fn wanted(&self) -> usize {
        let is_ping = self.known >= HEAD && self.head[3] == PING && self.length() == PING_BYTES;
        if is_ping { HEAD + PING_BYTES } else { HEAD }
    }

    fn length(&self) -> usize {
        let [a, b, c, ..] = self.head.map(usize::from);
        a << 16 | b << 8 | c
    }

    /// Takes note of the frame. True: it is one that must not be seen.
    fn is_late(&mut self) -> bool {
        let [_, _, _, kind, flags, a, b, c, d, ping @ ..] = self.head;
        // The first bit says nothing.
        let stream = u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1);
        match kind {
            HEADERS => self.newest = self.newest.max(stream),
            PING if flags & ACK != 0 && ping == FAREWELL => {
                self.last.get_or_insert(self.newest);
            }
            WINDOW_UPDATE => return self.last.is_some_and(|it| stream > it),
            _ => {}
        }
        false
    }
}

impl AsyncRead for Late {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.frames.look(buffer.filled_mut().get_mut(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Late {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "late_tests.rs"]
mod tests;
