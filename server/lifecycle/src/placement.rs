//! On which GPU a model is loaded, and whether there is room for it.
//!
//! What the driver says is asked anew for each load, on the loader's thread, which waits for it only so long. What a model is going to
//! take is estimated as for `--model-memory-max`. Loads that have begun may not have taken what they
//! were promised yet, so that counts as taken until they are over.

use std::cmp::Reverse;
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
    /// What nobody has of its memory.
    pub free: Free,
}

/// What a GPU says of its free memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Free {
    /// So many bytes.
    Bytes(u64),
    /// Nothing, as one that shares the machine's memory: nothing is refused on a guess.
    Unsaid,
    /// The GPU has failed, and with these words.
    Failed(String),
}

impl Free {
    /// For all that is known.
    fn fits(&self, bytes: u64) -> bool {
        match self {
            Free::Bytes(free) => *free >= bytes,
            Free::Unsaid => true,
            Free::Failed(_) => false,
        }
    }

    /// The bytes that are sure to be there.
    fn sure(&self) -> u64 {
        match self {
            Free::Bytes(free) => *free,
            Free::Unsaid | Free::Failed(_) => 0,
        }
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gpu { number, name, free } = self;
        match free {
            Free::Bytes(free) => write!(f, "cuda:{number} ({name}, {} free)", mib(*free)),
            Free::Unsaid => write!(f, "cuda:{number} ({name}, does not say what is free)"),
            Free::Failed(_) => write!(f, "cuda:{number} ({name}, failed)"),
        }
    }
}

/// What is known of this machine's GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Survey {
    /// These are there.
    Gpus(Vec<Gpu>),
    /// Nobody knows, or not by which numbers engines know them.
    Unknown,
    /// The driver does not answer. Nor would it answer an engine, which knows no limit to the wait.
    Silent,
}

/// How the GPUs of this machine are asked for.
#[derive(Clone)]
pub struct Gpus(Arc<dyn Fn() -> Survey + Send + Sync>);

impl Gpus {
    /// What is asked before each load. It takes a few seconds at most.
    pub fn new(see: impl Fn() -> Survey + Send + Sync + 'static) -> Gpus {
        Gpus(Arc::new(see))
    }
}

impl Default for Gpus {
    fn default() -> Gpus {
        Gpus::new(|| Survey::Unknown)
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

/// Memory that is promised until this is dropped, on each of these GPUs.
#[derive(Debug)]
pub(crate) struct Promise<'a> {
    placement: &'a Placement,
    numbers: Vec<u32>,
    bytes: u64,
}

/// The GPUs that may be tried, in this order, and the memory of those that are going to be used; `None`: nobody
/// knows.
pub(crate) type Placed<'a> = (Option<Vec<u32>>, Option<Promise<'a>>);

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        let mut promised = self.placement.promised.lock().unwrap_or_else(PoisonError::into_inner);
        for number in &self.numbers {
            if let Some(bytes) = promised.get_mut(number) {
                *bytes = bytes.saturating_sub(self.bytes);
            }
        }
    }
}

impl Placement {
    pub(crate) fn new(gpus: Gpus) -> Placement {
        Placement { gpus, ..Placement::default() }
    }

    /// See [`Placed`]. The model's instances are going to be on so many GPUs, if there are as many: each of them gets
    /// all its weights.
    pub(crate) fn place(
        &self,
        wish: &DeviceWish,
        (need, spread): (Need, usize),
    ) -> Result<Placed<'_>, LoadError> {
        if !of_gpu(wish) {
            return Ok((None, None));
        }
        // Asked before the lock is taken: a driver may keep one waiting.
        let mut gpus = match (self.gpus.0)() {
            Survey::Gpus(gpus) => gpus,
            Survey::Unknown => return Ok((unseen(need), None)),
            Survey::Silent => return silent(wish).map(|it| (Some(it), None)),
        };
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        for it in &mut gpus {
            let taken = promised.get(&it.number).copied().unwrap_or(0);
            if let Free::Bytes(free) = &mut it.free {
                *free = free.saturating_sub(taken);
            }
        }
        let order = choose(wish, need, &gpus)?;
        let numbers: Vec<u32> = order.iter().copied().take(spread).collect();
        for number in &numbers {
            *promised.entry(*number).or_default() += need.bytes;
        }
        let promise = Promise { placement: self, numbers, bytes: need.bytes };
        Ok((Some(order), Some(promise)))
    }
}

/// Where nobody knows the GPUs the engine takes its first, unless that one has failed.
fn unseen(need: Need) -> Option<Vec<u32>> {
    need.avoid.map(|avoid| (0..1).filter(|it| *it != avoid).collect())
}

/// Where the driver does not answer there is the processor, for what may go there.
fn silent(wish: &DeviceWish) -> Result<Vec<u32>, LoadError> {
    match wish {
        DeviceWish::On(device @ Device::Cuda(_)) => Err(LoadError::doubtful(format!(
            "device {device}: NVIDIA's driver does not answer; device = \"auto\" or \"cpu\" takes the processor"
        ))),
        DeviceWish::Auto | DeviceWish::On(_) => {
            tracing::warn!("device auto: NVIDIA's driver does not answer; the processor instead");
            Ok(Vec::new())
        }
    }
}

/// Those that have room, the emptiest first and those that do not say last; the one that was asked for, or why not.
fn choose(wish: &DeviceWish, need: Need, gpus: &[Gpu]) -> Result<Vec<u32>, LoadError> {
    let fits = |it: &&Gpu| it.free.fits(need.bytes);
    match wish {
        DeviceWish::Auto => {
            let mut fitting: Vec<&Gpu> = gpus.iter().filter(fits).collect();
            fitting.retain(|it| Some(it.number) != need.avoid);
            let is_unsaid = |it: &Gpu| it.free == Free::Unsaid;
            fitting.sort_by_key(|it| (is_unsaid(it), Reverse(it.free.sure()), it.number));
            Ok(fitting.into_iter().map(|it| it.number).collect())
        }
        DeviceWish::On(Device::Cuda(number)) => on(*number, need, gpus).map(|it| vec![it]),
        DeviceWish::On(_) => Ok(Vec::new()),
    }
}

/// May the model come to run on a GPU of NVIDIA's?
pub(crate) fn of_gpu(wish: &DeviceWish) -> bool {
    matches!(wish, DeviceWish::Auto | DeviceWish::On(Device::Cuda(_)))
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
        it if it.fits(need.bytes) => return Ok(number),
        Free::Bytes(_) | Free::Unsaid => {
            let (free, bytes) = (mib(gpu.free.sure()), mib(need.bytes));
            format!("has {free} of memory free, and the model is estimated to take {bytes}")
        }
        Free::Failed(fault) => format!("has failed ({fault})"),
    };
    let room = list(gpus, |it| it.number != number && it.free.fits(need.bytes));
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
