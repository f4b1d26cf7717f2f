//! The predictions of one connection that are under way.
//!
//! A call whose message came in whole is decoded and pushed at once, by the connection's own
//! task; its answer comes through the connection's mailbox. So a batch of answers costs one
//! wake-up, whatever its size. A call that does not fit this (its body is still under way, the
//! peer's window is small) is handed to a task.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use server_serving::{Answer, InferError, Mailbox, Place};
use tokio::time::{Sleep, sleep_until};

use crate::activity::Active;
use crate::grpc::{Call, Unary, Unbegun};
use crate::http2::{Begin, pump};
use crate::options::ConnectionLimits;

/// How soon a call whose peer has given it up, or whose time is up, is found at the latest. All
/// calls of the connection are looked at, so more often would cost the quick ones.
const LOOK: Duration = Duration::from_millis(5);

/// The calls of a connection that have been pushed and not yet answered.
pub struct Calls {
    unary: Arc<Unary>,
    limits: Arc<ConnectionLimits>,
    /// Made with the first call.
    mailbox: Option<Arc<Mailbox>>,
    /// Has `answer` seen the mailbox?
    listens: bool,
    open: Vec<Option<Open>>,
    free: Vec<usize>,
    answers: Vec<(Place, Result<Answer, InferError>)>,
    /// Ends no later than the calls are to be looked at; made with the first one.
    timer: Option<Pin<Box<Sleep>>>,
    /// Is it set? It is while calls are open.
    looks: bool,
}

struct Open {
    place: Place,
    call: Call,
    respond: SendResponse<Bytes>,
    active: Active,
}

impl Calls {
    pub(crate) fn new(unary: Arc<Unary>, limits: Arc<ConnectionLimits>) -> Calls {
        Calls {
            unary,
            mailbox: None,
            limits,
            listens: false,
            open: Vec::new(),
            free: Vec::new(),
            answers: Vec::new(),
            timer: None,
            looks: false,
        }
    }

    /// Begins a call, or gives the request back: it is no prediction, or not yet here.
    pub(crate) fn begin(&mut self, cx: &mut Context<'_>, mut begin: Begin) -> Option<Begin> {
        if !Unary::takes(&begin.request) || !begin.receive(cx) {
            return Some(begin);
        }
        let mailbox = self.mailbox.get_or_insert_with(|| Mailbox::new(self.limits.streams_max));
        let number = self.free.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        // The peer may have as many streams as there are places; one more goes the other way.
        let Some((place, reply)) = mailbox.open(number) else {
            self.open.pop();
            return Some(begin);
        };
        let Begin { request, received, mut respond, active } = begin;
        match self.unary.begin(request.headers(), received, reply) {
            Ok(call) => {
                // From here on the peer's going away wakes this task.
                let _ = respond.poll_reset(cx);
                self.look_by(cx, call.deadline());
                if let Some(open) = self.open.get_mut(number) {
                    *open = Some(Open { place, call, respond, active });
                }
            }
            Err(unbegun) => {
                mailbox.close(place);
                self.free.push(number);
                match unbegun {
                    Unbegun::Refused(refused) => drop(respond.send_response(refused, true)),
                    Unbegun::Late(late) => {
                        let (unary, limits) = (Arc::clone(&self.unary), Arc::clone(&self.limits));
                        tokio::spawn(async move {
                            let late = unary.late(late);
                            if let Some(it) = pump::unless_reset(&mut respond, late).await {
                                pump::respond(respond, it, &limits).await;
                            }
                            drop(active);
                        });
                    }
                }
            }
        }
        None
    }

    /// Sees to it that answers to the connection's first calls wake its task.
    pub(crate) fn listen(&mut self, cx: &mut Context<'_>) {
        if self.mailbox.is_some() && !self.listens {
            self.listens = true;
            self.answer(cx);
        }
    }

    /// Sends the answers that have come, and gives up calls that nobody waits for.
    pub(crate) fn answer(&mut self, cx: &mut Context<'_>) {
        let Some(mailbox) = &self.mailbox else { return };
        let mut answers = std::mem::take(&mut self.answers);
        mailbox.collect(cx, &mut answers);
        for (place, result) in answers.drain(..) {
            if let Some(open) = self.take(place) {
                self.finish(open, result);
            }
        }
        self.answers = answers;
        self.look(cx);
    }

    fn finish(&self, open: Open, result: Result<Answer, InferError>) {
        let Open { call, mut respond, active, .. } = open;
        let mut answered = match self.unary.end(call, result) {
            Ok(answered) => answered,
            Err(refused) => return drop(respond.send_response(refused, true)),
        };
        let Ok(mut stream) = respond.send_response(answered.head(), false) else {
            return;
        };
        stream.reserve_capacity(answered.message.len());
        if stream.capacity() >= answered.message.len() {
            if stream.send_data(answered.message, false).is_ok() {
                let _ = stream.send_trailers(Unary::trailers());
            }
            return;
        }
        let limits = Arc::clone(&self.limits);
        tokio::spawn(async move {
            pump::send(stream, answered.into_body(), &limits).await;
            drop(active);
        });
    }

    /// Looks at all open calls, now and then.
    fn look(&mut self, cx: &mut Context<'_>) {
        let due = |timer: &mut Pin<Box<Sleep>>| timer.as_mut().poll(cx).is_ready();
        if !self.looks || !self.timer.as_mut().is_some_and(due) {
            return;
        }
        self.looks = false;
        let (now, mut next): (Instant, Option<Instant>) = (Instant::now(), None);
        for number in 0..self.open.len() {
            let Some(Some(open)) = self.open.get_mut(number) else { continue };
            let (place, deadline) = (open.place, open.call.deadline());
            if open.respond.poll_reset(cx).is_ready() {
                drop(self.take(place));
            } else if deadline <= now {
                if let Some(open) = self.take(place) {
                    let waited = open.call.arrived().elapsed();
                    self.finish(open, Err(InferError::Expired { waited }));
                }
            } else {
                next = Some(next.map_or(deadline, |it| it.min(deadline)));
            }
        }
        if let Some(next) = next {
            self.look_by(cx, next);
        }
    }

    /// Sees to it that the calls are looked at soon, and at `deadline` at the latest.
    fn look_by(&mut self, cx: &mut Context<'_>, deadline: Instant) {
        let due = match &self.timer {
            Some(timer) if self.looks && timer.deadline().into_std() <= deadline => return,
            Some(_) if self.looks => deadline,
            Some(_) | None => deadline.min(Instant::now() + LOOK),
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
        timer.as_mut().reset(due.into());
        self.looks = true;
        // A time that has passed already is seen at the next poll.
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn take(&mut self, place: Place) -> Option<Open> {
        let open = self.open.get_mut(place.number())?.take_if(|it| it.place == place)?;
        if let Some(mailbox) = &self.mailbox {
            mailbox.close(place);
        }
        self.free.push(place.number());
        Some(open)
    }
}

impl Drop for Calls {
    /// The connection is gone, and with it everyone who waits.
    fn drop(&mut self) {
        for open in self.open.iter().flatten() {
            if let Some(mailbox) = &self.mailbox {
                mailbox.close(open.place);
            }
        }
    }
}
