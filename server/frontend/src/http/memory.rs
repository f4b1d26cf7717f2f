//! Memory that clients share with the server: `/v2/systemsharedmemory[/region/{region}]/..`, and the same for
//! `cudasharedmemory`.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Request, Response, StatusCode};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use server_regions::{Place, Region, RegionError, RegionKind};
use server_serving::InferError;

use super::repository::read;
use super::route::{Endpoint, Route};
use super::{error_response, failure, health, json, refusal};
use crate::body::{RequestBody, ResponseBody};
use crate::dispatch::Shared;
use crate::memory::{self, Failed, served};

/// What is to be registered of an object.
#[derive(Default, Deserialize)]
struct SystemBody {
    key: String,
    #[serde(default)]
    offset: u64,
    byte_size: u64,
}

/// What is to be registered of a GPU.
#[derive(Default, Deserialize)]
struct CudaBody {
    raw_handle: Handle,
    #[serde(default)]
    device_id: i64,
    byte_size: u64,
}

/// A `cudaIpcMemHandle_t`.
#[derive(Default, Deserialize)]
struct Handle {
    b64: String,
}

/// Of one kind or the other.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    System { name: &'a str, key: &'a str, offset: u64, byte_size: u64 },
    Cuda { name: &'a str, device_id: u32, byte_size: u64 },
}

impl Line<'_> {
    fn of(region: &Region) -> Line<'_> {
        let (name, byte_size) = (region.name(), region.bytes());
        match region.place() {
            Place::System { key, offset } => Line::System { name, key, offset: *offset, byte_size },
            Place::Cuda { device } => Line::Cuda { name, device_id: *device, byte_size },
        }
    }
}

/// `GET ../status`: an array, one object a region.
pub(crate) fn status(shared: &Shared, route: &Route) -> Response<ResponseBody> {
    let regions = match served(shared) {
        Ok(regions) => regions,
        Err(error) => return failure(&error),
    };
    match regions.status(kind(route), named(route)) {
        Ok(found) => {
            let lines: Vec<Line<'_>> = found.iter().map(|it| Line::of(it)).collect();
            json(StatusCode::OK, &lines)
        }
        Err(error) => refused(&error),
    }
}

/// `POST ../register`.
pub(crate) async fn register(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    match kind(&route) {
        RegionKind::System => register_system(&shared, &route, request).await,
        RegionKind::Cuda => register_cuda(&shared, route, request).await,
    }
}

async fn register_system(
    shared: &Shared,
    route: &Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let body: SystemBody = match told(shared, request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let at = (body.offset, body.byte_size);
    let registered = served(shared).map(|it| it.register_system(&route.model, &body.key, at));
    registered.map_or_else(|it| failure(&it), answer)
}

async fn register_cuda(
    shared: &Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let body: CudaBody = match told(shared, request).await {
        Ok(body) => body,
        Err(error) => return failure(&error),
    };
    let Ok(handle) = BASE64_STANDARD.decode(&body.raw_handle.b64) else {
        return error_response(StatusCode::BAD_REQUEST, "raw_handle.b64 is no base64");
    };
    let memory = (body.device_id, handle, body.byte_size);
    match memory::register_cuda(shared, route.model, memory).await {
        Ok(()) => health(true),
        Err(Failed::Region(error)) => refused(&error),
        Err(Failed::Infer(error)) => failure(&error),
    }
}

/// `POST ../unregister`; whatever the body says is read and means nothing.
pub(crate) async fn unregister(
    shared: Arc<Shared>,
    route: Route,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    if let Err(error) = told::<IgnoredAny>(&shared, request).await {
        return failure(&error);
    }
    let done = match kind(&route) {
        RegionKind::System => {
            served(&shared).map(|it| it.unregister(RegionKind::System, named(&route)))
        }
        RegionKind::Cuda => memory::unregister_cuda(&shared, named(&route)).await,
    };
    done.map_or_else(|it| failure(&it), |()| health(true))
}

/// What the body says; that nothing is served is said first.
async fn told<T: Default + DeserializeOwned>(
    shared: &Shared,
    request: Request<RequestBody>,
) -> Result<T, InferError> {
    let body = read(request).await;
    served(shared).and(body)
}

fn kind(route: &Route) -> RegionKind {
    let cuda = [Endpoint::CudaMemory, Endpoint::CudaMemoryRegister, Endpoint::CudaMemoryUnregister];
    if cuda.contains(&route.endpoint) { RegionKind::Cuda } else { RegionKind::System }
}

/// None: all of them.
fn named(route: &Route) -> Option<&str> {
    Some(&*route.model).filter(|it| !it.is_empty())
}

fn answer(result: Result<(), RegionError>) -> Response<ResponseBody> {
    result.map_or_else(|it| refused(&it), |()| health(true))
}

fn refused(error: &RegionError) -> Response<ResponseBody> {
    refusal(error.kind(), error.to_string())
}
