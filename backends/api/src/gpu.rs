//! Where a model is to run, and what an engine is told that runs it on a GPU.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::backend::Device;
use crate::error::BackendError;
use crate::options::Options;

/// Numbers of devices that are taken for meant: no machine has more.
const NUMBERS_MAX: u32 = 64;

/// Where a model asks to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceWish {
    /// On a GPU if the engine can and one is there, else on the processor; on all that a plugin has.
    #[default]
    Auto,
    /// There, or not at all.
    On(Device),
}

impl FromStr for DeviceWish {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceWish, String> {
        let number = |it: &str| it.parse::<u32>().ok().filter(|it| *it < NUMBERS_MAX);
        let named = text.split_once(':').and_then(|(kind, it)| Some((kind, number(it)?)));
        match (text, named) {
            ("auto", _) => Ok(DeviceWish::Auto),
            ("cpu", _) => Ok(DeviceWish::On(Device::Cpu)),
            ("edgetpu", _) => Ok(DeviceWish::On(Device::EdgeTpu)),
            (_, Some(("cuda", number))) => Ok(DeviceWish::On(Device::Cuda(number))),
            (_, Some(("tpu", number))) => Ok(DeviceWish::On(Device::Tpu(number))),
            (_, Some(("cpu", number))) => Ok(DeviceWish::On(Device::CpuPart(number))),
            _ => Err(format!(
                "{text:?} is none of auto, cpu, cuda:0, tpu:0, cpu:0 (each also with a larger number) and edgetpu"
            )),
        }
    }
}

impl fmt::Display for DeviceWish {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceWish::Auto => out.write_str("auto"),
            DeviceWish::On(device) => device.fmt(out),
        }
    }
}

impl Options {
    /// The GPUs that the wish allows, in the order in which they are to be tried.
    pub fn allowed_gpus(&self) -> Vec<Device> {
        match (&self.device, &self.gpus) {
            (DeviceWish::On(device @ Device::Cuda(_)), _) => vec![device.clone()],
            (DeviceWish::On(_), _) => Vec::new(),
            (DeviceWish::Auto, Some(gpus)) => gpus.iter().map(|it| Device::Cuda(*it)).collect(),
            (DeviceWish::Auto, None) => vec![Device::Cuda(0)],
        }
    }

    /// Where an engine of processors and NVIDIA GPUs is to try the model, in this order; `has_gpus`: it was built
    /// for them. `None`: the wish is for something that it does not have.
    pub fn places(&self, has_gpus: bool) -> Option<Vec<Device>> {
        match &self.device {
            DeviceWish::On(Device::Cpu) => Some(vec![Device::Cpu]),
            DeviceWish::On(device @ Device::Cuda(_)) => has_gpus.then(|| vec![device.clone()]),
            DeviceWish::On(Device::CpuPart(_) | Device::Tpu(_) | Device::EdgeTpu) => None,
            DeviceWish::Auto => {
                let gpus = if has_gpus { self.allowed_gpus() } else { Vec::new() };
                if has_gpus && gpus.is_empty() {
                    tracing::warn!(
                        "device auto: no GPU has room, or all have failed the model; the processor instead"
                    );
                }
                Some(gpus.into_iter().chain([Device::Cpu]).collect())
            }
        }
    }

    /// Refuses a wish for a GPU, in the name of an engine that computes on processors alone.
    pub fn on_processor(&self, engine: &'static str) -> Result<(), BackendError> {
        match &self.device {
            DeviceWish::Auto | DeviceWish::On(Device::Cpu) => Ok(()),
            DeviceWish::On(device) => {
                let others = match device {
                    Device::Cuda(_) => {
                        "engine onnxruntime knows NVIDIA GPUs, and so do pjrt, with the plugin for them, and candle, where \
                         it was built for them"
                    }
                    Device::Tpu(_) | Device::CpuPart(_) | Device::Cpu => {
                        "engine pjrt knows tpu:N and cpu:N, with the plugin that has them"
                    }
                    Device::EdgeTpu => "engine litert knows edgetpu",
                };
                let reason =
                    format!("it computes on the processor alone, device is {device}: {others}");
                Err(BackendError::Unsupported { engine, reason })
            }
        }
    }
}

/// What was made on the first of these devices that would have it. Each failure but the last, which under `auto` is
/// the processor's, is a warning: there the file is read too, and what is wrong with it said.
pub fn first<T>(
    places: &[Device],
    mut make: impl FnMut(&Device) -> Result<T, BackendError>,
) -> Result<T, BackendError> {
    let Some((last, others)) = places.split_last() else {
        return Err(BackendError::Run { reason: "there is no device to try".to_owned() });
    };
    for device in others {
        match make(device) {
            Ok(made) => return Ok(made),
            Err(error) => tracing::warn!(%device, %error, "device auto: the next is tried"),
        }
    }
    make(last)
}

/// By how much the memory on a GPU grows that is kept for the next run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ArenaGrowth {
    /// By powers of two: fewer requests to the driver.
    #[default]
    Doubling,
    /// By what is needed.
    AsNeeded,
}

/// How the way is found in which a convolution is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConvSearch {
    /// All of them are tried, for every new shape: slow at first.
    Exhaustive,
    /// By rules of thumb. Batches vary in size, and each size would be tried.
    #[default]
    Heuristic,
    /// Always the same.
    Fixed,
}

/// What an engine is told that runs the model on an NVIDIA GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GpuOptions {
    /// Most that is kept for intermediate results; weights and libraries come on top of it.
    pub memory_bytes_max: Option<usize>,
    /// By how much that grows.
    pub arena_growth: ArenaGrowth,
    /// How convolutions are found.
    pub conv_search: ConvSearch,
    /// Are convolutions to make do with 32 MB beside their data, at the price of speed?
    pub conv_workspace_small: bool,
    /// May factors of FP32 products be rounded to ten bits of mantissa?
    pub tf32: bool,
    /// May instances run side by side, each run on a stream of its own? Else they take turns.
    pub concurrent_runs: bool,
    /// The batches, by their rows, whose work is recorded once and then repeated as a whole; none may be named
    /// by a model without rows. `None`: nothing is recorded.
    pub cuda_graphs: Option<Vec<usize>>,
    /// Through TensorRT, where its operators allow.
    pub tensorrt: Option<TensorRt>,
}

/// What TensorRT is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TensorRt {
    /// May it compute in FP16?
    pub fp16: bool,
    /// Most memory that building and running an engine may take beside its data.
    pub workspace_bytes_max: Option<usize>,
    /// Where what it has built is kept for the next start.
    pub cache: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<DeviceWish>) {
        assert_eq!(text.parse::<DeviceWish>().ok(), expect, "{text}");
    }

    #[test]
    fn gpus_are_tried_as_the_wish_allows() {
        let allowed = |wish: &str, gpus: Option<&[u32]>| {
            let (device, gpus) = (wish.parse().expect("known"), gpus.map(<[u32]>::to_vec));
            Options { device, gpus, ..Options::default() }.allowed_gpus()
        };
        assert_eq!(allowed("cpu", Some(&[1])), []);
        assert_eq!(allowed("cuda:3", Some(&[1])), [Device::Cuda(3)]);
        assert_eq!(allowed("auto", Some(&[2, 0])), [Device::Cuda(2), Device::Cuda(0)]);
        assert_eq!(allowed("auto", Some(&[])), []);
        assert_eq!(allowed("auto", None), [Device::Cuda(0)]);
    }

    #[test]
    fn what_an_engine_tries_is_what_it_has() {
        let places = |wish: &str, gpus: Option<&[u32]>, has_gpus| {
            let (device, gpus) = (wish.parse().expect("known"), gpus.map(<[u32]>::to_vec));
            Options { device, gpus, ..Options::default() }.places(has_gpus)
        };
        for has_gpus in [false, true] {
            assert_eq!(places("cpu", Some(&[1]), has_gpus), Some(vec![Device::Cpu]));
            assert_eq!(places("tpu:1", None, has_gpus), None);
            assert_eq!(places("cpu:0", None, has_gpus), None);
            assert_eq!(places("edgetpu", None, has_gpus), None);
        }
        assert_eq!(places("cuda:2", None, true), Some(vec![Device::Cuda(2)]));
        assert_eq!(places("cuda:2", None, false), None);
        assert_eq!(places("auto", None, true), Some(vec![Device::Cuda(0), Device::Cpu]));
        let some = Some(vec![Device::Cuda(1), Device::Cuda(0), Device::Cpu]);
        assert_eq!(places("auto", Some(&[1, 0]), true), some);
        assert_eq!(places("auto", Some(&[]), true), Some(vec![Device::Cpu]));
        assert_eq!(places("auto", Some(&[1, 0]), false), Some(vec![Device::Cpu]));
    }

    #[test]
    fn the_next_is_tried_where_one_fails_and_the_last_one_counts() {
        let there = [Device::Cuda(1), Device::Cuda(0), Device::Cpu];
        let made = |places: &[Device], works: fn(&Device) -> bool| {
            let failed = |it: &Device| BackendError::Artifact { reason: it.to_string() };
            first(places, |it| works(it).then(|| it.clone()).ok_or_else(|| failed(it)))
        };
        let failed = |reason: &str| Err(BackendError::Artifact { reason: reason.to_owned() });
        assert_eq!(made(&there, |_| true), Ok(Device::Cuda(1)));
        assert_eq!(made(&there, |it| *it == Device::Cuda(0)), Ok(Device::Cuda(0)));
        assert_eq!(made(&there, |it| *it == Device::Cpu), Ok(Device::Cpu));
        assert_eq!(made(&there, |_| false), failed("cpu"));
        assert_eq!(
            made(&there[..1], |_| false),
            failed("cuda:1"),
            "what was asked for is not gone on from"
        );
        assert!(made(&[], |_| true).is_err());
    }

    #[test]
    fn devices_go_by_name() {
        check("auto", Some(DeviceWish::Auto));
        check("cpu", Some(DeviceWish::On(Device::Cpu)));
        for (text, device) in [
            ("cuda:3", Device::Cuda(3)),
            ("tpu:1", Device::Tpu(1)),
            ("cpu:0", Device::CpuPart(0)),
            ("edgetpu", Device::EdgeTpu),
        ] {
            assert_eq!(device.to_string(), text);
            check(text, Some(DeviceWish::On(device)));
        }
        for wrong in [
            "",
            "gpu",
            "cuda",
            "cuda:",
            "cuda:-1",
            "cuda:64",
            "cuda:x",
            "tpu",
            "gpu:0",
            "edgetpu:0",
        ] {
            check(wrong, None);
        }
        let wish =
            |text: &str| Options { device: text.parse().expect("known"), ..Options::default() };
        assert!(wish("cpu").on_processor("fake").is_ok());
        for (device, other) in
            [("cuda:1", "onnxruntime"), ("tpu:1", "pjrt"), ("cpu:1", "pjrt"), ("edgetpu", "litert")]
        {
            let error = wish(device).on_processor("fake").expect_err("refused").to_string();
            let says = format!("on the processor alone, device is {device}: engine {other} knows");
            assert!(error.contains(&says), "{error}");
        }
    }
}
