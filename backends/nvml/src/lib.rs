//! What NVIDIA's driver says of its GPUs: which there are, their memory, how they do.
//!
//! Nothing is linked: NVML's library, which comes with the driver, is opened at run time, and a machine
//! without it gets an error that says so. Only `ffi.rs` has unsafe code. Calls may take long when a
//! GPU has failed: not for threads that others wait for.

mod error;
mod ffi;

use std::ffi::OsStr;
use std::path::Path;

pub use error::NvmlError;

/// Looked for where the system keeps libraries.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// More than any machine has; what says so is not believed.
const GPUS_MAX: u32 = 64;

/// A connection to the driver.
pub struct Nvml {
    api: ffi::Api,
}

/// A GPU, as far as it says what it is and how it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpu {
    /// NVML's number, in the order of the PCI bus.
    pub index: u32,
    /// `NVIDIA H200`.
    pub name: Option<String>,
    /// `GPU-` and so on: the same wherever it is plugged in.
    pub uuid: Option<String>,
    /// `(9, 0)`.
    pub compute_capability: Option<(i32, i32)>,
    /// Of all processes.
    pub memory: Option<Memory>,
    /// Percents of the last moments in which something ran.
    pub utilization: Option<u32>,
    /// What it draws.
    pub power_milliwatts: Option<u32>,
    /// What it may draw.
    pub power_limit_milliwatts: Option<u32>,
    /// Of the chip.
    pub celsius: Option<u32>,
    /// Errors of its memory that could not be corrected, since the driver was loaded.
    pub ecc_errors: Option<u64>,
    /// The first thing that it did not say although it could; `None`: it is well.
    pub fault: Option<NvmlError>,
}

/// A GPU's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What anybody has.
    pub used: u64,
    /// What nobody has.
    pub free: u64,
}

impl Nvml {
    /// Opens the library at `path`, or the system's, and connects to the driver.
    pub fn open(path: Option<&Path>) -> Result<Nvml, NvmlError> {
        let name = path.map_or(OsStr::new(LIBRARY), Path::as_os_str);
        Ok(Nvml { api: ffi::Api::open(name)? })
    }

    /// The driver's version: `580.65.06`.
    pub fn driver(&self) -> Result<String, NvmlError> {
        self.api.driver()
    }

    /// Every GPU; one that has failed is there too and says so.
    pub fn gpus(&self) -> Result<Vec<Gpu>, NvmlError> {
        let count = self.api.count()?.min(GPUS_MAX);
        Ok((0..count).map(|it| self.gpu(it)).collect())
    }

    fn gpu(&self, index: u32) -> Gpu {
        let mut gpu = Gpu { index, ..Gpu::default() };
        let device = match self.api.device(index) {
            Ok(device) => device,
            Err(error) => return Gpu { fault: Some(error), ..gpu },
        };
        let mut fault = None;
        gpu.name = said(device.name(), &mut fault);
        gpu.uuid = said(device.uuid(), &mut fault);
        gpu.compute_capability = said(device.capability(), &mut fault);
        let memory = said(device.memory(), &mut fault);
        gpu.memory = memory.map(|it| Memory { total: it.total, used: it.used, free: it.free });
        gpu.utilization = said(device.rates(), &mut fault).map(|it| it.gpu);
        gpu.power_milliwatts = said(device.power(), &mut fault);
        gpu.power_limit_milliwatts = said(device.power_limit(), &mut fault);
        gpu.celsius = said(device.temperature(), &mut fault);
        gpu.ecc_errors = said(device.ecc_errors(), &mut fault);
        gpu.fault = fault;
        gpu
    }
}

/// Keeps the first error in mind, unless it is that the GPU does not have such a thing.
fn said<T>(asked: Result<T, NvmlError>, fault: &mut Option<NvmlError>) -> Option<T> {
    asked
        .map_err(|error| {
            if fault.is_none() && !error.is_unsupported() {
                *fault = Some(error);
            }
        })
        .ok()
}
