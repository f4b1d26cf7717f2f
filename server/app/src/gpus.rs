//! NVIDIA's GPUs: what `salver devices`, the metrics and the lifecycle are told of them.
//!
//! Sampled by a thread of its own, because a call to the driver of a GPU that has failed may take long:
//! scrapes show the last sample and when it was taken, and who wants to know more waits for a while and no longer.

mod numbers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use backend_cuda::Driver;
use backend_nvml::{Gpu, Nvml, NvmlError};
use metrics::{counter, gauge};
use server_base::{Series, SeriesKind};
use server_lifecycle::{Free, Survey};

use crate::engines::named_file;
use crate::inspect::{Cuda, Gpus, SeenGpu};
use numbers::{Visible, numbers};

/// Oftener than anybody scrapes, and a few calls of some microseconds each.
const SAMPLE: Duration = Duration::from_secs(2);

/// How long a load waits for the driver. It answers within microseconds, or within seconds where it has to wake the
/// GPUs first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Loads that may wait for it: more than there are threads that load.
const ASKING_MAX: usize = 64;

const UP: &str = "salver_gpu_up";
const UTILIZATION: &str = "salver_gpu_utilization_ratio";
const MEMORY_USED: &str = "salver_gpu_memory_used_bytes";
const MEMORY_TOTAL: &str = "salver_gpu_memory_total_bytes";
const POWER: &str = "salver_gpu_power_watts";
const POWER_LIMIT: &str = "salver_gpu_power_limit_watts";
const TEMPERATURE: &str = "salver_gpu_temperature_celsius";
const ECC_ERRORS: &str = "salver_gpu_ecc_uncorrected_errors_total";
const SAMPLED: &str = "salver_gpu_sample_timestamp_seconds";

const LABELS: &[&str] = &["gpu", "uuid"];

const fn gauge(name: &'static str, help: &'static str) -> Series {
    Series::plain(name, SeriesKind::Gauge, LABELS, help)
}

/// Everything this module shows, on machines with a GPU.
pub(crate) const SERIES: &[Series] = &[
    gauge(
        UP,
        "1 while the driver answers for the GPU, 0 while it gives an error. This and what follows only \
         where NVIDIA's driver is; NaN is what the GPU does not say.",
    ),
    gauge(UTILIZATION, "Share of the last moments in which something ran on the GPU, 0 to 1."),
    gauge(MEMORY_USED, "Memory of the GPU that any process has."),
    gauge(MEMORY_TOTAL, "Memory of the GPU."),
    gauge(POWER, "What the GPU draws."),
    gauge(POWER_LIMIT, "What the GPU may draw."),
    gauge(TEMPERATURE, "Temperature of the GPU's chip."),
    Series {
        name: ECC_ERRORS,
        kind: SeriesKind::Counter,
        labels: LABELS,
        help: "Errors of the GPU's memory that could not be corrected, since the driver was loaded.",
        buckets: &[],
    },
    Series {
        name: SAMPLED,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "When the GPUs were last asked, in seconds since 1970: an old time is a driver that hangs.",
        buckets: &[],
    },
];

/// Asks for `salver devices`. A library that was named and is not there is an error.
pub(crate) fn see(library: Option<&Path>) -> anyhow::Result<Gpus> {
    let library = named_file("nvml_library", library)?;
    let asked = Nvml::open(library.as_deref()).and_then(|it| Ok((it.driver()?, it.gpus()?)));
    Ok(match asked {
        Ok((driver, gpus)) => {
            let numbers = numbers(&gpus, &visible());
            let devices = gpus.into_iter().map(|it| seen(it, numbers.as_deref())).collect();
            Gpus { driver_version: Some(driver), devices, cuda: Some(cuda()), ..Gpus::default() }
        }
        Err(it) => Gpus { reason: Some(it.to_string()), fix: Some(it.fix()), ..Gpus::default() },
    })
}

fn cuda() -> Cuda {
    match Driver::open(None) {
        Ok(driver) => {
            let (major, minor) = driver.version();
            let version = Some(format!("{major}.{minor}"));
            Cuda { version, gpus: driver.count(), ..Cuda::default() }
        }
        Err(it) => Cuda { reason: Some(it.to_string()), fix: Some(it.fix()), ..Cuda::default() },
    }
}

/// What whoever started this process told CUDA.
fn visible() -> Visible {
    #[expect(clippy::disallowed_methods, reason = "CUDA's own variables: no settings of ours")]
    let said = |name| std::env::var_os(name).map(|it| it.to_string_lossy().into_owned());
    Visible { order: said("CUDA_DEVICE_ORDER"), devices: said("CUDA_VISIBLE_DEVICES") }
}

fn seen(gpu: Gpu, numbers: Option<&[u32]>) -> SeenGpu {
    let number = numbers.and_then(|it| it.iter().position(|it| *it == gpu.index));
    SeenGpu {
        index: gpu.index,
        device: number.map(|it| format!("cuda:{it}")),
        name: gpu.name,
        uuid: gpu.uuid,
        memory_total_bytes: gpu.memory.map(|it| it.total),
        memory_used_bytes: gpu.memory.map(|it| it.used),
        memory_free_bytes: gpu.memory.map(|it| it.free),
        compute_capability: gpu.compute_capability.map(|(major, minor)| format!("{major}.{minor}")),
        reason: gpu.fault.as_ref().map(ToString::to_string),
        fix: gpu.fault.as_ref().map(NvmlError::fix),
    }
}

type Sample = Result<Vec<Gpu>, NvmlError>;

/// Whoever asks leaves a place for the next sample.
type Asking = SyncSender<SyncSender<Sample>>;

/// The GPUs of a server, watched for as long as it, or a place that it gave, is kept.
pub(crate) struct Watch {
    /// Its end is how the thread hears of it. Nobody waits for that: it may be inside the driver.
    asking: Asking,
}

/// Begins to sample. `None` on a machine without NVIDIA's driver; one that does not work is said, and
/// the server goes on without.
pub(crate) fn watch(library: Option<&Path>) -> anyhow::Result<Option<Watch>> {
    let named = named_file("nvml_library", library)?;
    let nvml = match Nvml::open(named.as_deref()) {
        Ok(nvml) => nvml,
        Err(error) if error.is_absent() && named.is_none() => {
            tracing::debug!(%error, "no GPUs are watched");
            return Ok(None);
        }
        Err(error) => {
            let fix = error.fix();
            tracing::warn!(%error, fix, "GPUs are not watched");
            return Ok(None);
        }
    };
    let (asking, asked) = sync_channel(ASKING_MAX);
    let sample = move || sample_all(&asked, || nvml.gpus());
    thread::Builder::new().name("gpus".to_owned()).spawn(sample).context("thread gpus")?;
    Ok(Some(Watch { asking }))
}

/// Shows what is seen until nobody is left who might ask.
fn sample_all(asked: &Receiver<SyncSender<Sample>>, mut see: impl FnMut() -> Sample) {
    let mut shown = Shown::default();
    // Those who asked before the sample was begun.
    let mut waiting: Vec<SyncSender<Sample>> = Vec::new();
    loop {
        let sample = see();
        shown.show(&sample);
        for it in waiting.drain(..) {
            let _ = it.try_send(sample.clone()); // it may have waited long enough
        }
        match asked.recv_timeout(SAMPLE) {
            Ok(it) => {
                waiting.push(it);
                waiting.extend(asked.try_iter().take(ASKING_MAX));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// A sample that is taken from now on; `None`: the driver does not answer.
fn ask(asking: &Asking, patience: Duration) -> Option<Sample> {
    let (give, take) = sync_channel(1);
    asking.try_send(give).ok()?;
    take.recv_timeout(patience).ok()
}

impl Watch {
    /// Where models may be placed.
    pub(crate) fn places(&self) -> server_lifecycle::Gpus {
        let (asking, visible) = (self.asking.clone(), visible());
        server_lifecycle::Gpus::new(move || match ask(&asking, PATIENCE) {
            Some(Ok(gpus)) => places(&gpus, &visible).map_or(Survey::Unknown, Survey::Gpus),
            Some(Err(error)) => {
                tracing::warn!(%error, "no word of GPUs");
                Survey::Unknown
            }
            None => Survey::Silent,
        })
    }
}

/// Those that engines see, by the numbers that they know them by.
fn places(gpus: &[Gpu], visible: &Visible) -> Option<Vec<server_lifecycle::Gpu>> {
    let numbers = numbers(gpus, visible)?;
    let seen = numbers.iter().filter_map(|index| gpus.iter().find(|it| it.index == *index));
    let place = |(number, gpu): (u32, &Gpu)| server_lifecycle::Gpu {
        number,
        name: gpu.name.clone().unwrap_or_else(|| "unknown".to_owned()),
        free: free(gpu),
    };
    Some((0..).zip(seen).map(place).collect())
}

fn free(gpu: &Gpu) -> Free {
    match (&gpu.memory, &gpu.fault) {
        (Some(memory), _) => Free::Bytes(memory.free),
        (None, Some(fault)) if !fault.is_of_the_asker() => Free::Failed(fault.to_string()),
        (None, _) => Free::Unsaid,
    }
}

/// What the metrics show.
#[derive(Default)]
struct Shown {
    /// By number: one that has failed may no longer say its name, and keeps its series. The fault is
    /// the last that was logged.
    known: BTreeMap<u32, (String, Option<NvmlError>)>,
}

impl Shown {
    fn show(&mut self, sampled: &Result<Vec<Gpu>, NvmlError>) {
        match sampled {
            Ok(gpus) => gpus.iter().for_each(|it| self.show_one(it)),
            // Then none of them answers.
            Err(error) => {
                let known: Vec<u32> = self.known.keys().copied().collect();
                let fault = Some(error.clone());
                let lost = |index| Gpu { index, fault: fault.clone(), ..Gpu::default() };
                known.into_iter().map(lost).for_each(|it| self.show_one(&it));
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!(SAMPLED).set(now.as_secs_f64());
    }

    fn show_one(&mut self, gpu: &Gpu) {
        let unknown = || (gpu.uuid.clone().unwrap_or_else(|| "unknown".to_owned()), None);
        let (uuid, said) = self.known.entry(gpu.index).or_insert_with(unknown);
        if *said != gpu.fault {
            match &gpu.fault {
                Some(fault) => {
                    let (index, fix) = (gpu.index, fault.fix());
                    tracing::error!(gpu = index, uuid, %fault, fix, "a GPU has a fault");
                }
                None => tracing::info!(gpu = gpu.index, uuid, "a GPU is well again"),
            }
            said.clone_from(&gpu.fault);
        }
        let index = gpu.index.to_string();
        let set = |name: &'static str, value: Option<f64>| {
            gauge!(name, "gpu" => index.clone(), "uuid" => uuid.clone())
                .set(value.unwrap_or(f64::NAN));
        };
        set(UP, Some(if gpu.fault.is_none() { 1.0 } else { 0.0 }));
        set(UTILIZATION, gpu.utilization.map(|it| f64::from(it) / 100.0));
        set(MEMORY_USED, gpu.memory.map(|it| it.used as f64));
        set(MEMORY_TOTAL, gpu.memory.map(|it| it.total as f64));
        set(POWER, gpu.power_milliwatts.map(|it| f64::from(it) / 1e3));
        set(POWER_LIMIT, gpu.power_limit_milliwatts.map(|it| f64::from(it) / 1e3));
        set(TEMPERATURE, gpu.celsius.map(f64::from));
        if let Some(errors) = gpu.ecc_errors {
            counter!(ECC_ERRORS, "gpu" => index.clone(), "uuid" => uuid.clone()).absolute(errors);
        }
    }
}

#[cfg(test)]
#[path = "gpus_tests.rs"]
mod tests;
