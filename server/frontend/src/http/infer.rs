//! `POST /v2/models/{model}[/versions/{version}]/infer`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use backend_api::{DType, Dim, Shape, Tensor, TensorSpec, strings};
use bytes::Bytes;
use http::{Request, Response};
use server_base::{InferRequest, InferResponse, NamedTensor, Protocol, VersionChoice};
use server_serving::{Answer, Finished, InferError, Permit, Reply, Servable, Submitted, Trip};
use smallvec::SmallVec;

use super::binary::{self, Parts};
use super::caller::Asking;
use super::failure;
use super::request::{InferBody, WantsBinary, tensors};
use super::response::{self, Encoded};
use super::route::Route;
use super::said::Said;
use crate::body::{Framing, Incoming, RequestBody, ResponseBody, collect, discard};
use crate::dispatch::Shared;
use crate::headers::Notes;
use crate::memory::{self, Copies, Far, Memory, Targets};

/// How the caller wants the answer.
struct Format {
    id: Option<String>,
    binary: WantsBinary,
    targets: Targets,
}

/// A prediction that has been pushed.
pub(crate) struct Call {
    trip: Trip,
    submitted: Submitted,
    format: Format,
}

impl Call {
    pub(crate) fn deadline(&self) -> Instant {
        self.submitted.deadline()
    }

    pub(crate) fn arrived(&self) -> Instant {
        self.trip.arrived()
    }
}

/// Why there is no answer, and the end of the trip.
pub(super) type Failed = Box<(InferError, Finished)>;

/// Why a prediction has not begun.
pub(crate) enum Unbegun {
    /// It never will.
    Refused(Failed),
    /// Its model is loaded on demand, or tensors of it lie on a GPU, whose driver must not be waited for here: see
    /// [`late`].
    Late(Box<Trip>),
}

/// Begins a prediction whose body is here.
pub(crate) fn begin(
    shared: &Shared,
    (model, version): (&str, &str),
    (said, body): (Said<'_>, Bytes),
    reply: Reply,
) -> Result<Call, Unbegun> {
    let mut trip = shared.serving.trip(Protocol::Http);
    let begun = (|| -> Result<Option<(Submitted, Format)>, InferError> {
        enter(shared, &mut trip)?;
        trip.grow(body.len())?;
        let asking = Asking::new(said, Some(&body));
        let (choice, servable) = address(shared, (model, version), (&said, &asking), &mut trip)?;
        let addressed = Addressed { model, choice, servable: Some(Arc::clone(&servable)) };
        let parts = binary::split(said.json_length, body)?;
        let content = (said, &parts, Copies::default());
        match decode(shared, addressed, content, &mut trip)? {
            Ok((request, format)) if !format.targets.are_far() => {
                Ok(Some((shared.serving.submit(servable, request, &mut trip, reply)?, format)))
            }
            Ok(_) | Err(_) => Ok(None),
        }
    })();
    match begun {
        Ok(Some((submitted, format))) => Ok(Call { trip, submitted, format }),
        Ok(None) | Err(InferError::Asleep { .. }) => Err(Unbegun::Late(Box::new(trip))),
        Err(error) => {
            let finished = trip.finish(Some(&error));
            Err(Unbegun::Refused(Box::new((error, finished))))
        }
    }
}

/// A prediction that could not begin at once, from there to its answer.
pub(crate) async fn late(
    shared: &Shared,
    (model, version): (&str, &str),
    content: (Said<'_>, Bytes),
    mut trip: Trip,
) -> Result<(Encoded, Finished), Failed> {
    let encoded = match content.0.choice(version) {
        Ok(choice) => {
            // None is there yet if it is loaded on demand. Else it knows how long a driver may be waited for.
            let asking = Asking::new(content.0, Some(&content.1));
            let servable = shared.serving.address(model, &choice, (&asking, &mut trip)).ok();
            let addressed = Addressed { model, choice, servable };
            complete(shared, addressed, content, &mut trip).await
        }
        Err(error) => Err(error),
    };
    finish(encoded, trip)
}

/// Ends it with what the model gave, written to `memory`. The permit is to be held until
/// the last of the answer is about to be sent.
pub(crate) fn end(
    call: Call,
    result: Result<Answer, InferError>,
    memory: Vec<u8>,
) -> Result<(Encoded, Finished), Failed> {
    let Call { mut trip, submitted, format } = call;
    trip.resume();
    let encoded = result.and_then(|it| encode((&submitted, it), &format, &mut trip, memory));
    finish(encoded, trip)
}

fn finish(encoded: Result<Encoded, InferError>, trip: Trip) -> Result<(Encoded, Finished), Failed> {
    let finished = trip.finish(encoded.as_ref().err());
    match encoded {
        Ok(encoded) => Ok((encoded, finished)),
        Err(error) => Err(Box::new((error, finished))),
    }
}

/// Answers, whatever happens. The answer keeps the request's share of the budget.
pub(crate) async fn infer(
    shared: &Shared,
    route: &Route,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let mut trip = shared.serving.trip(Protocol::Http);
    let result = answer(shared, route, request, &mut trip).await;
    let Finished { permit, .. } = trip.finish(result.as_ref().err());
    result.map_or_else(|it| failure(&it), Encoded::into_response).map(|it| it.with_permit(permit))
}

async fn answer(
    shared: &Shared,
    route: &Route,
    request: Request<Incoming>,
    trip: &mut Trip,
) -> Result<Encoded, InferError> {
    let (head, body) = request.into_parts();
    let said = Said::new(&head.headers);
    // First of all for whom it is: what is wrong with it is then counted there.
    let heard = said.as_ref().copied().unwrap_or_default();
    let asking = Asking::new(heard, None);
    let named = (&*route.model, &*route.version);
    let addressed = match address(shared, named, (&heard, &asking), trip) {
        Ok((choice, servable)) => Ok((choice, Some(servable))),
        Err(InferError::Asleep { .. }) => Ok((heard.choice(&route.version)?, None)),
        Err(error) => Err(error),
    };
    let permit = enter(shared, trip)?;
    let plain = (Framing::Plain, shared.options.request_bytes_max);
    let limits = &shared.options.connections;
    let body = RequestBody::new(body, plain, Some(permit), limits)?;
    let begun = addressed.and_then(|it| Ok((it, said?)));
    let ((choice, servable), said) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    let body = collect(body).await?;
    trip.resume();
    let addressed = Addressed { model: &route.model, choice, servable };
    complete(shared, addressed, (said, body), trip).await
}

/// From the body to the answer. Waits for the model, if it is loaded on demand.
async fn complete(
    shared: &Shared,
    mut addressed: Addressed<'_>,
    (said, body): (Said<'_>, Bytes),
    trip: &mut Trip,
) -> Result<Encoded, InferError> {
    if trip.awaits_parameters() {
        let asking = Asking::new(said, Some(&body));
        let found = shared.serving.address(addressed.model, &addressed.choice, (&asking, trip));
        addressed.servable = match found {
            Ok(servable) => Some(servable),
            Err(InferError::Asleep { .. }) => None,
            Err(error) => return Err(error),
        };
    }
    // What a body without a word about itself means is told by the model alone.
    if addressed.servable.is_none() && said.is_raw() {
        let (model, choice) = (addressed.model, &addressed.choice);
        let time = (trip.arrived(), said.timeout()?);
        let asking = Asking::new(said, Some(&body));
        let find = || shared.serving.address(model, choice, (&asking, &mut *trip));
        let found = shared.serving.when_awake((model, choice), time, find).await?;
        addressed.servable = Some(found);
        trip.resume();
    }
    let parts = binary::split(said.json_length, body)?;
    let mut copies = Copies::default();
    let (request, format) = loop {
        match decode(shared, addressed.clone(), (said, &parts, copies), trip)? {
            Ok(decoded) => break decoded,
            Err(far) => copies = memory::fetch(shared, far).await?,
        }
        trip.resume();
    };
    let (submitted, answer) = shared.serving.infer(request, trip).await?;
    if !format.targets.are_far() {
        return encode((&submitted, answer), &format, trip, Vec::new());
    }
    let notes = Notes { version: submitted.version().clone(), logged: answer.logged() };
    let response = submitted.response(answer, trip);
    format.targets.carry(shared, &response.outputs, submitted.deadline()).await?;
    trip.resume();
    encode_with((notes, response), &format, trip, Vec::new())
}

fn enter(shared: &Shared, trip: &mut Trip) -> Result<Arc<Permit>, InferError> {
    let permit = Arc::new(shared.serving.admission().enter()?);
    trip.holds(Arc::clone(&permit));
    Ok(permit)
}

fn address(
    shared: &Shared,
    (model, version): (&str, &str),
    (said, asking): (&Said<'_>, &Asking<'_>),
    trip: &mut Trip,
) -> Result<(VersionChoice, Arc<Servable>), InferError> {
    let choice = said.choice(version)?;
    let servable = shared.serving.address(model, &choice, (asking, trip))?;
    Ok((choice, servable))
}

/// For whom a request is.
#[derive(Clone)]
struct Addressed<'a> {
    model: &'a str,
    choice: VersionChoice,
    /// None if it is not loaded yet.
    servable: Option<Arc<Servable>>,
}

/// What is asked, and how it is to be answered; or what is to be copied from GPUs first, and then it is decoded
/// again, with the copies.
type Decoded<'a> = Result<(InferRequest<'a>, Format), Far>;

fn decode<'a>(
    shared: &Shared,
    addressed: Addressed<'a>,
    (said, parts, copies): (Said<'_>, &'a Parts, Copies),
    trip: &mut Trip,
) -> Result<Decoded<'a>, InferError> {
    let Addressed { model, choice: version, servable } = addressed;
    let (model, timeout) = (model.into(), said.timeout()?);
    let binary = parts.tensors.clone();
    if parts.raw {
        let servable =
            servable.ok_or_else(|| InferError::Asleep { model: addressed.model.to_owned() })?;
        let spec = raw_spec(&servable)?;
        let (name, tensor) = (spec.name.to_string().into(), raw_tensor(spec, binary)?);
        let inputs = [NamedTensor { name, tensor }].into_iter().collect();
        let request = InferRequest { model, version, inputs, outputs: SmallVec::new(), timeout };
        trip.decoded();
        let (binary, targets) = (WantsBinary::all(), Targets::default());
        return Ok(Ok((request, Format { id: None, binary, targets })));
    }
    let body = InferBody::parse(&parts.json)?;
    let timeout = [timeout, body.timeout()].into_iter().flatten().min();
    trip.is_called(body.id.as_deref().unwrap_or_default().as_bytes());
    let mut memory = Memory::of(shared, trip, copies);
    if let Some(far) = memory.far(body.elsewhere(), (servable.as_deref(), timeout))? {
        return Ok(Err(far));
    }
    let (wants, targets) = (body.wants_binary(), body.targets(&memory)?);
    let format = Format { binary: wants, targets, id: body.id.map(Cow::into_owned) };
    let outputs = body.outputs.into_iter().map(|it| it.name).collect();
    let inputs = tensors(body.inputs, binary, &mut memory)?;
    trip.decoded();
    Ok(Ok((InferRequest { model, version, inputs, outputs, timeout }, format)))
}

fn encode(
    (submitted, answer): (&Submitted, Answer),
    format: &Format,
    trip: &mut Trip,
    memory: Vec<u8>,
) -> Result<Encoded, InferError> {
    let notes = Notes { version: submitted.version().clone(), logged: answer.logged() };
    let response = submitted.response(answer, trip);
    encode_with((notes, response), format, trip, memory)
}

fn encode_with(
    (notes, response): (Notes, InferResponse<'_>),
    format: &Format,
    trip: &mut Trip,
    memory: Vec<u8>,
) -> Result<Encoded, InferError> {
    let (is_binary, id) = (|it| format.binary.at(it), format.id.as_deref());
    format.targets.write(&response.outputs)?;
    let how = (is_binary, &format.targets);
    let mut encoded = response::encode(response, id, how, memory);
    if let Ok(encoded) = &mut encoded {
        encoded.notes = notes;
    }
    trip.encoded();
    encoded
}

/// The one input of a body that is one tensor and nothing else.
fn raw_spec(servable: &Servable) -> Result<&TensorSpec, InferError> {
    let inputs = servable.signature().inputs.as_slice();
    let [spec] = inputs else {
        let inputs = inputs.len();
        let text = format!("raw binary request must have exactly 1 input, the model has {inputs}");
        return Err(InferError::Invalid(text));
    };
    Ok(spec)
}
/// Its shape follows from the model's.
fn raw_tensor(spec: &TensorSpec, data: Bytes) -> Result<Tensor, InferError> {
    let invalid = |source| InferError::Tensor { input: spec.name.to_string(), source };
    if spec.dtype == DType::Bytes {
        let mut element = Vec::with_capacity(data.len() + size_of::<u32>());
        strings::push(&mut element, &data).map_err(invalid)?;
        let shape = Shape::new(&vec![1; spec.dims.len()]).map_err(invalid)?;
        return Tensor::new(spec.dtype, shape, element.into()).map_err(invalid);
    }
    Tensor::new(spec.dtype, raw_shape(spec, data.len())?, data).map_err(invalid)
}

/// One row, and the one free axis as long as the bytes make it.
fn raw_shape(spec: &TensorSpec, bytes: usize) -> Result<Shape, InferError> {
    let free = spec.dims.iter().filter(|it| matches!(it, Dim::Free(_))).count();
    if free > 1 {
        let text = format!(
            "raw binary request: input '{}' has {free} free axes, at most 1 can be found out",
            spec.name
        );
        return Err(InferError::Invalid(text));
    }
    let fixed = |dim: &Dim| match dim {
        Dim::Fixed(length) => *length,
        Dim::Rows | Dim::Free(_) => 1,
    };
    let row: usize = spec
        .dims
        .iter()
        .map(fixed)
        .product::<usize>()
        .saturating_mul(spec.dtype.size().unwrap_or(1));
    let found = bytes.checked_div(row).unwrap_or(0);
    let length = |dim: &Dim| match dim {
        Dim::Fixed(length) => *length,
        Dim::Rows => 1,
        Dim::Free(_) => found,
    };
    let dims: Vec<usize> = spec.dims.iter().map(length).collect();
    Shape::new(&dims).map_err(|source| InferError::Tensor { input: spec.name.to_string(), source })
}
