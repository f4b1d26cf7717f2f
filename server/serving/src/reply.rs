//! The obligation to answer one request, and where the answer goes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use server_base::{Timing, Unlogged};
use tokio::sync::oneshot;

use backend_api::Tensor;

use crate::draft::Draft;
use crate::error::InferError;
use crate::shadow::Pair;

/// What an instance gives back: all outputs, in the signature's order.
pub struct Answer {
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) timing: Timing,
    /// Is it on the log's disk? `None` if it did not wait for that.
    pub(crate) logged: Option<Result<(), Unlogged>>,
}

impl Answer {
    /// What the caller is told about the log: `durable`, or `dropped`; nothing where nothing was promised.
    pub fn logged(&self) -> Option<&'static str> {
        self.logged.map(|it| if it.is_ok() { "durable" } else { "dropped" })
    }
}

/// Owed to one caller. Dropping it unanswered answers with an error, so nobody waits for ever.
pub struct Reply {
    to: Option<Caller>,
    /// The other answer to this request, if it was copied.
    pair: Option<Arc<Pair>>,
    /// What is to be logged before the answer goes out.
    draft: Option<Draft>,
}

/// Where an answer goes.
enum Caller {
    /// A task that waits for this answer alone.
    Task(oneshot::Sender<Result<Answer, InferError>>),
    /// A place in a mailbox.
    Place(Arc<Mailbox>, Place),
    /// Nobody: it is a copy, and its answer is to be compared.
    Shadow(Arc<Pair>),
}

/// The caller's end, where a task waits.
pub(crate) type Receiver = oneshot::Receiver<Result<Answer, InferError>>;

impl Reply {
    pub(crate) fn new() -> (Reply, Receiver) {
        let (sender, receiver) = oneshot::channel();
        (Reply::to(Caller::Task(sender)), receiver)
    }

    /// For a copy.
    pub(crate) fn shadow(pair: Arc<Pair>) -> Reply {
        Reply::to(Caller::Shadow(pair))
    }

    fn to(caller: Caller) -> Reply {
        Reply { to: Some(caller), pair: None, draft: None }
    }

    /// Its answer is to be compared as well.
    pub(crate) fn paired(mut self, pair: Arc<Pair>) -> Reply {
        self.pair = Some(pair);
        self
    }

    /// It is to be logged, and its answer to wait for that, unless nobody waits for the answer.
    pub(crate) fn logged(mut self, draft: Option<Draft>) -> Reply {
        self.draft = draft;
        self
    }

    /// Not this way after all.
    pub(crate) fn unlogged(&mut self) -> Option<Draft> {
        self.draft.take()
    }

    /// Answers. A caller that has gone away is not an error, but it is told: false.
    pub(crate) fn send(mut self, result: Result<Answer, InferError>) -> bool {
        self.give(result)
    }

    /// Has the caller gone away?
    pub(crate) fn is_gone(&self) -> bool {
        match &self.to {
            None => true,
            Some(Caller::Shadow(_)) => false,
            Some(Caller::Task(sender)) => sender.is_closed(),
            Some(Caller::Place(mailbox, place)) => !mailbox.is_open(*place),
        }
    }

    fn give(&mut self, result: Result<Answer, InferError>) -> bool {
        if let (Some(pair), true) = (self.pair.take(), self.to.is_some()) {
            pair.served(&result);
        }
        let is_gone = self.draft.is_some() && self.is_gone();
        match (self.to.take(), self.draft.take()) {
            (None, _) => false,
            (Some(to), None) => to.give(result),
            (Some(to), Some(draft)) => {
                log(draft, result, to);
                !is_gone
            }
        }
    }
}

impl Caller {
    /// False: it has gone.
    fn give(self, result: Result<Answer, InferError>) -> bool {
        match self {
            Caller::Shadow(pair) => {
                pair.shadowed(result);
                true
            }
            Caller::Task(sender) => sender.send(result).is_ok(),
            Caller::Place(mailbox, place) => mailbox.put(place, result),
        }
    }
}

/// Has what came of a request written down, and the caller answered then.
fn log(mut draft: Draft, result: Result<Answer, InferError>, to: Caller) {
    if let Ok(answer) = &result {
        draft.answered(&answer.outputs, &answer.timing);
    }
    let failure = result.as_ref().err().map(|it| (it.kind(), it.to_string()));
    let took = draft.elapsed();
    if matches!(to, Caller::Shadow(_)) {
        draft.finish(failure, took);
        to.give(result);
        return;
    }
    let is_vital = draft.is_vital();
    let waiting = Waiting(Some(to));
    let told = move |logged: Result<(), Unlogged>| {
        let result = result.and_then(|answer| match logged {
            Err(why) if is_vital => Err(InferError::Unlogged { why }),
            Ok(()) | Err(_) => Ok(Answer { logged: Some(logged), ..answer }),
        });
        waiting.answer(result);
    };
    draft.commit(failure, took, Box::new(told));
}

/// A caller that waits for the log. One that the log forgets is answered all the same.
struct Waiting(Option<Caller>);

impl Waiting {
    fn answer(mut self, result: Result<Answer, InferError>) {
        if let Some(to) = self.0.take() {
            to.give(result);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(to) = self.0.take() {
            to.give(Err(InferError::Dropped));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.give(Err(InferError::Dropped));
    }
}

/// One use of a place. Turns are odd while the place is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    number: u32,
    turn: u32,
}

impl Place {
    /// Its number among the mailbox's places.
    pub fn number(self) -> usize {
        self.number as usize
    }
}

/// Answers for one task that has many questions: however many come at a time, it is woken once.
pub struct Mailbox {
    post: Mutex<Post>,
    /// The turn of each place.
    turns: Box<[AtomicU32]>,
}

#[derive(Default)]
struct Post {
    /// At most one for each place that is open or was closed since they were last collected.
    answers: Vec<(Place, Result<Answer, InferError>)>,
    reader: Option<Waker>,
}

impl Mailbox {
    /// With so many places.
    pub fn new(places: u32) -> Arc<Mailbox> {
        let turns = (0..places).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Mailbox { post: Mutex::default(), turns })
    }

    /// A reply to be put into the place of that number, which must not be open.
    pub fn open(self: &Arc<Mailbox>, number: usize) -> Option<(Place, Reply)> {
        let turn = self.turns.get(number)?.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let place = Place { number: u32::try_from(number).ok()?, turn };
        Some((place, Reply::to(Caller::Place(Arc::clone(self), place))))
    }

    /// Nobody waits there any more. What is under way to it is dropped.
    pub fn close(&self, place: Place) {
        if self.is_open(place)
            && let Some(turn) = self.turns.get(place.number())
        {
            turn.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes what has come, and has the task woken when more does.
    pub fn collect(
        &self,
        cx: &Context<'_>,
        answers: &mut Vec<(Place, Result<Answer, InferError>)>,
    ) {
        let mut post = self.lock();
        answers.append(&mut post.answers);
        match &post.reader {
            Some(reader) if reader.will_wake(cx.waker()) => {}
            Some(_) | None => post.reader = Some(cx.waker().clone()),
        }
    }

    /// Relaxed, because the turn guards no other memory: an answer that comes too late by a hair
    /// is dropped when it is collected.
    fn is_open(&self, place: Place) -> bool {
        let turn = self.turns.get(place.number()).map(|it| it.load(Ordering::Relaxed));
        turn == Some(place.turn)
    }

    /// False: nobody waits there any more.
    fn put(&self, place: Place, result: Result<Answer, InferError>) -> bool {
        if !self.is_open(place) {
            return false;
        }
        let reader = {
            let mut post = self.lock();
            post.answers.push((place, result));
            post.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Nothing under the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_reply_is_an_answer() {
        let (reply, mut receiver) = Reply::new();
        drop(reply);
        let answer = receiver.try_recv().expect("answered").map(|_| ());
        assert_eq!(answer, Err(InferError::Dropped));
    }

    #[test]
    fn a_caller_that_leaves_is_seen() {
        let (reply, receiver) = Reply::new();
        assert!(!reply.is_gone());
        drop(receiver);
        assert!(reply.is_gone());
        reply.send(Err(InferError::Panicked)); // and is no error
    }

    fn counting() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicU32::new(0)));
        (Arc::clone(&count), Waker::from(count))
    }

    struct Count(AtomicU32);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Count>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_mailbox_wakes_once_for_many_answers() {
        let (mailbox, (count, waker)) = (Mailbox::new(3), counting());
        let open = |it| mailbox.open(it).expect("a place");
        let ((first, to_first), (second, to_second)) = (open(0), open(1));
        let (cx, mut got) = (Context::from_waker(&waker), Vec::new());
        mailbox.collect(&cx, &mut got);
        assert!(got.is_empty());
        to_second.send(Err(InferError::Panicked));
        drop(to_first);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        mailbox.collect(&cx, &mut got);
        let errors: Vec<_> = got.drain(..).map(|(place, it)| (place, it.err())).collect();
        assert_eq!(
            errors,
            [(second, Some(InferError::Panicked)), (first, Some(InferError::Dropped))]
        );
        assert!(mailbox.open(3).is_none(), "there is no such place");
    }

    #[test]
    fn a_closed_place_gets_no_answer_and_the_next_turn_not_that_of_the_last() {
        let (mailbox, (_, waker)) = (Mailbox::new(1), counting());
        let (place, reply) = mailbox.open(0).expect("a place");
        assert!(!reply.is_gone());
        mailbox.close(place);
        assert!(reply.is_gone());
        let (_, next) = mailbox.open(0).expect("a place");
        mailbox.close(place); // again, and too late: nothing happens
        assert!(reply.is_gone() && !next.is_gone());
        drop(reply);
        let mut got = Vec::new();
        mailbox.collect(&Context::from_waker(&waker), &mut got);
        assert!(got.is_empty());
    }
}
