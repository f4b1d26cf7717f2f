//! Memory of NVIDIA's GPUs, which a client has asked for and another process may open (CUDA IPC).
//!
//! Copies are CUDA's own. Unlike an object of the system's, a client's memory on a GPU must stay until it is
//! unregistered: what comes of a copy out of memory that was given back is not defined.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use backend_cuda::{CudaError, Driver, HANDLE_BYTES, Shared};
use bytes::Bytes;

use crate::error::RegionError;

/// The driver, or why there is none.
pub struct Gpus {
    driver: Result<Arc<Driver>, CudaError>,
}

impl Gpus {
    /// Opens the library at `path`, or the system's.
    pub fn open(library: Option<&Path>) -> Gpus {
        Gpus { driver: Driver::open(library) }
    }

    /// Why nothing can be registered, and what would help.
    pub fn lack(&self) -> Option<String> {
        let error = self.driver.as_ref().err()?;
        Some(format!("{error}; what would help: {}", error.fix()))
    }

    /// Opens what the handle is for, at least so many bytes.
    pub(crate) fn memory(
        &self,
        region: &str,
        (device, handle): (i64, &[u8]),
        bytes: u64,
    ) -> Result<(u32, Memory), RegionError> {
        let named = || region.to_owned();
        let Ok(driver) = &self.driver else {
            return Err(RegionError::NoGpu { why: self.lack().unwrap_or_default() });
        };
        let object = |why: String| RegionError::Object { region: named(), why };
        let number =
            u32::try_from(device).map_err(|_| object(format!("there is no GPU {device}")))?;
        let handle: [u8; HANDLE_BYTES] = handle.try_into().map_err(|_| {
            object(format!("raw_handle has {} bytes, expected {HANDLE_BYTES}", handle.len()))
        })?;
        let shared = driver.shared(number, handle).map_err(|it| object(it.to_string()))?;
        let size = shared.bytes();
        if bytes == 0 || bytes > size {
            let why =
                format!("byte_size {bytes} is not at least one byte within the memory's {size}");
            return Err(RegionError::Size { region: named(), why });
        }
        Ok((number, Memory { shared }))
    }
}

/// Open for as long as it is registered.
pub(crate) struct Memory {
    shared: Shared,
}

impl fmt::Debug for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Memory {
    /// All of what was opened, which stays as long as it is open: more than a region may be of.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    pub(crate) fn read(&self, offset: u64, bytes: usize) -> Result<Bytes, String> {
        let mut data = vec![0; bytes];
        self.shared.read(offset, &mut data).map_err(|it| it.to_string())?;
        Ok(data.into())
    }

    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<(), String> {
        self.shared.write(offset, data).map_err(|it| it.to_string())
    }
}

#[cfg(test)]
#[path = "gpu_tests.rs"]
mod tests;
