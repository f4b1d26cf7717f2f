//! Where a model computes: on the processor, or on an NVIDIA GPU if this build knows GPUs.
//!
//! Pure. What is asked for is what is had, or the load is refused. Under `auto` each device but the last, which
//! is the processor, may fail, and that is a warning.

use backend_api::{BackendError, Device, DeviceWish, Options};
use candle_core::Error;

use crate::{unreadable, unsupported, words};

/// Where to try, in this order; `is_built`: this build knows GPUs.
pub(crate) fn candidates(options: &Options, is_built: bool) -> Result<Vec<Device>, BackendError> {
    match &options.device {
        DeviceWish::On(Device::Cpu) => Ok(vec![Device::Cpu]),
        DeviceWish::On(device @ Device::Cuda(_)) if is_built => Ok(vec![device.clone()]),
        DeviceWish::On(device @ Device::Cuda(_)) => Err(unsupported(format!(
            "device {device}: in this build it computes on the processor alone. `make candle-cuda` builds a server \
             in which it knows NVIDIA GPUs; here device = \"cpu\" or \"auto\" takes the processor, and of the \
             other engines onnxruntime and pjrt know GPUs"
        ))),
        DeviceWish::On(device) => Err(unsupported(format!(
            "it computes on the processor, and on NVIDIA GPUs where it was built for them; device is {device}: \
             engine pjrt knows tpu:N and cpu:N, litert edgetpu"
        ))),
        DeviceWish::Auto if is_built => {
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

/// What was made on the first of them that would have it.
pub(crate) fn first<T>(
    wish: &DeviceWish,
    candidates: &[Device],
    mut make: impl FnMut(&Device) -> Result<T, BackendError>,
) -> Result<T, BackendError> {
    for device in candidates {
        let made = make(device);
        let Err(error) = &made else { return made };
        if *wish != DeviceWish::Auto || *device == Device::Cpu {
            return made;
        }
        tracing::warn!(%device, %error, "device auto: the next is tried, the processor last");
    }
    Err(unsupported("no device would have the model")) // not reached: the processor is last
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

    /// What becomes of a wish, by names or words.
    #[track_caller]
    fn check(wish: &str, gpus: Option<&[u32]>, is_built: bool, expect: Result<&[&str], &str>) {
        let options = Options {
            device: wish.parse().expect("a wish"),
            gpus: gpus.map(<[u32]>::to_vec),
            ..Options::default()
        };
        let names = |it: Vec<Device>| it.iter().map(ToString::to_string).collect::<Vec<_>>();
        match (candidates(&options, is_built).map(names), expect) {
            (Ok(names), Ok(expect)) => assert_eq!(names, expect, "{wish}"),
            (Err(error), Err(expect)) => {
                assert!(matches!(error, BackendError::Unsupported { .. }), "{error:?}");
                assert!(error.to_string().contains(expect), "{error}");
            }
            (got, expect) => panic!("{wish}: {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn a_wish_is_had_or_refused_with_what_there_is() {
        for is_built in [false, true] {
            check("cpu", None, is_built, Ok(&["cpu"]));
            check("tpu:1", None, is_built, Err("device is tpu:1: engine pjrt knows tpu:N"));
            check("edgetpu", None, is_built, Err("device is edgetpu"));
        }
        check("cuda:2", None, true, Ok(&["cuda:2"]));
        check(
            "cuda:2",
            None,
            false,
            Err("device cuda:2: in this build it computes on the processor alone"),
        );
        check("auto", None, false, Ok(&["cpu"]));
        check("auto", None, true, Ok(&["cuda:0", "cpu"]));
        check("auto", Some(&[1, 0]), true, Ok(&["cuda:1", "cuda:0", "cpu"]));
        check("auto", Some(&[]), true, Ok(&["cpu"]));
    }

    #[test]
    fn auto_goes_on_where_a_gpu_fails_and_nothing_else_does() {
        let there = [Device::Cuda(0), Device::Cpu];
        let made = |wish: &str, there: &[Device], works: fn(&Device) -> bool| {
            let wish = wish.parse().expect("a wish");
            first(&wish, there, |device| {
                works(device).then(|| device.clone()).ok_or_else(|| unsupported(device.to_string()))
            })
        };
        assert_eq!(made("auto", &there, |_| true), Ok(Device::Cuda(0)));
        assert_eq!(made("auto", &there, |it| *it == Device::Cpu), Ok(Device::Cpu));
        assert_eq!(made("auto", &there, |_| false), Err(unsupported("cpu")), "the last one counts");
        assert_eq!(made("cuda:0", &there[..1], |_| false), Err(unsupported("cuda:0")));
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
