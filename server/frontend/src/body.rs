//! Bodies: requests metered as they come in, answers that hold their share of the budget.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use server_base::Kind;
use server_serving::{InferError, Permit};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;

use crate::activity::Active;
use crate::options::ConnectionLimits;
use crate::status::status;

/// Length of what stands before each gRPC message: a flag, and the message's length.
const GRPC_PREFIX: usize = 5;

/// Bytes beside the payload that a request within the limit may have: gRPC's prefix and the names
/// and shapes around the tensors.
const ENVELOPE_BYTES: usize = 64 << 10;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It broke one of our rules.
    #[error("{0}")]
    Refused(InferError, #[source] Status),
    /// The connection ended.
    #[error("the request's body did not arrive whole")]
    Lost(#[source] hyper::Error),
}

impl BodyError {
    fn refused(error: InferError) -> BodyError {
        let status = Status::new(status(error.kind()).0, error.to_string());
        BodyError::Refused(error, status)
    }
}

impl From<BodyError> for InferError {
    fn from(error: BodyError) -> InferError {
        match error {
            BodyError::Refused(error, _) => error,
            BodyError::Lost(_) => InferError::Cancelled,
        }
    }
}

/// How a request's bytes are laid out, as far as the meter cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The body is the payload.
    Plain,
    /// One message behind a prefix that tells its length.
    Grpc,
}

/// A request's body. Every byte is taken from the budget before it is handed on, a body that is
/// too large or too slow is refused, and memory is never set aside on a peer's word alone.
pub(crate) struct RequestBody {
    inner: Incoming,
    permit: Option<Arc<Permit>>,
    framing: Framing,
    bytes_max: usize,
    received: usize,
    /// What the budget has been charged for.
    charged: usize,
    limits: ConnectionLimits,
    began: Instant,
    /// Runs while the peer is waited for.
    slow: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(crate) fn new(
        inner: Incoming,
        (framing, bytes_max): (Framing, usize),
        permit: Option<Arc<Permit>>,
        limits: &ConnectionLimits,
    ) -> Result<RequestBody, InferError> {
        let claimed = usize::try_from(inner.size_hint().lower()).unwrap_or(usize::MAX);
        let envelope = if framing == Framing::Grpc { ENVELOPE_BYTES } else { 0 };
        if claimed > bytes_max.saturating_add(envelope) {
            return Err(InferError::TooLarge { bytes_max });
        }
        let mut body = RequestBody {
            inner,
            permit,
            framing,
            bytes_max,
            received: 0,
            charged: 0,
            limits: limits.clone(),
            began: Instant::now(),
            slow: None,
        };
        body.charge(claimed)?;
        Ok(body)
    }

    /// Takes the budget up to `bytes` in all.
    fn charge(&mut self, bytes: usize) -> Result<(), InferError> {
        if let Some(permit) = &self.permit
            && bytes > self.charged
        {
            permit.grow(bytes - self.charged)?;
            self.charged = bytes;
        }
        Ok(())
    }

    fn receive(&mut self, data: &Bytes) -> Result<(), InferError> {
        let first = self.received == 0;
        self.received += data.len();
        let envelope = if self.framing == Framing::Grpc { ENVELOPE_BYTES } else { 0 };
        if self.received > self.bytes_max.saturating_add(envelope) {
            return Err(InferError::TooLarge { bytes_max: self.bytes_max });
        }
        // The decoder sets aside what the prefix claims; so the claim is what must fit.
        if first
            && self.framing == Framing::Grpc
            && let Some((_, mut length)) = data.get(..GRPC_PREFIX).and_then(|it| it.split_first())
        {
            let claimed = usize::try_from(length.get_u32()).unwrap_or(usize::MAX);
            if claimed > self.bytes_max.saturating_add(ENVELOPE_BYTES) {
                return Err(InferError::TooLarge { bytes_max: self.bytes_max });
            }
            self.charge(claimed.saturating_add(GRPC_PREFIX))?;
        }
        self.charge(self.received)
    }

    /// When the bytes received so far will have been too slow.
    fn due(&self) -> Instant {
        let earned = self.received as u64 / self.limits.body_rate_min.max(1);
        self.began + self.limits.body_grace + std::time::Duration::from_secs(earned)
    }

    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let due = self.due();
        let timer = self.slow.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
        if timer.deadline().into_std() != due {
            timer.as_mut().reset(due.into());
        }
        ready!(timer.as_mut().poll(cx));
        let (received, within) = (self.received, self.began.elapsed());
        Poll::Ready(BodyError::refused(InferError::SlowBody { received, within }))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            return self.poll_slow(cx).map(|it| Some(Err(it)));
        };
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => Some(Err(BodyError::Lost(error))),
            Some(Ok(frame)) => match frame.data_ref().map(|it| self.receive(it)) {
                Some(Err(error)) => Some(Err(BodyError::refused(error))),
                Some(Ok(())) | None => Some(Ok(frame)),
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body. Holds the request's place, on the connection and in the budget, until it has
/// been sent or given up.
pub struct ResponseBody {
    content: Content,
    _permit: Option<Arc<Permit>>,
    _active: Option<Active>,
}

enum Content {
    /// Parts to be sent one behind the other, none of them copied together.
    Parts(VecDeque<Bytes>),
    Grpc(tonic::body::Body),
}

impl ResponseBody {
    /// Nothing.
    pub(crate) fn empty() -> ResponseBody {
        ResponseBody::parts(VecDeque::new())
    }

    /// One piece.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> ResponseBody {
        ResponseBody::parts(VecDeque::from([bytes.into()]))
    }

    /// Several pieces.
    pub(crate) fn parts(mut parts: VecDeque<Bytes>) -> ResponseBody {
        parts.retain(|it| !it.is_empty());
        ResponseBody { content: Content::Parts(parts), _permit: None, _active: None }
    }

    /// What tonic made.
    pub(crate) fn grpc(body: tonic::body::Body) -> ResponseBody {
        ResponseBody { content: Content::Grpc(body), _permit: None, _active: None }
    }

    /// Keeps the request's share of the budget until the answer is gone.
    pub(crate) fn with_permit(self, permit: Option<Arc<Permit>>) -> ResponseBody {
        ResponseBody { _permit: permit, ..self }
    }

    pub(crate) fn holding(self, active: Active) -> ResponseBody {
        ResponseBody { _active: Some(active), ..self }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut self.content {
            Content::Parts(parts) => Poll::Ready(parts.pop_front().map(|it| Ok(Frame::data(it)))),
            Content::Grpc(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Parts(parts) => parts.is_empty(),
            Content::Grpc(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Parts(parts) => {
                SizeHint::with_exact(parts.iter().map(|it| it.len() as u64).sum())
            }
            Content::Grpc(body) => body.size_hint(),
        }
    }
}

/// Reads a body to its end. One frame, the usual case, is not copied.
pub(crate) async fn collect(mut body: RequestBody) -> Result<Bytes, InferError> {
    use http_body_util::BodyExt as _;
    let mut first: Option<Bytes> = None;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(InferError::from)?.into_data() else { continue };
        match &first {
            None => first = Some(data),
            Some(head) => {
                if rest.is_empty() {
                    let claimed = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                    rest.reserve(head.len() + data.len() + claimed.min(body.bytes_max));
                    rest.extend_from_slice(head);
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.into() })
}

/// Reads a body to its end and keeps nothing: a peer that is still sending would otherwise see its
/// connection break instead of the answer. Ends early where the meter says so.
pub(crate) async fn discard(mut body: RequestBody) {
    use http_body_util::BodyExt as _;
    while let Some(Ok(_)) = body.frame().await {}
}

/// The kinds of errors after which a peer may still be sending: its connection is not reused.
pub(crate) fn leaves_body_unread(kind: Kind) -> bool {
    matches!(kind, Kind::TooLarge | Kind::Slow | Kind::Overloaded)
}
