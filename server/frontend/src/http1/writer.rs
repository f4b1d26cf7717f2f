//! Writes answers: head and JSON in one piece, large tensors as they lie in the batch's memory.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, Bytes};
use http::{Response, header};
use server_serving::Permit;
use tokio::io::AsyncWrite as _;

use crate::activity::Active;
use crate::body::ResponseBody;
use crate::http::{Encoded, LENGTH_HEADER};
use crate::stream::Stream;

/// Smaller tensors are cheaper copied than named to the kernel one by one.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// Pieces that go into one system call.
const SLICES: usize = 8;

/// What is still to be written of the answer under way.
pub(crate) struct Writer {
    pieces: VecDeque<Bytes>,
    /// Let go when the last byte is written.
    held: Option<(Option<Arc<Permit>>, Active)>,
    last: bool,
    date: Date,
}

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer { pieces: VecDeque::new(), held: None, last: false, date: Date::default() }
    }

    /// A prediction. `last`: the connection ends with it.
    pub(crate) fn encoded(
        &mut self,
        encoded: Encoded,
        last: bool,
        (permit, active): (Arc<Permit>, Active),
    ) {
        let tensors: usize = encoded.tensors.iter().map(Bytes::len).sum();
        let small = if tensors <= COPIED_BYTES_MAX { tensors } else { 0 };
        let mut head = Vec::with_capacity(256 + encoded.json.len() + small);
        head.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: ");
        head.extend_from_slice(encoded.kind().as_bytes());
        if !encoded.tensors.is_empty() {
            field_number(&mut head, LENGTH_HEADER.as_str(), encoded.json.len());
        }
        field_number(&mut head, "content-length", encoded.json.len() + tensors);
        self.finish_head(&mut head, last);
        head.extend_from_slice(&encoded.json);
        if small > 0 {
            encoded.tensors.iter().for_each(|it| head.extend_from_slice(it));
            self.pieces.push_back(head.into());
        } else {
            self.pieces.push_back(head.into());
            self.pieces.extend(encoded.tensors.into_iter().filter(|it| !it.is_empty()));
        }
        self.held = Some((Some(permit), active));
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
        let mut text = Vec::with_capacity(256);
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
        self.finish_head(&mut text, last || closes);
        self.pieces.push_back(text.into());
        self.pieces.extend(parts);
        self.held = Some((None, active));
    }

    /// Has the last answer been given?
    pub(crate) fn was_last(&self) -> bool {
        self.last
    }

    /// Ready when nothing is left to write.
    pub(crate) fn poll(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
                used += 1;
            }
            let slices = slices.get(..used).unwrap_or_default();
            let mut written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
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
        self.held = None;
        Poll::Ready(Ok(()))
    }

    fn finish_head(&mut self, head: &mut Vec<u8>, last: bool) {
        field(head, "date", self.date.text());
        if last {
            field(head, "connection", "close");
            self.last = true;
        }
        head.extend_from_slice(b"\r\n\r\n");
    }
}

fn field(head: &mut Vec<u8>, name: &str, value: &str) {
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
}

fn field_number(head: &mut Vec<u8>, name: &str, value: usize) {
    field(head, name, itoa::Buffer::new().format(value));
}

/// The date as answers tell it, made once a second.
#[derive(Default)]
struct Date {
    text: String,
    made: Option<Instant>,
}

impl Date {
    fn text(&mut self) -> &str {
        if self.made.is_none_or(|it| it.elapsed() >= Duration::from_secs(1)) {
            self.text = httpdate::fmt_http_date(SystemTime::now());
            self.made = Some(Instant::now());
        }
        &self.text
    }
}
