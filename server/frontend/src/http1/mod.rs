//! HTTP/1 connections: plain predictions at once, everything else by hyper.
//!
//! A request that is wholly here and of the plainest form (see `head`) is decoded, pushed and
//! answered by the connection's own task. The first request that is not hands the connection over
//! to hyper, with the bytes that were read, for the rest of its life.

mod head;
mod writer;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use server_serving::{Answer, InferError, Mailbox, Place};
use tokio::time::{Sleep, sleep_until};

use crate::activity::{Active, Activity};
use crate::http::{self, Call, NotBegun, Rest};
use crate::stream::Stream;

use head::Head;
use writer::Writer;

/// What is read at a time, and the largest request that is answered here.
const READ_BYTES: usize = 64 << 10;

/// Room for one read; most requests are smaller.
const READ_ROOM: usize = 8 << 10;

/// A connection that has been plain so far.
pub(crate) struct Plain {
    stream: Stream,
    rest: Arc<Rest>,
    activity: Arc<Activity>,
    mailbox: Arc<Mailbox>,
    read: BytesMut,
    /// All that was read so far is what told the protocol: the rest of the request is to come.
    begun: bool,
    writer: Writer,
    open: Option<Open>,
    late: Option<Late>,
    /// Ends no later than the deadline of what is open; often much earlier, and then it is set
    /// again.
    timer: Option<Pin<Box<Sleep>>>,
    answers: Vec<(Place, Result<Answer, InferError>)>,
    /// The answer that is being written, or the next one, is the last.
    leaving: bool,
}

struct Open {
    waiting: Waiting,
    call: Call,
    active: Active,
}

/// A prediction whose model is being loaded, or that waits for a GPU's driver.
struct Late {
    answer: Pin<Box<dyn Future<Output = http::Ended> + Send>>,
    active: Active,
}

/// Dropped: nobody waits for the answer any more.
struct Waiting {
    mailbox: Arc<Mailbox>,
    place: Place,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.mailbox.close(self.place);
    }
}

/// How a plain connection ends.
pub(crate) enum Ended {
    /// It is over.
    Closed,
    /// It goes on with hyper, see [`Plain::into_stream`].
    Unusual,
}

impl Plain {
    pub(crate) fn new(mut stream: Stream, rest: Arc<Rest>, activity: Arc<Activity>) -> Plain {
        let first = stream.take_first();
        Plain {
            read: BytesMut::from(&*first),
            begun: true,
            stream,
            rest,
            activity,
            mailbox: Mailbox::new(1),
            writer: Writer::new(),
            open: None,
            late: None,
            timer: None,
            answers: Vec::new(),
            leaving: false,
        }
    }

    /// The connection ends with the answer that is under way, or now.
    pub(crate) fn graceful_shutdown(&mut self) {
        self.leaving = true;
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            if ready!(self.writer.poll(&mut self.stream, cx)).is_err() {
                return Poll::Ready(Ended::Closed);
            }
            if self.open.is_some() {
                if ready!(self.poll_answer(cx)).is_err() {
                    return Poll::Ready(Ended::Closed);
                }
                continue;
            }
            if self.late.is_some() {
                if ready!(self.poll_late(cx)).is_err() {
                    return Poll::Ready(Ended::Closed);
                }
                continue;
            }
            if self.writer.was_last() {
                return self.stream.poll_goodbye(cx).map(|()| Ended::Closed);
            }
            if self.read.is_empty() || self.begun {
                if self.leaving && self.read.is_empty() {
                    return Poll::Ready(Ended::Closed);
                }
                match ready!(self.stream.poll_fill(cx, &mut self.read, READ_ROOM)) {
                    Ok(0) | Err(_) => return Poll::Ready(Ended::Closed),
                    // There may be more: a request that is larger than the room is read on.
                    Ok(_) => self.fill(cx),
                }
                self.begun = false;
            }
            match Head::parse(&self.read) {
                Some(head) if head.body.len() <= self.rest.request_bytes_max() => self.begin(head),
                Some(_) | None => return Poll::Ready(Ended::Unusual),
            }
        }
    }

    /// Reads what is there, up to the largest request that is answered here.
    fn fill(&mut self, cx: &mut Context<'_>) {
        while self.read.len() >= READ_ROOM && self.read.len() < READ_BYTES {
            let room = READ_BYTES - self.read.len();
            if !matches!(self.stream.poll_fill(cx, &mut self.read, room), Poll::Ready(Ok(1..))) {
                return;
            }
        }
    }

    /// With what was read and is not understood here.
    pub(crate) fn into_stream(mut self) -> Stream {
        self.stream.unread(&self.read);
        self.stream
    }

    fn begin(&mut self, head: Head) {
        let active = self.activity.begin();
        let message = self.read.split_to(head.body.end).freeze();
        let (address, content) = head.parts(&message);
        // There is one place, and it is free whenever a request is begun.
        let Some((place, reply)) = self.mailbox.open(0) else { return };
        let waiting = Waiting { mailbox: Arc::clone(&self.mailbox), place };
        match self.rest.begin(address, content, reply) {
            Ok(call) => self.open = Some(Open { waiting, call, active }),
            Err(NotBegun::Refused(refused)) => {
                self.writer.response(*refused, self.leaving, active);
            }
            Err(NotBegun::Late(trip)) => {
                let rest = Arc::clone(&self.rest);
                let answer = Box::pin(async move {
                    let (address, content) = head.parts(&message);
                    rest.late(address, content, *trip).await
                });
                self.late = Some(Late { answer, active });
            }
        }
    }

    /// Ready when the answer is in the writer. An error: the caller has gone.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        let Some(late) = &mut self.late else { return Poll::Ready(Ok(())) };
        let Poll::Ready(ended) = late.answer.as_mut().poll(cx) else {
            return self.poll_gone(cx).map(Err);
        };
        if let Some(Late { active, .. }) = self.late.take() {
            self.write(ended, active);
        }
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, ended: http::Ended, active: Active) {
        match ended {
            Ok((encoded, finished)) => {
                self.writer.encoded(encoded, self.leaving, (finished, active));
            }
            Err(refused) => self.writer.response(*refused, self.leaving, active),
        }
    }

    /// Ready when an answer is in the writer. An error: the caller has gone.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.mailbox.collect(cx, &mut self.answers);
        let Some(open) = &self.open else { return Poll::Ready(Ok(())) };
        let (place, deadline) = (open.waiting.place, open.call.deadline());
        let arrived = self.answers.drain(..).find(|(it, _)| *it == place).map(|(_, it)| it);
        let overdue = arrived.is_none() && self.poll_until(cx, deadline).is_ready();
        if arrived.is_none() && !overdue {
            return self.poll_gone(cx).map(Err);
        }
        if let Some(Open { call, active, .. }) = self.open.take() {
            let expired = || Err(InferError::Expired { waited: call.arrived().elapsed() });
            let result = arrived.unwrap_or_else(expired);
            let ended = self.rest.end(call, result, Writer::memory());
            self.write(ended, active);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if deadline < timer.deadline().into_std() {
            timer.as_mut().reset(deadline.into());
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline.into());
        }
    }

    /// Reads ahead while an answer is waited for, a request's worth at most: a caller that has
    /// gone is seen by it.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.read.len() < READ_BYTES {
            // Room would be new memory: the old is what the request under way lies in.
            if ready!(self.stream.poll_readable(cx)).is_err() {
                return Poll::Ready(());
            }
            let room = READ_ROOM.min(READ_BYTES - self.read.len());
            match ready!(self.stream.poll_fill(cx, &mut self.read, room)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }
}
