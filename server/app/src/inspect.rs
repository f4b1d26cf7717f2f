//! What this machine has: processor, accelerators, engines, and what each one lacks.
//!
//! For `salver devices`. Here alone every engine's library is opened, to know that it can be.

use std::fs;
use std::path::Path;

use backend_api::Device;
use serde::Serialize;

use crate::cli::Libraries;
use crate::{engines, gpus};

/// All of it, as `--output json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Inspection {
    pub(crate) processor: Processor,
    pub(crate) accelerators: Vec<Accelerator>,
    pub(crate) gpus: Gpus,
    pub(crate) engines: Vec<Engine>,
}

/// The processor, as far as it says what it is.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Processor {
    pub(crate) model: String,
    pub(crate) architecture: &'static str,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: Option<u64>,
    /// Instructions that matter to how models are best served.
    pub(crate) instructions: Vec<&'static str>,
}

/// Something beside the processor that could compute.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Accelerator {
    pub(crate) device: String,
    pub(crate) kind: &'static str,
    /// How models come to run on it, or why they do not.
    pub(crate) note: &'static str,
}

/// What NVIDIA's driver says.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Gpus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) driver_version: Option<String>,
    pub(crate) devices: Vec<SeenGpu>,
    /// Whether engines could compute on them, where there is a driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cuda: Option<Cuda>,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<&'static str>,
}

/// What the part of the driver says that programs compute with. A container may lack it and show its GPUs.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Cuda {
    /// The newest that the driver knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// How many this process may compute on.
    pub(crate) gpus: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<&'static str>,
}

/// A GPU of NVIDIA's, as far as it says what it is.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct SeenGpu {
    /// In the order of the PCI bus.
    pub(crate) index: u32,
    /// What engines call it; unknown where CUDA counts in another order.
    pub(crate) device: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) uuid: Option<String>,
    pub(crate) memory_total_bytes: Option<u64>,
    pub(crate) memory_used_bytes: Option<u64>,
    pub(crate) memory_free_bytes: Option<u64>,
    pub(crate) compute_capability: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<&'static str>,
}

/// An engine of this server.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Engine {
    pub(crate) engine: &'static str,
    pub(crate) available: bool,
    /// The file that it reads in a version's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reads: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// What its library says of its own devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<&'static str>,
}

/// Looks at this machine. A library that was named and is not there is an error.
pub(crate) fn inspect(libraries: &Libraries) -> anyhow::Result<Inspection> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Inspection {
        processor: processor((&info, &memory), cores),
        accelerators: accelerators(Path::new("/dev"), Path::new("/sys/bus/usb/devices")),
        gpus: gpus::see(libraries.nvml_library.as_deref())?,
        engines: engines(libraries)?,
    })
}

fn engines(libraries: &Libraries) -> anyhow::Result<Vec<Engine>> {
    let opened = engines::open(libraries)?;
    let available = opened.available().map(|it| {
        let (engine, reads) = (it.name(), Some(it.artifact()));
        match engines::check(engine, libraries) {
            Ok(seen) => {
                let (devices, version) = (described(seen, it.devices()), Some(it.version()));
                Engine { engine, available: true, reads, version, devices, ..Engine::default() }
            }
            Err(reason) => lacking(engine, reads, reason),
        }
    });
    let missing = opened.missing().iter();
    let missing = missing.map(|it| lacking(it.name, it.artifact, it.reason.clone()));
    Ok(available.chain(missing).collect())
}

/// What an engine's devices are: those that were looked at, or else what its library was built for.
fn described(seen: Vec<String>, built_for: Vec<Device>) -> Vec<String> {
    if !seen.is_empty() {
        return seen;
    }
    let others = built_for.into_iter().filter(|it| *it != Device::Cpu);
    others.map(|it| format!("device {it}, as far as the library says")).collect()
}

fn lacking(engine: &'static str, reads: Option<&'static str>, reason: String) -> Engine {
    let (reason, fix) = (Some(reason), Some(fix(engine)));
    Engine { engine, reads, reason, fix, ..Engine::default() }
}

/// What makes an engine available.
fn fix(engine: &str) -> &'static str {
    match engine {
        "onnxruntime" => {
            "`make onnxruntime` in the checkout, or --onnxruntime-library FILE with the library of \
             PyPI's onnxruntime 1.24 or newer"
        }
        "openvino" => {
            "`make openvino` in the checkout, or --openvino-dir DIR with the libraries of PyPI's \
             openvino 2025.1 or newer"
        }
        "litert" => {
            "`make litert` in the checkout, or --litert-library FILE with the library of PyPI's \
             ai-edge-litert 2.1.4"
        }
        "pjrt" => {
            "`make pjrt` in the checkout, or --pjrt-plugin FILE: xla_cpu_pjrt.so of PyPI's \
             xla-cpu-pjrt, libtpu.so of libtpu on a machine with TPUs, xla_cuda_plugin.so of \
             jax-cuda13-pjrt on one with NVIDIA GPUs"
        }
        _ => "a server that was built with it",
    }
}

/// `info` and `memory` are the texts of `/proc/cpuinfo` and `/proc/meminfo`.
fn processor((info, memory): (&str, &str), cores: usize) -> Processor {
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|it| it.split(':').next().map(str::trim) == Some(name))?;
        line.split_once(':').map(|(_, it)| it.trim().to_owned()).filter(|it| !it.is_empty())
    };
    let flags = value(info, "flags").or_else(|| value(info, "Features")).unwrap_or_default();
    let known = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16"];
    let has = |it: &&str| flags.split_ascii_whitespace().any(|flag| flag == *it);
    let kibibytes = value(memory, "MemTotal");
    let kibibytes = kibibytes.and_then(|it| it.split(' ').next()?.parse::<u64>().ok());
    Processor {
        model: value(info, "model name").unwrap_or_else(|| "unknown".to_owned()),
        architecture: std::env::consts::ARCH,
        cores,
        memory_bytes: kibibytes.map(|it| it.saturating_mul(1024)),
        instructions: known.into_iter().filter(has).collect(),
    }
}

/// Kinds of accelerators: how their files in `/dev` begin, before a number.
const KINDS: [(&str, &str, &str); 3] = [
    (
        "nvidia",
        "NVIDIA GPU",
        "engine onnxruntime computes on it with --onnxruntime-library of onnxruntime-gpu and device = \
         \"cuda:0\", engine pjrt with --pjrt-plugin xla_cuda_plugin.so, engine candle in a server that \
         `make candle-cuda` has built; the others do not",
    ),
    ("accel", "Google TPU", "engine pjrt computes on it with --pjrt-plugin libtpu.so"),
    (
        "apex_",
        "Edge TPU",
        "engine litert computes on it with libedgetpu.so.1 and device = \"edgetpu\" or [litert] delegate = \
         \"FILE\"",
    ),
];

/// Edge TPUs at a USB port, as vendor and product: before their first use, and after it.
const USB_EDGE_TPUS: [(&str, &str); 2] = [("1a6e", "089a"), ("18d1", "9302")];

/// What lies in `/dev`, by name, and the Edge TPUs among the system's list of USB devices.
fn accelerators(dev: &Path, usb: &Path) -> Vec<Accelerator> {
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|it| it.file_name().into_string().ok()).collect::<Vec<String>>()
    };
    // Newer kernels have a folder for those that are called `accel`.
    let inside = dev.join("accel");
    let found = names(dev).into_iter().map(|it| (dev, it));
    let found = found.chain(names(&inside).into_iter().map(|it| (&*inside, it)));
    let accelerator = |(folder, name): (&Path, String)| {
        let (_, kind, note) = KINDS.into_iter().find(|(stem, _, _)| {
            let number = name.strip_prefix(stem);
            number.is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
        })?;
        Some(Accelerator { device: folder.join(name).display().to_string(), kind, note })
    };
    let plugged = |name: String| {
        let path = usb.join(name);
        let id = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        let (vendor, product) = (id("idVendor"), id("idProduct"));
        let known = USB_EDGE_TPUS.contains(&(vendor.trim(), product.trim()));
        let (_, kind, note) = KINDS.into_iter().find(|(stem, _, _)| known && *stem == "apex_")?;
        Some(Accelerator { device: path.display().to_string(), kind, note })
    };
    let plugged = names(usb).into_iter().filter_map(plugged);
    let mut accelerators: Vec<Accelerator> = found.filter_map(accelerator).chain(plugged).collect();
    accelerators.sort_by(|a, b| a.device.cmp(&b.device));
    accelerators
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
