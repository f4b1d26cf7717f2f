//! A loaded graph: compiled once, shared by all instances.

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

use backend_api::onnx::{Graph, Ranges};
use backend_api::{
    BackendError, DType, Device, Instance, Model, Options, Precision, Signature, elsewhere,
};

use crate::ffi::{Compiled, Core, Settings};
use crate::instance::OpenVinoInstance;
use crate::{NAME, graph, signature};

/// What the instances share. Weights exist once; scratch once for each instance.
pub(crate) struct Shared {
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) signature: Signature,
    pub(crate) ranges: Ranges,
}

/// A model in memory.
pub(crate) struct OpenVinoModel {
    shared: Arc<Shared>,
}

impl OpenVinoModel {
    pub(crate) fn load(
        core: &Core,
        artifact: &Path,
        options: &Options,
    ) -> Result<OpenVinoModel, BackendError> {
        let refused = |reason: String| BackendError::Unsupported { engine: NAME, reason };
        let file = Graph::read(artifact)?;
        let declared = (graph::inputs(&file)?, graph::outputs(&file)?);
        let path = artifact.to_str().and_then(|it| CString::new(it).ok());
        let path = path.ok_or_else(|| refused("the file's path is not UTF-8".to_owned()))?;
        let compiled = core.compile(&path, &settings(options)).map_err(refused)?;
        let signature = signature::read(declared, &compiled)?;
        let inputs: Vec<(&str, DType)> =
            signature.inputs.iter().map(|it| (&*it.name, it.dtype)).collect();
        let ranges = Ranges::of_graph(&file, &inputs, true);
        let shared = Shared { compiled: Arc::new(compiled), signature, ranges };
        Ok(OpenVinoModel { shared: Arc::new(shared) })
    }
}

impl Model for OpenVinoModel {
    fn signature(&self) -> &Signature {
        &self.shared.signature
    }

    fn devices(&self) -> Vec<Device> {
        vec![Device::Cpu]
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        if *device != Device::Cpu {
            return Err(elsewhere(NAME, device));
        }
        Ok(Box::new(OpenVinoInstance::new(Arc::clone(&self.shared))?))
    }
}

/// The plugin's settings. A run uses the scratch of one stream, on the thread that calls it; two
/// runs at a time need two streams, or one waits for the other.
fn settings(options: &Options) -> Settings {
    let number = |it: usize| CString::new(it.to_string()).unwrap_or_default();
    let precision = match options.precision {
        Precision::F32 => c"f32",
        Precision::Bf16 => c"bf16",
    };
    [
        // Its own default is bf16 where the processor has it, which gives other answers.
        (c"INFERENCE_PRECISION_HINT", precision.to_owned()),
        // As is rounding activations to 8 bits where weights are.
        (c"DYNAMIC_QUANTIZATION_GROUP_SIZE", number(0)),
        (c"NUM_STREAMS", number(options.instances)),
        (c"INFERENCE_NUM_THREADS", number(options.instances * options.intra_op_threads)),
        // The threads are ours, and which cores they run on is the system's business.
        (c"ENABLE_CPU_PINNING", c"NO".to_owned()),
    ]
}
