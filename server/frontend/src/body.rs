//! Bodies: requests metered as they come in, answers that hold their share of the budget.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use server_serving::{InferError, Permit};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;

use crate::activity::Active;
use crate::grpc::framing::{self, PREFIX_BYTES};
use crate::options::ConnectionLimits;
use crate::status::status;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It broke one of our rules.
    #[error("{0}")]
    Refused(InferError, #[source] Status),
    /// The connection ended.
    #[error("the request's body did not arrive whole")]
    Lost(#[source] Lost),
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

/// How a body's connection ended.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum Lost {
    Http1(hyper::Error),
    Http2(h2::Error),
}

/// A request's body as it comes in.
pub enum Incoming {
    /// Over HTTP/1.
    Http1(hyper::body::Incoming),
    /// Over HTTP/2.
    Http2 {
        /// What is still to come.
        body: h2::RecvStream,
        /// What has come already.
        received: Bytes,
        /// What the header says of its length.
        length: Option<u64>,
    },
}

impl Incoming {
    pub(crate) fn http2(headers: &HeaderMap, body: h2::RecvStream, received: Bytes) -> Incoming {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok());
        Incoming::Http2 { body, received, length: length.and_then(|it| it.parse().ok()) }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Lost;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Lost>>> {
        match self.get_mut() {
            Incoming::Http1(body) => {
                Pin::new(body).poll_frame(cx).map(|it| it.map(|it| it.map_err(Lost::Http1)))
            }
            Incoming::Http2 { received, .. } if !received.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(received)))))
            }
            Incoming::Http2 { body, .. } => {
                if let Some(data) = ready!(body.poll_data(cx)) {
                    let data = data.map_err(Lost::Http2)?;
                    // Counted by the budget from here on, no longer by the window.
                    let _ = body.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                let trailers = ready!(body.poll_trailers(cx)).map_err(Lost::Http2)?;
                Poll::Ready(trailers.map(|it| Ok(Frame::trailers(it))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Incoming::Http1(body) => body.is_end_stream(),
            Incoming::Http2 { body, received, .. } => received.is_empty() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Incoming::Http1(body) => body.size_hint(),
            Incoming::Http2 { length: Some(length), .. } => SizeHint::with_exact(*length),
            Incoming::Http2 { length: None, .. } => SizeHint::default(),
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
    /// Of the whole body, and of what the caller was promised.
    bytes_max: usize,
    payload_max: usize,
    received: usize,
    prefix: [u8; PREFIX_BYTES],
    limits: ConnectionLimits,
    began: Instant,
    /// Runs while the peer is waited for.
    slow: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    /// A body that says it is too large is refused at once; the budget is charged for what comes,
    /// not for what a peer says.
    pub(crate) fn new(
        inner: Incoming,
        (framing, payload_max): (Framing, usize),
        permit: Option<Arc<Permit>>,
        limits: &ConnectionLimits,
    ) -> Result<RequestBody, InferError> {
        let claimed = usize::try_from(inner.size_hint().lower()).unwrap_or(usize::MAX);
        let bytes_max = match framing {
            Framing::Plain => payload_max,
            Framing::Grpc => framing::bytes_max(payload_max),
        };
        if claimed > bytes_max {
            return Err(InferError::TooLarge { bytes_max: payload_max });
        }
        Ok(RequestBody {
            inner,
            permit,
            framing,
            bytes_max,
            payload_max,
            received: 0,
            prefix: [0; PREFIX_BYTES],
            limits: limits.clone(),
            began: Instant::now(),
            slow: None,
        })
    }

    fn receive(&mut self, data: &Bytes) -> Result<(), InferError> {
        if self.framing == Framing::Grpc && self.received < PREFIX_BYTES {
            self.read_prefix(data)?;
        }
        self.received += data.len();
        if self.received > self.bytes_max {
            return Err(InferError::TooLarge { bytes_max: self.payload_max });
        }
        match &self.permit {
            Some(permit) => permit.grow(data.len()),
            None => Ok(()),
        }
    }

    /// A message that says it is too large is refused at its prefix, which may come in pieces.
    fn read_prefix(&mut self, data: &Bytes) -> Result<(), InferError> {
        let missing = self.prefix.iter_mut().skip(self.received);
        missing.zip(data).for_each(|(place, byte)| *place = *byte);
        let [_, length @ ..] = self.prefix;
        let claimed = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if self.received + data.len() >= PREFIX_BYTES && claimed > self.bytes_max - PREFIX_BYTES {
            return Err(InferError::TooLarge { bytes_max: self.payload_max });
        }
        Ok(())
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

/// An answer's body. Holds the request's place on the connection until it has been sent or given up, and
/// its share of the budget until the last piece is about to be sent.
pub struct ResponseBody {
    content: Content,
    permit: Option<Arc<Permit>>,
    _active: Option<Active>,
}

enum Content {
    /// Parts to be sent one behind the other, none of them copied together.
    Parts(VecDeque<Bytes>),
    Grpc(tonic::body::Body),
    /// A message and what follows it.
    Call {
        message: Option<Bytes>,
        trailers: Option<HeaderMap>,
    },
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
        ResponseBody { content: Content::Parts(parts), permit: None, _active: None }
    }

    /// What tonic made.
    pub(crate) fn grpc(body: tonic::body::Body) -> ResponseBody {
        ResponseBody { content: Content::Grpc(body), permit: None, _active: None }
    }

    /// A message, its prefix included, and the trailers.
    pub(crate) fn call(message: Bytes, trailers: HeaderMap) -> ResponseBody {
        let content = Content::Call { message: Some(message), trailers: Some(trailers) };
        ResponseBody { content, permit: None, _active: None }
    }

    /// Keeps the request's share of the budget until the last piece is about to be sent.
    pub(crate) fn with_permit(self, permit: Option<Arc<Permit>>) -> ResponseBody {
        ResponseBody { permit, ..self }
    }

    /// Gives back the request's share of the budget: the last piece of it is about to be sent.
    pub(crate) fn let_go(&mut self) {
        self.permit = None;
    }

    /// The pieces of an answer that is all here; none of one that tonic or a call makes.
    pub(crate) fn into_parts(self) -> VecDeque<Bytes> {
        match self.content {
            Content::Parts(parts) => parts,
            Content::Grpc(_) | Content::Call { .. } => VecDeque::new(),
        }
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
            Content::Call { message, trailers } => {
                let data = message.take().map(Frame::data);
                Poll::Ready(data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Parts(parts) => parts.is_empty(),
            Content::Grpc(body) => body.is_end_stream(),
            Content::Call { trailers, .. } => trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Parts(parts) => {
                SizeHint::with_exact(parts.iter().map(|it| it.len() as u64).sum())
            }
            Content::Grpc(body) => body.size_hint(),
            Content::Call { message, .. } => {
                SizeHint::with_exact(message.as_ref().map_or(0, |it| it.len() as u64))
            }
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

/// Errors after which a peer may still be sending: its connection is not reused.
pub(crate) fn leaves_body_unread(error: &InferError) -> bool {
    matches!(
        error,
        InferError::TooLarge { .. } | InferError::SlowBody { .. } | InferError::Full { .. }
    )
}
