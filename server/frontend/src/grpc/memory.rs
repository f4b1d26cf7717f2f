//! Memory that clients share with the server, over gRPC.

use std::collections::HashMap;
use std::sync::Arc;

use proto::inference::cuda_shared_memory_status_response::RegionStatus as CudaStatus;
use proto::inference::system_shared_memory_status_response::RegionStatus as SystemStatus;
use proto::inference::{
    CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse,
    CudaSharedMemoryStatusRequest, CudaSharedMemoryStatusResponse,
    CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse,
    SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse,
    SystemSharedMemoryStatusRequest, SystemSharedMemoryStatusResponse,
    SystemSharedMemoryUnregisterRequest, SystemSharedMemoryUnregisterResponse,
};
use server_regions::{Place, Region, RegionError, RegionKind, Regions};
use tonic::{Code, Status};

use super::status_of;
use crate::dispatch::Shared;
use crate::memory::{self, Failed};
use crate::status::{clipped, status};

pub(super) fn system_status(
    shared: &Shared,
    request: &SystemSharedMemoryStatusRequest,
) -> Result<SystemSharedMemoryStatusResponse, Status> {
    let line = |name: String, byte_size, place: &Place| match place {
        Place::System { key, offset } => {
            Some(SystemStatus { name, key: key.clone(), offset: *offset, byte_size })
        }
        Place::Cuda { .. } => None,
    };
    let regions = lines(shared, (RegionKind::System, &request.name), line)?;
    Ok(SystemSharedMemoryStatusResponse { regions })
}

pub(super) fn cuda_status(
    shared: &Shared,
    request: &CudaSharedMemoryStatusRequest,
) -> Result<CudaSharedMemoryStatusResponse, Status> {
    let line = |name: String, byte_size, place: &Place| match place {
        Place::Cuda { device } => {
            Some(CudaStatus { name, device_id: u64::from(*device), byte_size })
        }
        Place::System { .. } => None,
    };
    let regions = lines(shared, (RegionKind::Cuda, &request.name), line)?;
    Ok(CudaSharedMemoryStatusResponse { regions })
}

/// What is to be said of regions of a kind, by name.
fn lines<T>(
    shared: &Shared,
    (kind, name): (RegionKind, &str),
    line: impl Fn(String, u64, &Place) -> Option<T>,
) -> Result<HashMap<String, T>, Status> {
    let found = regions(shared)?.status(kind, named(name)).map_err(|it| refused(&it))?;
    let line = |it: &Region| {
        let line = line(it.name().to_owned(), it.bytes(), it.place())?;
        Some((it.name().to_owned(), line))
    };
    Ok(found.iter().filter_map(|it| line(it)).collect())
}

pub(super) fn register_system(
    shared: &Shared,
    request: &SystemSharedMemoryRegisterRequest,
) -> Result<SystemSharedMemoryRegisterResponse, Status> {
    let SystemSharedMemoryRegisterRequest { name, key, offset, byte_size } = request;
    let registered = regions(shared)?.register_system(name, key, (*offset, *byte_size));
    registered.map_err(|it| refused(&it))?;
    Ok(SystemSharedMemoryRegisterResponse {})
}

pub(super) async fn register_cuda(
    shared: &Arc<Shared>,
    request: CudaSharedMemoryRegisterRequest,
) -> Result<CudaSharedMemoryRegisterResponse, Status> {
    let CudaSharedMemoryRegisterRequest { name, raw_handle, device_id, byte_size } = request;
    let given = (device_id, raw_handle.to_vec(), byte_size);
    match memory::register_cuda(shared, name, given).await {
        Ok(()) => Ok(CudaSharedMemoryRegisterResponse {}),
        Err(Failed::Region(error)) => Err(refused(&error)),
        Err(Failed::Infer(error)) => Err(status_of(&error)),
    }
}

pub(super) fn unregister_system(
    shared: &Shared,
    request: &SystemSharedMemoryUnregisterRequest,
) -> Result<SystemSharedMemoryUnregisterResponse, Status> {
    regions(shared)?.unregister(RegionKind::System, named(&request.name));
    Ok(SystemSharedMemoryUnregisterResponse {})
}

pub(super) async fn unregister_cuda(
    shared: &Shared,
    request: &CudaSharedMemoryUnregisterRequest,
) -> Result<CudaSharedMemoryUnregisterResponse, Status> {
    let closed = memory::unregister_cuda(shared, named(&request.name)).await;
    closed.map_err(|it| status_of(&it))?;
    Ok(CudaSharedMemoryUnregisterResponse {})
}

fn regions(shared: &Shared) -> Result<&Regions, Status> {
    memory::served(shared).map_err(|it| status_of(&it))
}

/// None: all of them.
fn named(name: &str) -> Option<&str> {
    Some(name).filter(|it| !it.is_empty())
}

fn refused(error: &RegionError) -> Status {
    let exists = matches!(error, RegionError::Exists { .. });
    let code = if exists { Code::AlreadyExists } else { status(error.kind()).0 };
    Status::new(code, clipped(error.to_string()))
}
