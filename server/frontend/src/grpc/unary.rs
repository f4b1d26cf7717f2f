//! A prediction over gRPC, from the message's bytes to the answer's: the one call that is worth
//! doing without tonic.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use prost::Message as _;
use proto::inference::ModelInferRequest;
use server_base::{InferRequest, InferResponse, Protocol, VersionChoice};
use server_serving::{Answer, InferError, Permit, Reply, Submitted, Trip};

use super::{call, decode, encode, framing, status_of, weight};
use crate::body::{Framing, Incoming, RequestBody, ResponseBody, collect};
use crate::dispatch::Shared;
use crate::metrics::Durations;

/// The method's path.
pub(crate) const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Answers predictions.
pub(crate) struct Unary {
    shared: Arc<Shared>,
    durations: Durations<1>,
}

/// A call that has been pushed.
pub(crate) struct Call {
    trip: Trip,
    submitted: Submitted,
    id: String,
    permit: Arc<Permit>,
}

impl Call {
    pub(crate) fn deadline(&self) -> Instant {
        self.submitted.deadline()
    }

    pub(crate) fn arrived(&self) -> Instant {
        self.trip.arrived()
    }
}

/// An answer in bytes, and the place in the budget that it holds until it is sent.
pub(crate) struct Answered {
    pub(crate) message: Bytes,
    permit: Option<Arc<Permit>>,
}

impl Answered {
    pub(crate) fn into_body(self) -> ResponseBody {
        ResponseBody::call(self.message, Unary::trailers()).with_permit(self.permit)
    }
}

/// Why a call has not begun.
pub(crate) enum Unbegun {
    /// The whole answer.
    Refused(Response<()>),
    /// Its model is to be loaded first: see [`Unary::late`].
    Asleep(Box<Late>),
}

/// A call whose model is loaded on demand and not there yet.
pub(crate) struct Late {
    trip: Trip,
    asked: Asked,
    permit: Arc<Permit>,
}

/// A decoded message.
struct Asked {
    request: InferRequest,
    id: String,
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

    /// Head of an answer that has a message.
    pub(crate) fn head() -> Response<()> {
        let mut response = Response::new(());
        response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
        response
    }

    /// What follows the message.
    pub(crate) fn trailers() -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
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
        let (asked, permit) = match self.take(headers, body, &mut trip) {
            Ok(taken) => taken,
            Err(error) => return Err(Unbegun::Refused(self.refused(trip, &error))),
        };
        match self.shared.serving.submit(&asked.request, &mut trip, reply) {
            Ok(submitted) => Ok(Call { trip, submitted, id: asked.id, permit }),
            Err(InferError::Asleep { .. }) => {
                Err(Unbegun::Asleep(Box::new(Late { trip, asked, permit })))
            }
            Err(error) => Err(Unbegun::Refused(self.refused(trip, &error))),
        }
    }

    /// Answers a call whose model has to be loaded first.
    pub(crate) async fn late(&self, late: Box<Late>) -> Response<ResponseBody> {
        let Late { mut trip, asked, permit } = *late;
        match self.shared.serving.infer(asked.request, &mut trip).await {
            Ok(response) => {
                let answered = self.answered(trip, &response, &asked.id, permit);
                Unary::head().map(|()| answered.into_body())
            }
            Err(error) => self.refused(trip, &error).map(|()| ResponseBody::empty()),
        }
    }

    /// Ends it with what the model gave.
    pub(crate) fn end(
        &self,
        call: Call,
        result: Result<Answer, InferError>,
    ) -> Result<Answered, Response<()>> {
        let Call { trip, submitted, id, permit } = call;
        match result {
            Ok(answer) => Ok(self.answered(trip, &submitted.response(answer), &id, permit)),
            Err(error) => Err(self.refused(trip, &error)),
        }
    }

    /// Answers a call whose body is still coming in.
    pub(crate) async fn call(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let mut trip = self.shared.serving.trip(Protocol::Grpc);
        match self.answer(request, &mut trip).await {
            Ok((response, id, permit)) => {
                let answered = self.answered(trip, &response, &id, permit);
                Unary::head().map(|()| answered.into_body())
            }
            Err(error) => self.refused(trip, &error).map(|()| ResponseBody::empty()),
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        trip: &mut Trip,
    ) -> Result<(InferResponse, String, Arc<Permit>), InferError> {
        let permit = self.enter(trip)?;
        let (head, body) = request.into_parts();
        let (bytes_max, limits) =
            (self.shared.options.request_bytes_max, &self.shared.options.connections);
        let framing = (Framing::Grpc, bytes_max);
        let body = RequestBody::new(body, framing, Some(Arc::clone(&permit)), limits)?;
        let body = collect(body).await?;
        let Asked { request, id } = self.decode(&head.headers, body, (trip, &permit))?;
        let response = self.shared.serving.infer(request, trip).await?;
        Ok((response, id, permit))
    }

    fn take(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        trip: &mut Trip,
    ) -> Result<(Asked, Arc<Permit>), InferError> {
        let permit = self.enter(trip)?;
        let bytes_max = self.shared.options.request_bytes_max;
        if body.len() > framing::bytes_max(bytes_max) {
            return Err(InferError::TooLarge { bytes_max });
        }
        permit.grow(body.len())?;
        Ok((self.decode(headers, body, (trip, &permit))?, permit))
    }

    fn enter(&self, trip: &mut Trip) -> Result<Arc<Permit>, InferError> {
        let permit = Arc::new(self.shared.serving.admission().enter()?);
        trip.holds(Arc::clone(&permit));
        Ok(permit)
    }

    fn decode(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        (trip, permit): (&mut Trip, &Permit),
    ) -> Result<Asked, InferError> {
        let decoding = Instant::now();
        let message = framing::message(headers, body, self.shared.options.request_bytes_max)?;
        // What the message says in few bytes may take many in memory.
        permit.grow(weight::of(&message)?)?;
        let mut message = ModelInferRequest::decode(message)
            .map_err(|it| InferError::Invalid(format!("failed to decode the message: {it}")))?;
        let id = std::mem::take(&mut message.id);
        // First of all for whom it is: what is wrong with it is then counted there.
        let choice = VersionChoice::parse(&message.model_version)?;
        match self.shared.serving.address(&message.model_name, &choice, trip) {
            Ok(_) | Err(InferError::Asleep { .. }) => {} // what is asleep is woken by `infer`
            Err(error) => return Err(error),
        }
        let request = decode::request(message, choice, call::timeout(headers))?;
        trip.decoded(decoding.elapsed());
        Ok(Asked { request, id })
    }

    fn answered(
        &self,
        trip: Trip,
        response: &InferResponse,
        id: &str,
        permit: Arc<Permit>,
    ) -> Answered {
        let encoding = Instant::now();
        let message = encode::framed(response, id);
        trip.encoded(encoding.elapsed());
        self.count(&trip);
        trip.finish(None);
        Answered { message, permit: Some(permit) }
    }

    fn refused(&self, trip: Trip, error: &InferError) -> Response<()> {
        self.count(&trip);
        trip.finish(Some(error.kind()));
        status_of(error).into_http::<()>()
    }

    fn count(&self, trip: &Trip) {
        self.durations.rpc((0, PATH.trim_start_matches('/')), trip.arrived().elapsed());
    }
}
