//! Where a model computes: on the processor, or on an NVIDIA GPU if this build knows GPUs.
//!
//! Pure. What is asked for is what is had, or the load is refused.

use backend_api::{BackendError, Device, DeviceWish, Options};
use candle_core::Error;

use crate::{unreadable, unsupported, words};

/// Where to try, in this order; `is_built`: this build knows GPUs.
pub(crate) fn candidates(options: &Options, is_built: bool) -> Result<Vec<Device>, BackendError> {
    let device = &options.device;
    let refused = || {
        if matches!(device, DeviceWish::On(Device::Cuda(_))) {
            return unsupported(format!(
                "device {device}: in this build it computes on the processor alone. `make candle-cuda` builds a server \
                 in which it knows NVIDIA GPUs; here device = \"cpu\" or \"auto\" takes the processor, and of the \
                 other engines onnxruntime and pjrt know GPUs"
            ));
        }
        unsupported(format!(
            "it computes on the processor, and on NVIDIA GPUs where it was built for them; device is {device}: \
             engine pjrt knows tpu:N and cpu:N, litert edgetpu"
        ))
    };
    options.places(is_built).ok_or_else(refused)
}

/// What candle says while a network is put together: of its GPU, which may come back, or of its weights, which
/// do not go with one another.
pub(crate) fn of_load(error: Error) -> BackendError {
    if is_of_gpu(&error) {
        return BackendError::DeviceLost { reason: words(&error) };
    }
    unreadable(words(&error))
}

/// What candle says of a run: on a GPU it may be the end of more than this run.
pub(crate) fn of_run(error: &Error) -> BackendError {
    let reason = words(error);
    if is_of_gpu(error) && backend_cuda::names_lasting(&reason) {
        return BackendError::DeviceLost { reason };
    }
    BackendError::Run { reason }
}

/// Did NVIDIA's libraries give it?
fn is_of_gpu(error: &Error) -> bool {
    if let Error::WithBacktrace { inner, .. } | Error::WithPath { inner, .. } = error {
        return is_of_gpu(inner);
    }
    matches!(error, Error::Cuda(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wish: &str, is_built: bool, expect: &str) {
        let options = Options { device: wish.parse().expect("a wish"), ..Options::default() };
        let error = candidates(&options, is_built).expect_err(expect);
        assert!(matches!(error, BackendError::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains(expect), "{error}");
    }

    #[test]
    fn a_wish_is_refused_with_what_there_is() {
        for is_built in [false, true] {
            check("tpu:1", is_built, "device is tpu:1: engine pjrt knows tpu:N");
            check("edgetpu", is_built, "device is edgetpu");
        }
        check("cuda:2", false, "device cuda:2: in this build it computes on the processor alone");
        let built = candidates(&Options::default(), true);
        assert_eq!(built, Ok(vec![Device::Cuda(0), Device::Cpu]));
    }

    #[test]
    fn what_a_gpu_says_is_told_from_what_a_file_is() {
        let of_gpu = |words: &str| Error::Cuda(words.into()).bt();
        let full = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
        let gone =
            "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")";
        let lost = |it: &BackendError| matches!(it, BackendError::DeviceLost { .. });
        assert!(lost(&of_load(of_gpu(full))) && lost(&of_load(of_gpu(gone))), "it may come back");
        assert!(lost(&of_run(&of_gpu(gone))));
        let asked_too_much = of_run(&of_gpu(full));
        assert_eq!(asked_too_much, BackendError::Run { reason: full.to_owned() });
        // The same words, not from a GPU.
        assert_eq!(of_load(Error::Msg(gone.to_owned())), unreadable(gone));
        assert!(!lost(&of_run(&Error::Msg(gone.to_owned()))));
    }
}
