//! `POST /v2/models/{model}[/versions/{version}]/infer`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_api::{DType, Dim, Shape, Tensor, TensorSpec, strings};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use server_base::{InferRequest, NamedTensor, Protocol, VersionChoice};
use server_serving::{InferError, Permit, Servable, Trip};

use super::binary::{self, Parts};
use super::failure;
use super::request::{InferBody, tensors};
use super::response;
use super::route::Route;
use crate::body::{Framing, Incoming, RequestBody, ResponseBody, collect, discard};
use crate::dispatch::Shared;

/// The caller's patience in milliseconds, for callers that can set a header more easily than a
/// parameter.
const TIMEOUT_HEADER: &str = "x-request-timeout-ms";

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
    result.unwrap_or_else(|it| failure(&it)).map(|body| body.with_permit(permit))
}

async fn answer(
    shared: &Shared,
    route: &Route,
    request: Request<Incoming>,
    (trip, permit): (&mut Trip, &mut Option<Arc<Permit>>),
) -> Result<Response<ResponseBody>, InferError> {
    // First of all for whom it is: what is wrong with it is then counted there.
    let addressed = address(shared, route, trip);
    let permit = permit.insert(Arc::new(shared.serving.admission().enter()?));
    trip.holds(Arc::clone(permit));
    let (head, body) = request.into_parts();
    let plain = (Framing::Plain, shared.options.request_bytes_max);
    let limits = &shared.options.connections;
    let body = RequestBody::new(body, plain, Some(Arc::clone(permit)), limits)?;
    let begun = addressed.and_then(|(choice, servable)| {
        refuse_encoding(&head.headers)?;
        Ok((choice, servable, timeout(&head.headers)?))
    });
    let (choice, servable, waiting) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    let parts = binary::split(&head.headers, collect(body).await?)?;
    if parts.raw {
        let inputs = raw_input(&servable, parts.tensors)?;
        let request = infer_request((route, choice), inputs, Vec::new(), waiting);
        let answer = shared.serving.infer(request, trip).await?;
        return response::encode(answer, None, |_| true);
    }
    let decoding = Instant::now();
    let Parts { json, tensors: binary, .. } = parts;
    let mut body = InferBody::parse(&json)?;
    let inputs = tensors(std::mem::take(&mut body.inputs), binary)?;
    let wanted = body.outputs.iter().map(|it| it.name.clone().into_owned()).collect();
    let waiting = [waiting, body.timeout()].into_iter().flatten().min();
    trip.decoded(decoding.elapsed());
    let request = infer_request((route, choice), inputs, wanted, waiting);
    let answer = shared.serving.infer(request, trip).await?;
    let encoding = Instant::now();
    let response = response::encode(answer, body.id.as_deref(), |it| body.wants_binary(it));
    trip.encoded(encoding.elapsed());
    response
}

fn address(
    shared: &Shared,
    route: &Route,
    trip: &mut Trip,
) -> Result<(VersionChoice, Arc<Servable>), InferError> {
    let choice = VersionChoice::parse(&route.version)?;
    let servable = shared.serving.address(&route.model, &choice, trip)?;
    Ok((choice, servable))
}

fn infer_request(
    (route, version): (&Route, VersionChoice),
    inputs: Vec<NamedTensor>,
    outputs: Vec<String>,
    timeout: Option<Duration>,
) -> InferRequest {
    InferRequest { model: route.model.clone(), version, inputs, outputs, timeout }
}

fn refuse_encoding(headers: &HeaderMap) -> Result<(), InferError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(InferError::Encoding {
            encoding: String::from_utf8_lossy(encoding.as_bytes()).chars().take(32).collect(),
        }),
        Some(_) | None => Ok(()),
    }
}

fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, InferError> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else { return Ok(None) };
    let millis = value.to_str().ok().and_then(|it| it.parse::<u64>().ok());
    let millis = millis.ok_or_else(|| {
        InferError::Invalid(format!("{TIMEOUT_HEADER} is {value:?}, expected milliseconds"))
    })?;
    Ok(Some(Duration::from_millis(millis)))
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
