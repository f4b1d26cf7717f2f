//! A loaded file, shared by all instances.

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

use backend_api::{BackendError, Device, Instance, Model, Options, Signature, elsewhere};

use crate::delegate::Delegate;
use crate::ffi::{Environment, Source};
use crate::instance::LiteInstance;
use crate::signature::Side;
use crate::{NAME, operators, signature, whole};

/// What the instances share: the file. What is made of it to run is each one's own.
pub(crate) struct Shared {
    pub(crate) source: Arc<Source>,
    pub(crate) signature: Signature,
    pub(crate) threads: usize,
    pub(crate) delegate: Option<Delegate>,
}

/// A model in memory.
pub(crate) struct LiteModel {
    shared: Arc<Shared>,
}

impl LiteModel {
    pub(crate) fn load(
        environment: &Arc<Environment>,
        artifact: &Path,
        (options, delegate): (&Options, Option<Delegate>),
    ) -> Result<LiteModel, BackendError> {
        let refused = |reason: String| BackendError::Unsupported { engine: NAME, reason };
        let unreadable = |reason: String| BackendError::Artifact { reason };
        let shown = artifact.display();
        let whole = whole::check(artifact).map_err(|it| unreadable(format!("{shown}: {it}")))?;
        whole.map_err(|it| unreadable(format!("{shown}: {it}")))?;
        let path = artifact.to_str().and_then(|it| CString::new(it).ok());
        let path = path.ok_or_else(|| refused("the file's path is not UTF-8".to_owned()))?;
        let source = Arc::new(environment.read(&path).map_err(unreadable)?);
        let ports = |side| source.ports(side).map_err(refused);
        let (inputs, outputs) = (ports(Side::Inputs)?, ports(Side::Outputs)?);
        let threads = options.intra_op_threads;
        let mut trial = source.compile(threads, delegate.as_ref()).map_err(refused)?;
        delegate.as_ref().map_or(Ok(()), |it| it.check(trial.is_idle)).map_err(refused)?;
        let (signature, is_allocated) = signature::read((&inputs, &outputs), &mut trial)?;
        drop(trial);
        if !is_allocated {
            // Compiling leaves out whether the operators are known: only what is laid out for a run asks
            // each of them. As the file has the lengths: others might be refused for their own sake.
            let mut trial = source.compile(threads, delegate.as_ref()).map_err(refused)?;
            let laid_out = trial.shapes(outputs.len(), true);
            laid_out
                .err()
                .and_then(|it| operators::lacking(&it))
                .map_or(Ok(()), |it| Err(refused(it)))?;
        }
        Ok(LiteModel { shared: Arc::new(Shared { source, signature, threads, delegate }) })
    }
}

impl LiteModel {
    fn device(&self) -> &Device {
        self.shared.delegate.as_ref().map_or(&Device::Cpu, Delegate::device)
    }
}

impl Model for LiteModel {
    fn signature(&self) -> &Signature {
        &self.shared.signature
    }

    fn devices(&self) -> Vec<Device> {
        vec![self.device().clone()]
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        if device != self.device() {
            return Err(elsewhere(NAME, device));
        }
        Ok(Box::new(LiteInstance::new(Arc::clone(&self.shared))?))
    }
}
