//! Writes answers: head and JSON in one piece, large tensors as they lie in the batch's memory.
//!
//! The piece is memory that the thread's connections share: nearly every answer is taken by the
//! kernel at once, and then the next one has it, warm.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, Bytes};
use http::{Response, header};
use server_serving::{Finished, Permit};
use tokio::io::AsyncWrite;

use crate::activity::Active;
use crate::body::ResponseBody;
use crate::headers::{LOGGED_HEADER, VERSION_HEADER};
use crate::http::{Encoded, LENGTH_HEADER};

/// Smaller tensors are cheaper copied than named to the kernel one by one.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// Pieces that go into one system call.
const SLICES: usize = 8;

/// Of an answer so much at most is written without a share of the budget: it is given back before the last
/// bytes go out. A peer that does not read them leaves them lying here, and no more: they get memory of their own
/// then, so that the rest is free. Linux lets a connection have sixteen times that in a buffer of its own. Nearly all
/// answers are smaller, and take one system call.
const LAST_BYTES_MAX: usize = 256 << 10;

/// Memory of more bytes than this is not kept for the next answer.
const SPARE_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// Memory for the next answer.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What is still to be written of the answer under way.
pub(crate) struct Writer {
    /// The first piece, and how much of it is written.
    text: Vec<u8>,
    written: usize,
    /// The others.
    pieces: VecDeque<Bytes>,
    /// Let go before the last bytes are written: whoever has them may ask again at once, and is to find room.
    permit: Option<Arc<Permit>>,
    /// Let go when the last byte is written.
    active: Option<Active>,
    last: bool,
    date: Date,
}

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer {
            text: Vec::new(),
            written: 0,
            pieces: VecDeque::new(),
            permit: None,
            active: None,
            last: false,
            date: Date::default(),
        }
    }

    /// Memory for an answer.
    pub(crate) fn memory() -> Vec<u8> {
        SPARE.take()
    }

    fn give_back(mut text: Vec<u8>) {
        if text.capacity() <= SPARE_BYTES_MAX {
            text.clear();
            SPARE.set(text);
        }
    }

    /// A prediction. `last`: the connection ends with it.
    pub(crate) fn encoded(
        &mut self,
        encoded: Encoded,
        last: bool,
        (finished, active): (Finished, Active),
    ) {
        let (kind, is_json) = (encoded.kind(), encoded.tensors.is_empty());
        let Encoded { json: mut text, tensors: tail, notes } = encoded;
        let (json, tensors) = (text.len(), tail.iter().map(Bytes::len).sum::<usize>());
        if tensors <= COPIED_BYTES_MAX {
            tail.iter().for_each(|it| text.extend_from_slice(it));
        } else {
            self.pieces.extend(tail.into_iter().filter(|it| !it.is_empty()));
        }
        // How long the head is, and what it says of lengths, is known last; it is moved to the front.
        let body = text.len();
        text.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: ");
        text.extend_from_slice(kind.as_bytes());
        if !is_json {
            field_number(&mut text, LENGTH_HEADER.as_str(), json);
        }
        field_number(&mut text, "content-length", json + tensors);
        field(&mut text, VERSION_HEADER.as_str(), &notes.version);
        if let Some(logged) = notes.logged {
            field(&mut text, LOGGED_HEADER.as_str(), logged);
        }
        self.finish_head(&mut text, last, finished.ended);
        text.rotate_left(body);
        self.begin(text, (finished.permit, active));
    }

    fn begin(&mut self, text: Vec<u8>, (permit, active): (Option<Arc<Permit>>, Active)) {
        (self.text, self.written) = (text, 0);
        (self.permit, self.active) = (permit, Some(active));
    }

    /// A refusal.
    pub(crate) fn response(
        &mut self,
        response: Response<ResponseBody>,
        last: bool,
        active: Active,
    ) {
        let (head, body) = response.into_parts();
        let parts = body.into_parts();
        let mut text = Writer::memory();
        text.extend_from_slice(b"HTTP/1.1 ");
        text.extend_from_slice(head.status.as_str().as_bytes());
        text.push(b' ');
        text.extend_from_slice(head.status.canonical_reason().unwrap_or_default().as_bytes());
        for (name, value) in head.headers.iter().filter(|(it, _)| *it != header::CONNECTION) {
            text.extend_from_slice(b"\r\n");
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
        }
        let length: usize = parts.iter().map(Bytes::len).sum();
        field_number(&mut text, "content-length", length);
        let closes = head.headers.contains_key(header::CONNECTION);
        self.finish_head(&mut text, last || closes, Instant::now());
        self.pieces.extend(parts);
        self.begin(text, (None, active));
    }

    /// Has the last answer been given?
    pub(crate) fn was_last(&self) -> bool {
        self.last
    }

    /// Ready when nothing is left to write.
    pub(crate) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let left = self.left();
            if left == 0 {
                break;
            }
            if left <= LAST_BYTES_MAX {
                self.permit = None;
            }
            let written = self.write((left, stream), cx);
            if let Poll::Ready(Ok(bytes)) = &written {
                self.advance(*bytes);
            }
            if self.permit.is_none() {
                self.let_go();
            }
            if ready!(written)? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        if self.active.take().is_some() {
            self.written = 0;
            Writer::give_back(std::mem::take(&mut self.text));
        }
        Poll::Ready(Ok(()))
    }

    fn text_left(&self) -> &[u8] {
        self.text.get(self.written..).unwrap_or_default()
    }

    fn left(&self) -> usize {
        self.text_left().len() + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    /// One system call; how much it took.
    fn write<S: AsyncWrite + Unpin>(
        &self,
        (left, stream): (usize, &mut S),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let text = self.text_left();
        // While the budget is held some are kept back, enough for a write of their own.
        let mut room = left - self.permit.as_ref().map_or(0, |_| LAST_BYTES_MAX / 2);
        if self.pieces.is_empty() {
            // Cheaper than a list of one.
            return Pin::new(stream).poll_write(cx, text.get(..room).unwrap_or(text));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let pieces = std::iter::once(text).chain(self.pieces.iter().map(|it| &**it));
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            let now = piece.get(..room).unwrap_or(piece);
            *slice = IoSlice::new(now);
            room -= now.len();
        }
        Pin::new(stream).poll_write_vectored(cx, &slices)
    }

    /// So many bytes are written.
    fn advance(&mut self, mut written: usize) {
        let of_text = written.min(self.text_left().len());
        self.written += of_text;
        written -= of_text;
        while let Some(first) = self.pieces.front_mut()
            && written >= first.len()
        {
            written -= first.len();
            self.pieces.pop_front();
        }
        if let Some(first) = self.pieces.front_mut() {
            first.advance(written);
        }
    }

    /// Frees what is written, if last bytes are left that the kernel did not take at once: they may lie here for
    /// long, and would keep all of the answer's text, and of each piece the whole batch's memory.
    fn let_go(&mut self) {
        let (left, is_small) = (self.left(), self.text.capacity() <= LAST_BYTES_MAX);
        if left == 0 || left > LAST_BYTES_MAX || (is_small && self.pieces.is_empty()) {
            return;
        }
        let mut last = Vec::with_capacity(left);
        last.extend_from_slice(self.text_left());
        std::mem::take(&mut self.pieces).iter().for_each(|it| last.extend_from_slice(it));
        self.written = 0;
        Writer::give_back(std::mem::replace(&mut self.text, last));
    }

    fn finish_head(&mut self, head: &mut Vec<u8>, last: bool, now: Instant) {
        field(head, "date", self.date.text(now));
        if last {
            field(head, "connection", "close");
            self.last = true;
        }
        head.extend_from_slice(b"\r\n\r\n");
    }
}

fn field(head: &mut Vec<u8>, name: &str, value: impl AsRef<[u8]>) {
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_ref());
}

fn field_number(head: &mut Vec<u8>, name: &str, value: impl itoa::Integer) {
    field(head, name, itoa::Buffer::new().format(value));
}

/// The date as answers tell it, made once a second.
#[derive(Default)]
struct Date {
    text: String,
    made: Option<Instant>,
}

impl Date {
    fn text(&mut self, now: Instant) -> &str {
        let old = |it| now.saturating_duration_since(it) >= Duration::from_secs(1);
        if self.made.is_none_or(old) {
            self.text = httpdate::fmt_http_date(SystemTime::now());
            self.made = Some(now);
        }
        &self.text
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
