//! On which GPU a model is loaded, and whether there is room for it.
//!
//! What the driver says is asked anew for each load, on the loader's thread. What a model is going to
//! take is estimated as for `--model-memory-max`. Loads that have begun may not have taken what they
//! were promised yet, so that counts as taken until they are over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use backend_api::{Device, DeviceWish};

use crate::fault::LoadError;

/// A GPU, by the number that engines know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// That of `cuda:0`.
    pub number: u32,
    /// `NVIDIA H200`.
    pub name: String,
    /// Bytes that nobody has; or why the GPU cannot be had.
    pub free: Result<u64, String>,
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gpu { number, name, free } = self;
        match free {
            Ok(free) => write!(f, "cuda:{number} ({name}, {} free)", mib(*free)),
            Err(_) => write!(f, "cuda:{number} ({name}, failed)"),
        }
    }
}

/// The GPUs of this machine; `None` where nobody knows, or not by which numbers engines know them.
#[derive(Clone)]
pub struct Gpus(Arc<dyn Fn() -> Option<Vec<Gpu>> + Send + Sync>);

impl Gpus {
    /// What is asked before each load.
    pub fn new(see: impl Fn() -> Option<Vec<Gpu>> + Send + Sync + 'static) -> Gpus {
        Gpus(Arc::new(see))
    }
}

impl Default for Gpus {
    fn default() -> Gpus {
        Gpus::new(|| None)
    }
}

impl fmt::Debug for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gpus")
    }
}

/// What a load is going to need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// An estimate.
    pub(crate) bytes: u64,
    /// A GPU that has failed it before: not for a model that says `auto`.
    pub(crate) avoid: Option<u32>,
}

/// See the module. Shared by the loader threads.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    gpus: Gpus,
    /// To loads that are not over, by GPU.
    promised: Mutex<BTreeMap<u32, u64>>,
}

/// Memory that is promised until this is dropped.
#[derive(Debug)]
pub(crate) struct Promise<'a> {
    placement: &'a Placement,
    number: u32,
    bytes: u64,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        let mut promised = self.placement.promised.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = promised.get_mut(&self.number) {
            *bytes = bytes.saturating_sub(self.bytes);
        }
    }
}

impl Placement {
    pub(crate) fn new(gpus: Gpus) -> Placement {
        Placement { gpus, ..Placement::default() }
    }

    /// The GPUs that may be tried, in this order, and the memory of the first; `None`: nobody knows.
    pub(crate) fn place(
        &self,
        wish: &DeviceWish,
        need: Need,
    ) -> Result<(Option<Vec<u32>>, Option<Promise<'_>>), LoadError> {
        if *wish == DeviceWish::On(Device::Cpu) {
            return Ok((None, None));
        }
        // Asked before the lock is taken: a driver may keep one waiting.
        let Some(mut gpus) = (self.gpus.0)() else { return Ok((unseen(need), None)) };
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        for it in &mut gpus {
            let taken = promised.get(&it.number).copied().unwrap_or(0);
            it.free = it.free.as_ref().map(|free| free.saturating_sub(taken)).map_err(Clone::clone);
        }
        let order = choose(wish, need, &gpus)?;
        let promise = order.first().map(|&number| {
            *promised.entry(number).or_default() += need.bytes;
            Promise { placement: self, number, bytes: need.bytes }
        });
        Ok((Some(order), promise))
    }
}

/// Where nobody knows the GPUs the engine takes its first, unless that one has failed.
fn unseen(need: Need) -> Option<Vec<u32>> {
    need.avoid.map(|avoid| (0..1).filter(|it| *it != avoid).collect())
}

/// Those that have room, the emptiest first; the one that was asked for, or why not.
fn choose(wish: &DeviceWish, need: Need, gpus: &[Gpu]) -> Result<Vec<u32>, LoadError> {
    let fits = |it: &&Gpu| it.free.as_ref().is_ok_and(|free| *free >= need.bytes);
    match wish {
        DeviceWish::On(Device::Cpu) => Ok(Vec::new()),
        DeviceWish::Auto => {
            let mut fitting: Vec<&Gpu> = gpus.iter().filter(fits).collect();
            fitting.retain(|it| Some(it.number) != need.avoid);
            fitting.sort_by_key(|it| (std::cmp::Reverse(it.free.clone().unwrap_or(0)), it.number));
            Ok(fitting.into_iter().map(|it| it.number).collect())
        }
        DeviceWish::On(Device::Cuda(number)) => on(*number, need, gpus).map(|it| vec![it]),
    }
}

fn on(number: u32, need: Need, gpus: &[Gpu]) -> Result<u32, LoadError> {
    let device = Device::Cuda(number);
    let Some(gpu) = gpus.iter().find(|it| it.number == number) else {
        let there = list(gpus, |_| true);
        return Err(LoadError::lasting(format!(
            "device {device}: this machine has no such GPU, it has {there}; device = \"auto\" takes one \
             with room or the processor, \"cpu\" the processor"
        )));
    };
    let why = match &gpu.free {
        Ok(free) if *free >= need.bytes => return Ok(number),
        Ok(free) => {
            let (free, bytes) = (mib(*free), mib(need.bytes));
            format!("has {free} of memory free, and the model is estimated to take {bytes}")
        }
        Err(fault) => format!("has failed ({fault})"),
    };
    let room = list(gpus, |it| {
        it.number != number && it.free.as_ref().is_ok_and(|free| *free >= need.bytes)
    });
    Err(LoadError::doubtful(format!(
        "device {device} {why}: there is room on {room}; or device = \"auto\" or \"cpu\""
    )))
}

fn list(gpus: &[Gpu], keep: impl Fn(&Gpu) -> bool) -> String {
    let there: Vec<String> = gpus.iter().filter(|it| keep(it)).map(ToString::to_string).collect();
    if there.is_empty() { "no GPU".to_owned() } else { there.join(", ") }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
