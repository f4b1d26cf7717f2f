//! A network in memory, shared by its instances.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use backend_api::{BackendError, Device, Instance, Model, Options, Signature, elsewhere};

use crate::instance::CandleInstance;
use crate::network::{self, Network};
use crate::{NAME, unreadable, weights};

/// See the module.
pub(crate) struct CandleModel {
    network: Arc<dyn Network>,
    threads: usize,
}

impl CandleModel {
    pub(crate) fn load(artifact: &Path, options: &Options) -> Result<CandleModel, BackendError> {
        // Shapes are checked before they are computed with; what is overlooked must not end a loader.
        let built = catch_unwind(AssertUnwindSafe(|| {
            let (config, weights) = weights::read(artifact)?;
            network::build(&config, weights)
        }));
        let panicked = |_| unreadable("candle panicked while putting the network together");
        let network = built.map_err(panicked)??;
        Ok(CandleModel { network: Arc::from(network), threads: options.intra_op_threads })
    }
}

impl Model for CandleModel {
    fn signature(&self) -> &Signature {
        self.network.signature()
    }

    fn devices(&self) -> Vec<Device> {
        vec![Device::Cpu]
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        if *device != Device::Cpu {
            return Err(elsewhere(NAME, device));
        }
        Ok(Box::new(CandleInstance::new(&self.network, self.threads)?))
    }
}
