//! A backend whose models are scripts: for tests of everything above the seam.
//!
//! A script names inputs and outputs, what each output is, how long a run takes, and which values
//! make it fail, panic or hang. It passes the same conformance suite as the real engines, so what
//! is tested with it holds for them. Hangs end when the test opens the [`Gate`].

mod gate;
mod instance;
mod script;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use backend_api::{Backend, BackendError, Device, Instance, Model, Options, Signature, elsewhere};

pub use gate::Gate;
pub use script::Script;

use instance::FakeInstance;

/// Name of the engine in configuration, logs and errors.
pub const NAME: &str = "fake";

/// Runs scripts. Clones share the gates and the lists of runs.
#[derive(Clone, Default)]
pub struct Fake {
    shared: Arc<Shared>,
    /// How many it counts.
    gpus: u32,
}

/// What a test sees of all models of one [`Fake`].
#[derive(Default)]
pub(crate) struct Shared {
    hangs: Gate,
    loads: Gate,
    loads_begun: AtomicU32,
    loads_failed: AtomicU32,
    runs: Mutex<Vec<usize>>,
    given: Mutex<Vec<Vec<f64>>>,
}

/// Runs of which it is kept what they were given: those of a load, and no more of the thousands that
/// a test may make.
const GIVEN_MAX: usize = 64;

impl Fake {
    /// With closed gates and nothing run yet.
    pub fn new() -> Fake {
        Fake::default()
    }

    /// As if it computed on GPUs, each model on so many of those that it may use.
    #[must_use]
    pub fn on_gpus(mut self, count: u32) -> Fake {
        self.gpus = count;
        self
    }

    /// Runs wait here when a value says `hang`, until it is opened.
    pub fn hangs(&self) -> &Gate {
        &self.shared.hangs
    }

    /// Loads of scripts with `load_waits` wait here, until it is opened.
    pub fn loads(&self) -> &Gate {
        &self.shared.loads
    }

    /// Loads so far, good or bad.
    pub fn loads_begun(&self) -> u32 {
        self.shared.loads_begun.load(Ordering::Relaxed)
    }

    /// Rows of every run so far, in the order in which the runs began.
    pub fn runs(&self) -> Vec<usize> {
        self.shared.runs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers that each of the first runs was given, all inputs one after the other.
    pub fn given(&self) -> Vec<Vec<f64>> {
        self.shared.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    pub(crate) fn was_given(&self, numbers: impl FnOnce() -> Vec<f64>) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.len() < GIVEN_MAX {
            given.push(numbers());
        }
    }

    pub(crate) fn ran(&self, rows: usize) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(rows);
    }
}

impl Backend for Fake {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn platform(&self) -> &'static str {
        "fake_script"
    }

    fn artifact(&self) -> &'static str {
        "model.fake"
    }

    fn devices(&self) -> Vec<Device> {
        std::iter::once(Device::Cpu).chain((0..self.gpus).map(Device::Cuda)).collect()
    }

    fn load(&self, artifact: &Path, options: &Options) -> Result<Box<dyn Model>, BackendError> {
        let mut devices = Vec::new();
        if self.gpus == 0 {
            options.on_processor(NAME)?;
        } else {
            devices.extend(options.allowed_gpus().into_iter().take(self.gpus as usize));
        }
        if devices.is_empty() {
            devices.push(Device::Cpu);
        }
        self.shared.loads_begun.fetch_add(1, Ordering::Relaxed);
        let unreadable = |reason: String| BackendError::Artifact { reason };
        let text = std::fs::read_to_string(artifact)
            .map_err(|it| unreadable(format!("{}: {it}", artifact.display())))?;
        let script = Script::parse(&text).map_err(unreadable)?;
        thread::sleep(script.load_delay);
        if script.load_waits {
            self.shared.loads.wait();
        }
        if self.shared.loads_failed.load(Ordering::Relaxed) < script.loads_failing {
            self.shared.loads_failed.fetch_add(1, Ordering::Relaxed);
            let reason = if script.starving { "out of memory" } else { "the script says so" };
            return Err(unreadable(reason.to_owned()));
        }
        let signature = script.signature();
        Ok(Box::new(FakeModel {
            script: Arc::new(script),
            signature,
            devices,
            shared: Arc::clone(&self.shared),
        }))
    }
}

struct FakeModel {
    script: Arc<Script>,
    signature: Signature,
    devices: Vec<Device>,
    shared: Arc<Shared>,
}

impl Model for FakeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn devices(&self) -> Vec<Device> {
        self.devices.clone()
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        if !self.devices.contains(device) {
            return Err(elsewhere(NAME, device));
        }
        Ok(Box::new(FakeInstance::new(
            Arc::clone(&self.script),
            self.signature.clone(),
            Arc::clone(&self.shared),
        )))
    }
}
