//! The obligation to answer one request.

use server_base::Timing;
use tokio::sync::oneshot;

use backend_api::Tensor;

use crate::error::InferError;

/// What an instance gives back: all outputs, in the signature's order.
pub(crate) struct Answer {
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) timing: Timing,
}

/// Owed to one caller. Dropping it unanswered answers with an error, so nobody waits for ever.
pub(crate) struct Reply(Option<oneshot::Sender<Result<Answer, InferError>>>);

/// The caller's end.
pub(crate) type Receiver = oneshot::Receiver<Result<Answer, InferError>>;

impl Reply {
    pub(crate) fn new() -> (Reply, Receiver) {
        let (sender, receiver) = oneshot::channel();
        (Reply(Some(sender)), receiver)
    }

    /// Answers. A caller that has gone away is not an error: nobody is left to tell.
    pub(crate) fn send(mut self, result: Result<Answer, InferError>) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(result);
        }
    }

    /// Has the caller gone away?
    pub(crate) fn is_gone(&self) -> bool {
        self.0.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(Err(InferError::Dropped));
        }
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
}
