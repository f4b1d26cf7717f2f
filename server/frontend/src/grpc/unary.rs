//! A prediction over gRPC, from the message's bytes to the answer's: the one call that is worth
//! doing without tonic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use prost::Message as _;
use proto::inference::ModelInferRequest;
use server_base::{InferRequest, InferResponse, Protocol, VersionChoice};
use server_serving::{
    Answer, Caller, Finished, InferError, Permit, Reply, Servable, Submitted, Trip,
};

use super::caller::Asking;
use super::plain::{self, Plain};
use super::{call, decode, encode, framing, status_of, weight};
use crate::body::{Framing, Incoming, RequestBody, ResponseBody, collect};
use crate::dispatch::Shared;
use crate::headers::{self, Notes, VERSION_HEADER};
use crate::memory::{self, Copies, Far, Memory, Targets};
use crate::metrics::Durations;

/// The method's path.
pub(crate) const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Its type, and what [`Notes`] say.
const HEAD_FIELDS: usize = 3;

/// Answers predictions.
pub(crate) struct Unary {
    shared: Arc<Shared>,
    durations: Durations<1>,
}

/// A call that has been pushed.
pub(crate) struct Call {
    trip: Trip,
    submitted: Submitted,
    how: How,
}

/// How the caller wants the answer.
struct How {
    /// The caller's own name for the request.
    id: Bytes,
    targets: Targets,
}

impl Call {
    pub(crate) fn deadline(&self) -> Instant {
        self.submitted.deadline()
    }

    pub(crate) fn arrived(&self) -> Instant {
        self.trip.arrived()
    }
}

/// An answer in bytes, and the place in the budget that it holds until the last of it is about to be sent.
pub(crate) struct Answered {
    pub(crate) message: Bytes,
    notes: Notes,
    permit: Option<Arc<Permit>>,
}

impl Answered {
    /// What goes in front of the message.
    pub(crate) fn head(&mut self) -> Response<()> {
        let mut headers = HeaderMap::with_capacity(HEAD_FIELDS);
        headers.insert(header::CONTENT_TYPE, GRPC);
        std::mem::take(&mut self.notes).write(&mut headers);
        let mut response = Response::new(());
        *response.headers_mut() = headers;
        response
    }

    pub(crate) fn into_body(self) -> ResponseBody {
        ResponseBody::call(self.message, Unary::trailers()).with_permit(self.permit)
    }
}

/// Why a call has not begun.
pub(crate) enum Unbegun {
    /// The whole answer.
    Refused(Response<()>),
    /// Its model is to be loaded first, or tensors of it lie on a GPU, whose driver must not be waited for here: see
    /// [`Unary::late`].
    Late(Box<Late>),
}

/// A call that could not begin at once.
pub(crate) struct Late {
    trip: Trip,
    headers: HeaderMap,
    message: Message,
}

/// A message that came whole, and what the call's headers say of its time.
struct Message {
    bytes: Bytes,
    timeout: Option<Duration>,
}

/// A decoded message.
struct Asked<'a> {
    request: InferRequest<'a>,
    how: How,
    /// None if it is not loaded yet.
    servable: Option<Arc<Servable>>,
}

impl Unary {
    pub(crate) fn new(shared: Arc<Shared>) -> Unary {
        Unary { shared, durations: Durations::new() }
    }

    /// Is it a prediction over gRPC?
    pub(crate) fn takes<B>(request: &Request<B>) -> bool {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        request.uri().path() == PATH
            && content_type.is_some_and(|it| it.as_bytes().starts_with(GRPC.as_bytes()))
    }

    /// What follows the message.
    pub(crate) fn trailers() -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        trailers
    }

    /// Begins a call whose body is here, if its model is there.
    pub(crate) fn begin(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        reply: Reply,
    ) -> Result<Call, Unbegun> {
        let mut trip = self.shared.serving.trip(Protocol::Grpc);
        let taken = self.take(headers, body, &mut trip);
        let begun = taken.and_then(|it| Ok((self.submit((headers, &it), &mut trip, reply)?, it)));
        match begun {
            Ok((Some((submitted, how)), _)) => Ok(Call { trip, submitted, how }),
            Ok((None, message)) => {
                let late = Late { trip, headers: headers.clone(), message };
                Err(Unbegun::Late(Box::new(late)))
            }
            Err(error) => Err(Unbegun::Refused(self.refused(trip, &error))),
        }
    }

    /// Answers a call that could not begin at once.
    pub(crate) async fn late(&self, late: Box<Late>) -> Response<ResponseBody> {
        let Late { mut trip, headers, message } = *late;
        let answered = self.infer((&headers, &message), &mut trip).await;
        self.response(trip, answered).await
    }

    /// Ends it with what the model gave.
    pub(crate) fn end(
        &self,
        call: Call,
        result: Result<Answer, InferError>,
    ) -> Result<Answered, Response<()>> {
        let Call { mut trip, submitted, how } = call;
        match result {
            Ok(answer) => {
                trip.resume();
                self.answered(trip, (&submitted, answer), &how)
            }
            Err(error) => Err(self.refused(trip, &error)),
        }
    }

    /// Answers a call whose body is still coming in.
    pub(crate) async fn call(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let mut trip = self.shared.serving.trip(Protocol::Grpc);
        let answered = self.answer(request, &mut trip).await;
        self.response(trip, answered).await
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        trip: &mut Trip,
    ) -> Result<(Submitted, Answer, How), InferError> {
        let permit = self.enter(trip)?;
        let (head, body) = request.into_parts();
        let (bytes_max, limits) =
            (self.shared.options.request_bytes_max, &self.shared.options.connections);
        let framing = (Framing::Grpc, bytes_max);
        let body = RequestBody::new(body, framing, Some(permit), limits)?;
        let body = collect(body).await?;
        trip.resume();
        let message = self.message(&head.headers, body)?;
        self.infer((&head.headers, &message), trip).await
    }

    async fn infer(
        &self,
        message: (&HeaderMap, &Message),
        trip: &mut Trip,
    ) -> Result<(Submitted, Answer, How), InferError> {
        let mut copies = Copies::default();
        let Asked { request, how, .. } = loop {
            match self.decode(message, copies, trip)? {
                Ok(asked) => break asked,
                Err(far) => copies = memory::fetch(&self.shared, far).await?,
            }
            trip.resume();
        };
        let (submitted, answer) = self.shared.serving.infer(request, trip).await?;
        Ok((submitted, answer, how))
    }

    fn take(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        trip: &mut Trip,
    ) -> Result<Message, InferError> {
        self.enter(trip)?;
        let bytes_max = self.shared.options.request_bytes_max;
        if body.len() > framing::bytes_max(bytes_max) {
            return Err(InferError::TooLarge { bytes_max });
        }
        trip.grow(body.len())?;
        self.message(headers, body)
    }

    fn message(&self, headers: &HeaderMap, body: Bytes) -> Result<Message, InferError> {
        let bytes = framing::message(headers, body, self.shared.options.request_bytes_max)?;
        Ok(Message { bytes, timeout: call::timeout(headers) })
    }

    /// Pushes what a message asks for; nothing if it is to be waited for first.
    fn submit(
        &self,
        message: (&HeaderMap, &Message),
        trip: &mut Trip,
        reply: Reply,
    ) -> Result<Option<(Submitted, How)>, InferError> {
        let decoded = self.decode(message, Copies::default(), trip)?;
        let Ok(Asked { request, how, servable: Some(servable) }) = decoded else {
            return Ok(None);
        };
        if how.targets.are_far() {
            return Ok(None);
        }
        match self.shared.serving.submit(servable, request, trip, reply) {
            Ok(submitted) => Ok(Some((submitted, how))),
            Err(InferError::Asleep { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn enter(&self, trip: &mut Trip) -> Result<Arc<Permit>, InferError> {
        let permit = Arc::new(self.shared.serving.admission().enter()?);
        trip.holds(Arc::clone(&permit));
        Ok(permit)
    }

    /// First of all it is found out for whom a message is: what is wrong with it is then counted
    /// there. What lies on GPUs is to be copied first, and then it is decoded again, with the copies.
    fn decode<'a>(
        &self,
        (headers, message): (&HeaderMap, &'a Message),
        copies: Copies,
        trip: &mut Trip,
    ) -> Result<Result<Asked<'a>, Far>, InferError> {
        let Message { bytes, timeout } = message;
        let said = headers.get(VERSION_HEADER).map(HeaderValue::as_bytes);
        if let Some(Plain { mut request, id }) = plain::read(bytes, *timeout) {
            request.version = headers::choice(request.version, said)?;
            let asking = Asking::new(headers, None);
            let servable = self.address(&request.model, &request.version, (&asking, trip))?;
            trip.is_called(&id);
            trip.decoded();
            let how = How { id, targets: Targets::default() };
            return Ok(Ok(Asked { request, how, servable }));
        }
        // What the message says in few bytes may take many in memory.
        trip.unfolds(weight::of(bytes)?)?;
        let mut message = ModelInferRequest::decode(bytes.clone())
            .map_err(|it| InferError::Invalid(format!("failed to decode the message: {it}")))?;
        let id: Bytes = std::mem::take(&mut message.id).into();
        let choice = headers::choice(VersionChoice::parse(&message.model_version)?, said)?;
        let asking = Asking::new(headers, Some(&message.parameters));
        let servable = self.address(&message.model_name, &choice, (&asking, trip))?;
        trip.is_called(&id);
        let mut memory = Memory::of(&self.shared, trip, copies);
        let time = decode::timeout(&message.parameters, *timeout)?;
        let elsewhere = decode::elsewhere_of(&message);
        if let Some(far) = memory.far(elsewhere, (servable.as_deref(), time))? {
            return Ok(Err(far));
        }
        let (request, targets) = decode::request(message, choice, *timeout, &mut memory)?;
        trip.decoded();
        Ok(Ok(Asked { request, how: How { id, targets }, servable }))
    }

    fn address(
        &self,
        model: &str,
        choice: &VersionChoice,
        by: (&dyn Caller, &mut Trip),
    ) -> Result<Option<Arc<Servable>>, InferError> {
        match self.shared.serving.address(model, choice, by) {
            Ok(servable) => Ok(Some(servable)),
            Err(InferError::Asleep { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn response(
        &self,
        trip: Trip,
        answered: Result<(Submitted, Answer, How), InferError>,
    ) -> Response<ResponseBody> {
        let answered = match answered {
            Ok((submitted, answer, how)) if how.targets.are_far() => {
                self.carried(trip, (&submitted, answer), &how).await
            }
            Ok((submitted, answer, how)) => self.answered(trip, (&submitted, answer), &how),
            Err(error) => Err(self.refused(trip, &error)),
        };
        match answered {
            Ok(mut answered) => answered.head().map(|()| answered.into_body()),
            Err(refused) => refused.map(|()| ResponseBody::empty()),
        }
    }

    fn answered(
        &self,
        mut trip: Trip,
        (submitted, answer): (&Submitted, Answer),
        how: &How,
    ) -> Result<Answered, Response<()>> {
        let notes = Notes { version: submitted.version().clone(), logged: answer.logged() };
        let response = submitted.response(answer, &mut trip);
        self.encoded(trip, (notes, &response), how)
    }

    /// The same, where outputs go to GPUs.
    async fn carried(
        &self,
        mut trip: Trip,
        (submitted, answer): (&Submitted, Answer),
        how: &How,
    ) -> Result<Answered, Response<()>> {
        let notes = Notes { version: submitted.version().clone(), logged: answer.logged() };
        let response = submitted.response(answer, &mut trip);
        let until = submitted.deadline();
        let carried = how.targets.carry(&self.shared, &response.outputs, until).await;
        trip.resume();
        match carried {
            Ok(()) => self.encoded(trip, (notes, &response), how),
            Err(error) => Err(self.refused(trip, &error)),
        }
    }

    fn encoded(
        &self,
        mut trip: Trip,
        (notes, response): (Notes, &InferResponse<'_>),
        How { id, targets }: &How,
    ) -> Result<Answered, Response<()>> {
        if let Err(error) = targets.write(&response.outputs) {
            return Err(self.refused(trip, &error));
        }
        let message = encode::framed(response, id, notes.logged, targets);
        trip.encoded();
        Ok(Answered { message, notes, permit: self.finish(trip, None) })
    }

    fn refused(&self, trip: Trip, error: &InferError) -> Response<()> {
        self.finish(trip, Some(error));
        status_of(error).into_http::<()>()
    }

    fn finish(&self, trip: Trip, failure: Option<&InferError>) -> Option<Arc<Permit>> {
        let Finished { took, permit, .. } = trip.finish(failure);
        self.durations.rpc((0, PATH.trim_start_matches('/')), took);
        permit
    }
}
