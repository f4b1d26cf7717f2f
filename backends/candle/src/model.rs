//! A network in memory, shared by its instances.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backend_api::{BackendError, Device, Instance, Model, Options, Signature, elsewhere, first};
use candle_core::Device as CandleDevice;

use crate::instance::CandleInstance;
use crate::network::{self, Network};
use crate::{NAME, cuda, place, unreadable, unsupported, weights};

/// What the instances share.
pub(crate) struct Shared {
    pub(crate) network: Box<dyn Network>,
    pub(crate) device: CandleDevice,
    /// Held while a run is handed to a GPU. candle ties weights to one stream and one handle of cuBLAS, so runs
    /// follow one another there; what each brings back is fetched outside its turn.
    turn: Option<Mutex<()>>,
}

impl Shared {
    /// One at a time, where that is so.
    pub(crate) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        // A run that panicked has left nothing behind in it.
        self.turn.as_ref().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See the module.
pub(crate) struct CandleModel {
    shared: Arc<Shared>,
    device: Device,
    threads: usize,
}

impl CandleModel {
    pub(crate) fn load(artifact: &Path, options: &Options) -> Result<CandleModel, BackendError> {
        let candidates = place::candidates(options, cuda::IS_BUILT)?;
        first(&candidates, |device| {
            // Shapes are checked before they are computed with; what is overlooked must not end a loader.
            let built = catch_unwind(AssertUnwindSafe(|| build(artifact, device)));
            let panicked = |_| unreadable("candle panicked while putting the network together");
            let shared = Arc::new(built.map_err(panicked)??);
            let threads = options.intra_op_threads;
            Ok(CandleModel { shared, device: device.clone(), threads })
        })
    }
}

fn build(artifact: &Path, device: &Device) -> Result<Shared, BackendError> {
    let (device, turn) = match device {
        Device::Cpu => (CandleDevice::Cpu, None),
        Device::Cuda(number) => (cuda::open(*number)?, Some(Mutex::default())),
        Device::CpuPart(_) | Device::Tpu(_) | Device::EdgeTpu => {
            return Err(unsupported(format!("it knows no {device}"))); // refused before
        }
    };
    let (config, weights) = weights::read(artifact, &device)?;
    let network = network::build(&config, weights)?;
    // A GPU's errors come late: those of the weights are this load's.
    device.synchronize().map_err(place::of_load)?;
    Ok(Shared { network, device, turn })
}

impl Model for CandleModel {
    fn signature(&self) -> &Signature {
        self.shared.network.signature()
    }

    fn devices(&self) -> Vec<Device> {
        vec![self.device.clone()]
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        if *device != self.device {
            return Err(elsewhere(NAME, device));
        }
        Ok(Box::new(CandleInstance::new(&self.shared, self.threads)?))
    }
}
