//! Where a session computes: the providers that the library has, and what they are told.
//!
//! What is asked for is what is had, or the load is refused: ONNX Runtime itself would go on with the
//! processor and say nothing. Single operators that a GPU has no code for run on the processor all
//! the same; ONNX Runtime's log names them at level `debug`.

use backend_api::{
    ArenaGrowth, BackendError, ConvSearch, Device, DeviceWish, GpuOptions, Options, SessionOptions,
};
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{
    ArenaExtendStrategy, CPU, CUDA, ExecutionProvider, ExecutionProviderDispatch, TensorRT,
};

use crate::NAME;

/// What makes a GPU available, for errors.
const FIX: &str = "needed are the library of PyPI's onnxruntime-gpu (--onnxruntime-library FILE, with its \
                   libonnxruntime_providers_*.so beside it), the CUDA and cuDNN libraries that it was \
                   built for (LD_LIBRARY_PATH), and an NVIDIA driver; `salver devices` shows what is here";

/// Where to try, in this order; the last failure counts.
pub(crate) fn candidates(options: &Options) -> Result<Vec<Device>, BackendError> {
    match &options.device {
        DeviceWish::On(Device::Cpu) => Ok(vec![Device::Cpu]),
        DeviceWish::On(Device::Cuda(number)) if has::<CUDA>() => Ok(vec![Device::Cuda(*number)]),
        DeviceWish::On(device @ Device::Cuda(_)) => {
            Err(lacking(device, "this ONNX Runtime was built without CUDA"))
        }
        DeviceWish::Auto if has::<CUDA>() => {
            let gpus = options.allowed_gpus();
            if gpus.is_empty() {
                tracing::warn!(
                    "device auto: no GPU has room, or all have failed the model; the processor instead"
                );
            }
            Ok(gpus.into_iter().chain([Device::Cpu]).collect())
        }
        DeviceWish::Auto => Ok(vec![Device::Cpu]),
    }
}

/// Was the library built with this provider? Whether it works is seen when a session wants it.
fn has<P: ExecutionProvider>() -> bool {
    P::is_available().unwrap_or(false)
}

/// Devices that the library was built for.
pub(crate) fn devices() -> Vec<Device> {
    let gpu = has::<CUDA>().then_some(Device::Cuda(0));
    std::iter::once(Device::Cpu).chain(gpu).collect()
}

/// A GPU that cannot be had.
pub(crate) fn lacking(device: &Device, reason: &str) -> BackendError {
    let reason = format!("device {device}: {}; {FIX}", reason.trim());
    BackendError::Unsupported { engine: NAME, reason }
}

/// How ONNX Runtime and CUDA begin to say that a GPU can do no more: an access out of bounds (700), a
/// kernel that failed (719), no memory left (2), a GPU that is gone or was reset. Not: that the limit which
/// a model's own file sets on its memory is reached.
const LOST: [&str; 5] =
    ["CUDA failure ", "CUDA error", "cudaError", "CUBLAS failure ", "CUDNN failure "];

/// An error of a run: on a GPU it may be the end of more than this run.
pub(crate) fn of_device(device: &Device, error: BackendError) -> BackendError {
    match (device, error) {
        (Device::Cuda(_), BackendError::Run { reason })
            if LOST.iter().any(|it| reason.contains(it)) =>
        {
            BackendError::DeviceLost { reason }
        }
        (Device::Cpu | Device::Cuda(_), error) => error,
    }
}

/// The providers of a session there. The processor stands last: it takes what the others leave.
pub(crate) fn providers(
    device: &Device,
    options: &Options,
) -> Result<Vec<ExecutionProviderDispatch>, BackendError> {
    let SessionOptions { gpu, arena, .. } = &options.session;
    let processor = CPU::default().with_arena_allocator(*arena).build();
    let Device::Cuda(number) = device else { return Ok(vec![processor]) };
    let number = i32::try_from(*number).map_err(|_| lacking(device, "there is no such number"))?;
    let mut providers = Vec::new();
    if let Some(tensorrt) = tensorrt(number, gpu) {
        if !has::<TensorRT>() {
            return Err(lacking(device, "this ONNX Runtime was built without TensorRT"));
        }
        providers.push(tensorrt);
    }
    providers.push(cuda(number, gpu));
    providers.push(processor);
    Ok(providers)
}

fn cuda(number: i32, gpu: &GpuOptions) -> ExecutionProviderDispatch {
    let search = match gpu.conv_search {
        ConvSearch::Exhaustive => ConvAlgorithmSearch::Exhaustive,
        ConvSearch::Heuristic => ConvAlgorithmSearch::Heuristic,
        ConvSearch::Fixed => ConvAlgorithmSearch::Default,
    };
    let growth = match gpu.arena_growth {
        ArenaGrowth::Doubling => ArenaExtendStrategy::NextPowerOfTwo,
        ArenaGrowth::AsNeeded => ArenaExtendStrategy::SameAsRequested,
    };
    let mut cuda = CUDA::default()
        .with_device_id(number)
        .with_arena_extend_strategy(growth)
        .with_conv_algorithm_search(search)
        .with_tf32(gpu.tf32);
    if let Some(most) = gpu.memory_bytes_max {
        cuda = cuda.with_memory_limit(most);
    }
    cuda.build().error_on_failure()
}

fn tensorrt(number: i32, gpu: &GpuOptions) -> Option<ExecutionProviderDispatch> {
    let options = gpu.tensorrt.as_ref()?;
    let mut tensorrt = TensorRT::default().with_device_id(number).with_fp16(options.fp16);
    if let Some(folder) = &options.cache {
        let folder = folder.display();
        tensorrt = tensorrt.with_engine_cache(true).with_engine_cache_path(folder);
    }
    Some(tensorrt.build().error_on_failure())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(device: &Device, reason: &str, expect: bool) {
        let error = of_device(device, BackendError::Run { reason: reason.to_owned() });
        assert_eq!(matches!(error, BackendError::DeviceLost { .. }), expect, "{error}");
    }

    #[test]
    fn a_gpu_that_can_do_no_more_is_known_by_the_words() {
        let gpu = Device::Cuda(0);
        check(&gpu, "CUDA failure 700: an illegal memory access was encountered ; GPU=0", true);
        check(&gpu, "CUDA failure 719: unspecified launch failure ; GPU=0", true);
        check(&gpu, "CUDA failure 2: out of memory ; GPU=0", true);
        check(&gpu, "CUDA error cudaErrorIllegalAddress:an illegal memory access", true);
        check(&gpu, "CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0", true);
        check(
            &gpu,
            "Non-zero status code returned while running Gather node: out of bounds",
            false,
        );
        check(&gpu, "Failed to allocate memory for requested buffer of size 8589934592", false);
        check(&Device::Cpu, "CUDA failure 700: an illegal memory access was encountered", false);
        let input = BackendError::Input { reason: "CUDA failure 700".to_owned() };
        assert_eq!(of_device(&gpu, input.clone()), input);
    }
}
