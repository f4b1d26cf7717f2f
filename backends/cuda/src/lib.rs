//! CUDA's driver, as far as a server needs it that leaves computing to an engine: copies between the host's
//! memory and a GPU's, on a stream of their own, and memory that another process shares.
//!
//! Nothing is linked: `libcuda.so.1` comes with NVIDIA's driver and is opened at run time. A machine without it,
//! with an older one or without a GPU gets an error that says so, never a panic. Only `ffi.rs` has unsafe code.

mod error;
mod ffi;
mod lost;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

pub use error::CudaError;
pub use ffi::{DeviceAddress, HANDLE_BYTES, Shared, Stream};
pub use lost::{lasts, names_lasting};

/// Looked for where the system keeps libraries.
const LIBRARY: &str = "libcuda.so.1";

/// CUDA 11.0 brought the last of the functions that are called.
const VERSION_MIN: i32 = 11_000;

/// The driver, with at least one GPU.
pub struct Driver {
    api: ffi::Api,
    version: i32,
    count: u32,
}

impl Driver {
    /// Opens the library at `path`, or the system's, and asks for a GPU.
    pub fn open(path: Option<&Path>) -> Result<Arc<Driver>, CudaError> {
        let api = ffi::Api::open(path.map_or(OsStr::new(LIBRARY), Path::as_os_str))?;
        // Asked before anything else: an old driver may fail elsewhere for no better reason.
        let version = api.version()?;
        if version < VERSION_MIN {
            return Err(CudaError::Old { found: version, needed: VERSION_MIN });
        }
        match api.init() {
            Err(CudaError::Call { code: error::NO_DEVICE, .. }) => return Err(CudaError::NoDevice),
            other => other?,
        }
        match api.count()? {
            0 => Err(CudaError::NoDevice),
            count => Ok(Arc::new(Driver { api, version, count })),
        }
    }

    /// The newest CUDA that the driver knows: `(13, 0)`.
    pub fn version(&self) -> (i32, i32) {
        (self.version / 1000, self.version % 1000 / 10)
    }

    /// How many GPUs this process has, by CUDA's count.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// A queue of copies to and from GPU `number`, in the context that engines use there too.
    pub fn stream(self: &Arc<Driver>, number: u32) -> Result<Stream, CudaError> {
        self.has(number)?;
        Stream::new(Arc::clone(self), number)
    }

    /// Memory on GPU `number` that another process has named by that handle.
    pub fn shared(
        self: &Arc<Driver>,
        number: u32,
        handle: [u8; HANDLE_BYTES],
    ) -> Result<Shared, CudaError> {
        self.has(number)?;
        Shared::open(Arc::clone(self), number, handle)
    }

    fn has(&self, number: u32) -> Result<(), CudaError> {
        if number >= self.count {
            return Err(CudaError::Absent { wanted: number, count: self.count });
        }
        Ok(())
    }
}
