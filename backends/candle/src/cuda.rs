//! NVIDIA GPUs, as far as candle does not see to them: is all there that it calls, and which stream is whose.
//!
//! Compiled with the feature `cuda` alone; `no_cuda.rs` stands in for it.

mod library;

use backend_api::BackendError;
use backend_cuda::{CudaError, Driver};
use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::sys::CUDA_VERSION;

use crate::{place, unsupported};

/// Does this build know GPUs?
pub(crate) const IS_BUILT: bool = true;

/// What makes a GPU available, beside the driver.
const FIX: &str = "needed are libcublas.so and libcurand.so of the CUDA that this server was built for \
                   (PyPI's nvidia-cublas and nvidia-curand bring them; LD_LIBRARY_PATH names their folders); \
                   `salver devices` shows what is here";

/// For `salver devices`.
pub(crate) fn describe() -> String {
    let built = shown(built_for());
    match ready() {
        Ok((version, count)) => {
            let driver = shown(version.0 * 1000 + version.1 * 10);
            format!(
                "device cuda: built for CUDA {built}, the driver is for {driver}, GPUs: {count}"
            )
        }
        Err(reason) => format!("device cuda: built for CUDA {built}, not available: {reason}"),
    }
}

/// A GPU, with a stream of the caller's own: candle's usual one is another for each thread, and instances go
/// from thread to thread. Weights and what is computed from them must be of the same opened device.
pub(crate) fn open(number: u32) -> Result<Device, BackendError> {
    let lacking = |reason: String| unsupported(format!("device cuda:{number}: {reason}"));
    let (_, count) = ready().map_err(lacking)?;
    if number >= count {
        let absent = CudaError::Absent { wanted: number, count };
        return Err(lacking(format!("{absent}; {}", absent.fix())));
    }
    Device::new_cuda_with_stream(number as usize).map_err(place::of_load)
}

/// What the driver is for, and how many GPUs it shows; or what is missing.
fn ready() -> Result<((i32, i32), u32), String> {
    let fixed = |it: CudaError| format!("{it}; {}", it.fix());
    let driver = Driver::open(None).map_err(fixed)?;
    let (major, minor) = driver.version();
    let (found, needed) = (major * 1000 + minor * 10, built_for());
    // An older driver does not take this build's code for GPUs.
    if found < needed {
        return Err(fixed(CudaError::Old { found, needed }));
    }
    library::open().map_err(|it| format!("{it}; {FIX}"))?;
    Ok((driver.version(), driver.count()))
}

/// As CUDA counts: 13000 is 13.0.
fn built_for() -> i32 {
    i32::try_from(CUDA_VERSION).unwrap_or(i32::MAX)
}

/// `13.0`
fn shown(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}
