//! `POST /v2/models/{model}[/versions/{version}]/infer`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_api::{DType, Dim, Shape, Tensor, TensorSpec, strings};
use bytes::Bytes;
use http::{Request, Response};
use server_base::{InferRequest, InferResponse, NamedTensor, Protocol, VersionChoice};
use server_serving::{Answer, InferError, Permit, Reply, Servable, Submitted, Trip};

use super::binary::{self, Parts};
use super::failure;
use super::request::{InferBody, WantsBinary, tensors};
use super::response::{self, Encoded};
use super::route::Route;
use super::said::Said;
use crate::body::{Framing, Incoming, RequestBody, ResponseBody, collect, discard};
use crate::dispatch::Shared;

/// How the caller wants the answer.
struct Format {
    id: Option<String>,
    binary: WantsBinary,
}

/// A prediction that has been pushed.
pub(crate) struct Call {
    trip: Trip,
    submitted: Submitted,
    format: Format,
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

/// Why a prediction has not begun.
pub(crate) enum Unbegun {
    /// It never will.
    Refused(InferError),
    /// Its model is loaded on demand: see [`late`].
    Asleep(Trip),
}

/// Begins a prediction whose body is here.
pub(crate) fn begin(
    shared: &Shared,
    (model, version): (&str, &str),
    (said, body): (Said<'_>, Bytes),
    reply: Reply,
) -> Result<Call, Unbegun> {
    let mut trip = shared.serving.trip(Protocol::Http);
    let begun = (|| {
        let permit = enter(shared, &mut trip)?;
        permit.grow(body.len())?;
        let (choice, servable) = address(shared, (model, version), &mut trip)?;
        let addressed = Addressed { model, choice, servable: Some(servable) };
        let (request, format) = decode(addressed, (said, body), &trip)?;
        let submitted = shared.serving.submit(&request, &mut trip, reply)?;
        Ok((submitted, format, permit))
    })();
    match begun {
        Ok((submitted, format, permit)) => Ok(Call { trip, submitted, format, permit }),
        Err(InferError::Asleep { .. }) => Err(Unbegun::Asleep(trip)),
        Err(error) => {
            trip.finish(Some(InferError::kind(&error)));
            Err(Unbegun::Refused(error))
        }
    }
}

/// A prediction that could not begin because its model was asleep, from there to its answer.
pub(crate) async fn late(
    shared: &Shared,
    (model, version): (&str, &str),
    content: (Said<'_>, Bytes),
    mut trip: Trip,
) -> Result<Encoded, InferError> {
    let result = match VersionChoice::parse(version) {
        Ok(choice) => {
            let addressed = Addressed { model, choice, servable: None };
            complete(shared, addressed, content, &mut trip).await
        }
        Err(error) => Err(error.into()),
    };
    trip.finish(result.as_ref().err().map(InferError::kind));
    result
}

/// Ends it with what the model gave. The permit is to be held until the answer is sent.
pub(crate) fn end(
    call: Call,
    result: Result<Answer, InferError>,
) -> Result<(Encoded, Arc<Permit>), InferError> {
    let Call { trip, submitted, format, permit } = call;
    let encoded = result.and_then(|it| encode(submitted.response(it), &format, &trip));
    trip.finish(encoded.as_ref().err().map(InferError::kind));
    Ok((encoded?, permit))
}

/// Answers, whatever happens. The answer keeps the request's share of the budget.
pub(crate) async fn infer(
    shared: &Shared,
    route: &Route,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let mut trip = shared.serving.trip(Protocol::Http);
    let mut permit = None;
    let result = answer(shared, route, request, (&mut trip, &mut permit)).await;
    trip.finish(result.as_ref().err().map(InferError::kind));
    result.map_or_else(|it| failure(&it), Encoded::into_response).map(|it| it.with_permit(permit))
}

async fn answer(
    shared: &Shared,
    route: &Route,
    request: Request<Incoming>,
    (trip, permit): (&mut Trip, &mut Option<Arc<Permit>>),
) -> Result<Encoded, InferError> {
    // First of all for whom it is: what is wrong with it is then counted there.
    let addressed = match address(shared, (&route.model, &route.version), trip) {
        Ok((choice, servable)) => Ok((choice, Some(servable))),
        Err(InferError::Asleep { .. }) => Ok((VersionChoice::parse(&route.version)?, None)),
        Err(error) => Err(error),
    };
    let permit = permit.insert(enter(shared, trip)?);
    let (head, body) = request.into_parts();
    let plain = (Framing::Plain, shared.options.request_bytes_max);
    let limits = &shared.options.connections;
    let body = RequestBody::new(body, plain, Some(Arc::clone(permit)), limits)?;
    let begun = addressed.and_then(|it| Ok((it, Said::new(&head.headers)?)));
    let ((choice, servable), said) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    let body = collect(body).await?;
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
    // What a body without a word about itself means is told by the model alone.
    if addressed.servable.is_none() && said.is_raw() {
        let (model, choice) = (addressed.model, &addressed.choice);
        shared.serving.awake(model, choice, (trip.arrived(), said.timeout()?)).await?;
        addressed.servable = Some(shared.serving.address(model, choice, trip)?);
    }
    let (request, format) = decode(addressed, (said, body), trip)?;
    let answer = shared.serving.infer(request, trip).await?;
    encode(answer, &format, trip)
}

fn enter(shared: &Shared, trip: &mut Trip) -> Result<Arc<Permit>, InferError> {
    let permit = Arc::new(shared.serving.admission().enter()?);
    trip.holds(Arc::clone(&permit));
    Ok(permit)
}

fn address(
    shared: &Shared,
    (model, version): (&str, &str),
    trip: &mut Trip,
) -> Result<(VersionChoice, Arc<Servable>), InferError> {
    let choice = VersionChoice::parse(version)?;
    let servable = shared.serving.address(model, &choice, trip)?;
    Ok((choice, servable))
}

/// For whom a request is.
struct Addressed<'a> {
    model: &'a str,
    choice: VersionChoice,
    /// None if it is not loaded yet.
    servable: Option<Arc<Servable>>,
}

fn decode(
    addressed: Addressed<'_>,
    (said, body): (Said<'_>, Bytes),
    trip: &Trip,
) -> Result<(InferRequest, Format), InferError> {
    let decoding = Instant::now();
    let Addressed { model, choice, servable } = addressed;
    let waiting = said.timeout()?;
    let Parts { json, tensors: binary, raw } = binary::split(said.json_length, body)?;
    let request = |inputs, outputs, timeout: Option<Duration>| {
        let model = model.to_owned();
        InferRequest { model, version: choice, inputs, outputs, timeout }
    };
    if raw {
        let servable = servable.ok_or_else(|| InferError::Asleep { model: model.to_owned() })?;
        let format = Format { id: None, binary: WantsBinary::all() };
        return Ok((request(raw_input(&servable, binary)?, Vec::new(), waiting), format));
    }
    let mut body = InferBody::parse(&json)?;
    let inputs = tensors(std::mem::take(&mut body.inputs), binary)?;
    let wanted = body.outputs.iter().map(|it| it.name.clone().into_owned()).collect();
    let waiting = [waiting, body.timeout()].into_iter().flatten().min();
    let binary = body.wants_binary();
    let format = Format { id: body.id.map(|it| it.into_owned()), binary };
    trip.decoded(decoding.elapsed());
    Ok((request(inputs, wanted, waiting), format))
}

fn encode(response: InferResponse, format: &Format, trip: &Trip) -> Result<Encoded, InferError> {
    let encoding = Instant::now();
    let encoded = response::encode(response, format.id.as_deref(), |it| format.binary.at(it));
    trip.encoded(encoding.elapsed());
    encoded
}

/// A body that is one tensor and nothing else: its shape follows from the model's only input.
fn raw_input(servable: &Servable, data: Bytes) -> Result<Vec<NamedTensor>, InferError> {
    let [spec] = servable.signature().inputs.as_slice() else {
        let inputs = servable.signature().inputs.len();
        let text = format!("raw binary request must have exactly 1 input, the model has {inputs}");
        return Err(InferError::Invalid(text));
    };
    let invalid = |source| InferError::Tensor { input: spec.name.to_string(), source };
    if spec.dtype == DType::Bytes {
        let mut element = Vec::with_capacity(data.len() + size_of::<u32>());
        strings::push(&mut element, &data).map_err(invalid)?;
        let shape = Shape::new(&vec![1; spec.dims.len()]).map_err(invalid)?;
        let tensor = Tensor::new(spec.dtype, shape, element.into()).map_err(invalid)?;
        return Ok(vec![NamedTensor { name: Arc::clone(&spec.name), tensor }]);
    }
    let shape = raw_shape(spec, data.len())?;
    let tensor = Tensor::new(spec.dtype, shape, data).map_err(invalid)?;
    Ok(vec![NamedTensor { name: Arc::clone(&spec.name), tensor }])
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
