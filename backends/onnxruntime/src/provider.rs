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

use crate::{NAME, lost};

/// What makes a GPU available.
macro_rules! needs {
    () => {
        "needed are the library of PyPI's onnxruntime-gpu (--onnxruntime-library FILE, with its \
         libonnxruntime_providers_*.so beside it), the CUDA and cuDNN libraries that it was \
         built for (LD_LIBRARY_PATH), and an NVIDIA driver"
    };
}

/// The same, for errors.
const FIX: &str = concat!(needs!(), "; `salver devices` shows what is here");

/// Why a server is without GPUs, if its library is: a device and the fix, for people.
pub fn lacking_gpus() -> Option<String> {
    let words = concat!("device cuda: this ONNX Runtime was built without CUDA; ", needs!());
    (!has::<CUDA>()).then(|| words.to_owned())
}

/// Where to try, in this order; the last failure counts.
pub(crate) fn candidates(options: &Options) -> Result<Vec<Device>, BackendError> {
    let mut found = found(options)?;
    let graphs = options.session.gpu.cuda_graphs.is_some();
    found.retain(|it| !graphs || *it != Device::Cpu);
    if found.is_empty() {
        let reason = format!(
            "cuda_graph: device {} comes to the processor here, expected a GPU such as cuda:0; {FIX}",
            options.device
        );
        return Err(BackendError::Unsupported { engine: NAME, reason });
    }
    Ok(found)
}

fn found(options: &Options) -> Result<Vec<Device>, BackendError> {
    let refused = || match &options.device {
        DeviceWish::On(device @ Device::Cuda(_)) => {
            lacking(device, "this ONNX Runtime was built without CUDA")
        }
        device @ (DeviceWish::Auto | DeviceWish::On(_)) => {
            let reason = format!(
                "it computes on the processor and on NVIDIA GPUs, device is {device}: engine pjrt knows \
                 tpu:N and cpu:N, litert edgetpu"
            );
            BackendError::Unsupported { engine: NAME, reason }
        }
    };
    options.places(has::<CUDA>()).ok_or_else(refused)
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

/// An error of a run: on a GPU it may be the end of more than this run.
pub(crate) fn of_device(device: &Device, error: BackendError) -> BackendError {
    match (device, error) {
        (Device::Cuda(_), BackendError::Run { reason }) if lost::is_lost(&reason) => {
            BackendError::DeviceLost { reason }
        }
        (_, error) => error,
    }
}

/// An error of a session in the making: of the GPU, which may come back, or of the file.
pub(crate) fn of_load(device: &Device, reason: String) -> BackendError {
    let is_of_gpu = |it: &str| FAILURES.iter().any(|failure| it.contains(failure));
    if matches!(device, Device::Cuda(_)) && is_of_gpu(&reason) {
        let reason = format!("device {device}: {}; {FIX}", reason.trim());
        return BackendError::DeviceLost { reason };
    }
    if LACKING.iter().any(|it| reason.contains(it)) {
        return BackendError::Unsupported { engine: NAME, reason };
    }
    BackendError::Artifact { reason }
}

/// What ONNX Runtime says of a sound file that it cannot run: an operator that nobody registered, one without code
/// for its types on these providers, a version of the operators or of the format that is newer than the library.
const LACKING: [&str; 5] = [
    "is not a registered function/op",
    "No Op registered for ",
    "Could not find an implementation for ",
    " is under development ",
    "Unsupported model IR version",
];

/// How ONNX Runtime begins to say that NVIDIA's libraries gave it an error.
const FAILURES: [&str; 4] = ["CUDA failure ", "CUBLAS failure ", "CUDNN failure ", "CUDA error"];

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

/// What the first of them is called.
pub(crate) fn name(device: &Device, gpu: &GpuOptions) -> &'static str {
    match device {
        Device::Cuda(_) if gpu.tensorrt.is_some() => "tensorrt",
        Device::Cuda(_) => "cuda",
        Device::Cpu | Device::CpuPart(_) | Device::Tpu(_) | Device::EdgeTpu => "cpu",
    }
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
        .with_conv_max_workspace(!gpu.conv_workspace_small)
        .with_cuda_graph(gpu.cuda_graphs.is_some())
        .with_tf32(gpu.tf32);
    if let Some(most) = gpu.memory_bytes_max {
        cuda = cuda.with_memory_limit(most);
    }
    cuda.build().error_on_failure()
}

fn tensorrt(number: i32, gpu: &GpuOptions) -> Option<ExecutionProviderDispatch> {
    let options = gpu.tensorrt.as_ref()?;
    let mut tensorrt = TensorRT::default().with_device_id(number).with_fp16(options.fp16);
    if let Some(most) = options.workspace_bytes_max {
        tensorrt = tensorrt.with_max_workspace_size(most);
    }
    if let Some(folder) = &options.cache {
        let folder = folder.display();
        tensorrt = tensorrt.with_engine_cache(true).with_engine_cache_path(folder);
    }
    Some(tensorrt.build().error_on_failure())
}

#[cfg(test)]
mod tests {
    use super::*;

    use backend_api::first;

    #[track_caller]
    fn check(device: &Device, reason: &str, expect: bool) {
        let error = of_device(device, BackendError::Run { reason: reason.to_owned() });
        assert_eq!(matches!(error, BackendError::DeviceLost { .. }), expect, "{error}");
    }

    #[test]
    fn a_run_that_loses_its_gpu_is_more_than_a_run_that_fails() {
        let (gpu, reason) = (Device::Cuda(0), "CUDA failure 700: an illegal memory access ; GPU=0");
        check(&gpu, reason, true);
        check(&gpu, "CUDA failure 2: out of memory ; GPU=0", false);
        check(&Device::Cpu, reason, false);
        let input = BackendError::Input { reason: reason.to_owned() };
        assert_eq!(of_device(&gpu, input.clone()), input);
    }

    #[test]
    fn the_first_provider_gives_its_name() {
        let plain = GpuOptions::default();
        let trt = GpuOptions { tensorrt: Some(backend_api::TensorRt::default()), ..plain.clone() };
        let names = [(&Device::Cpu, &trt), (&Device::Cuda(1), &plain), (&Device::Cuda(1), &trt)];
        assert_eq!(names.map(|(device, gpu)| name(device, gpu)), ["cpu", "cuda", "tensorrt"]);
    }

    /// What becomes of a load where these fail with these words.
    #[track_caller]
    fn check_load(wish: &str, fails: &[(Device, &str)], expect: Result<Device, &str>) {
        let wish: DeviceWish = wish.parse().expect("a wish");
        let candidates = match &wish {
            DeviceWish::On(device) => vec![device.clone()],
            DeviceWish::Auto => vec![Device::Cuda(1), Device::Cuda(0), Device::Cpu],
        };
        let made = first(&candidates, |device| {
            let failed = fails.iter().find(|it| it.0 == *device);
            failed.map_or(Ok(device.clone()), |it| Err(of_load(device, it.1.to_owned())))
        });
        let text = made.map_err(|it| it.to_string());
        match (text, expect) {
            (Ok(device), Ok(expect)) => assert_eq!(device, expect),
            (Err(text), Err(expect)) => assert!(text.starts_with(expect), "{text}"),
            (made, expect) => panic!("{made:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn a_sound_file_that_it_cannot_run_is_not_a_broken_one() {
        let check = |reason: &str, expect: bool| {
            for device in [Device::Cpu, Device::Cuda(0)] {
                let error = of_load(&device, reason.to_owned());
                assert_eq!(matches!(error, BackendError::Unsupported { .. }), expect, "{error}");
            }
        };
        let load = "Load model from model.onnx failed:";
        check(
            &format!("{load}Fatal error: com.acme:Frob(-1) is not a registered function/op"),
            true,
        );
        check(&format!("{load}Error No Op registered for Frob with domain_version of 17"), true);
        check("Could not find an implementation for Conv(11) node with name ''", true);
        let opset = "Opset 99 is under development and support for this is limited.";
        check(&format!("{load}ONNX Runtime only *guarantees* support for others. {opset}"), true);
        check(
            &format!("{load}Unsupported model IR version: 99, max supported IR version: 13"),
            true,
        );
        check(&format!("{load}Protobuf parsing failed."), false);
        check(&format!("{load}Type 'tensor(uint16)' of input parameter (x) is invalid."), false);
    }

    #[test]
    fn auto_goes_on_where_a_gpu_gives_no_session() {
        const NONE: &str = "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1";
        const OLD: &str =
            "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version";
        const BROKEN: &str = "Load model from model.onnx failed:Protobuf parsing failed.";
        let (one, zero) = (Device::Cuda(1), Device::Cuda(0));
        check_load("auto", &[], Ok(Device::Cuda(1)));
        check_load("auto", &[(one.clone(), NONE)], Ok(Device::Cuda(0)));
        check_load("auto", &[(one.clone(), "any"), (zero.clone(), OLD)], Ok(Device::Cpu));
        let all = [(one, BROKEN), (zero.clone(), BROKEN), (Device::Cpu, BROKEN)];
        check_load("auto", &all, Err("cannot read the model: Load model"));
        check_load("cpu", &all, Err("cannot read the model: Load model"));
        check_load("cuda:0", &all, Err("cannot read the model: Load model"));
        let lost = "the device failed: device cuda:0: CUDA failure";
        check_load("cuda:0", &[(zero.clone(), NONE)], Err(lost));
        check_load("cuda:0", &[(zero, OLD)], Err(lost));
    }
}
