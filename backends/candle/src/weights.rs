//! The weights of a file, by name, in FP32.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use backend_api::BackendError;
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use crate::config::Config;
use crate::place::of_load;
use crate::{unreadable, words};

/// Beside the weights, as the Hugging Face hub has it.
const CONFIG: &str = "config.json";

/// The header's length stands before it.
const HEADER_AT: usize = size_of::<u64>();

/// What is left of a file's weights: each is taken by the layer that it belongs to.
pub(crate) struct Weights {
    tensors: HashMap<String, Tensor>,
    /// What stands before every name, such as `bert.`.
    prefix: String,
    /// Where they are taken to.
    device: Device,
}

/// Reads the file, and what it is a network of. Each weight goes to the device when it is taken.
pub(crate) fn read(artifact: &Path, device: &Device) -> Result<(Config, Weights), BackendError> {
    let failed = |path: &Path, it: std::io::Error| unreadable(format!("{}: {it}", path.display()));
    let bytes = fs::read(artifact).map_err(|it| failed(artifact, it))?;
    let beside = artifact.with_file_name(CONFIG);
    let config = match fs::read(&beside) {
        Ok(text) => text,
        Err(it) if it.kind() == std::io::ErrorKind::NotFound => inside(&bytes)?,
        Err(it) => return Err(failed(&beside, it)),
    };
    let config = Config::parse(&config)?;
    let whole = |it| unreadable(format!("{}: {}", artifact.display(), words(&it)));
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(whole)?;
    Ok((config, Weights { tensors, prefix: String::new(), device: device.clone() }))
}

/// A single file may bring its configuration in its header, as `config` of `__metadata__`.
fn inside(bytes: &[u8]) -> Result<Vec<u8>, BackendError> {
    let header = || {
        let (length, rest) = bytes.split_first_chunk::<HEADER_AT>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        serde_json::from_slice::<Value>(rest.get(..length)?).ok()
    };
    let header =
        header().ok_or_else(|| unreadable("the file is no safetensors file, or cut off"))?;
    let config = header.pointer("/__metadata__/config").and_then(Value::as_str);
    let missing = || {
        unreadable(format!("there is no {CONFIG} beside the weights, nor one in the file's header"))
    };
    config.map(|it| it.as_bytes().to_vec()).ok_or_else(missing)
}

impl Weights {
    /// Names are looked for behind `prefix`, if the file has any such.
    pub(crate) fn under(mut self, prefix: &str) -> Weights {
        if self.tensors.keys().any(|it| it.starts_with(prefix)) {
            prefix.clone_into(&mut self.prefix);
        }
        self
    }

    /// Without the prefix: for what stands beside the network proper, such as its classifier.
    pub(crate) fn bare(mut self) -> Weights {
        self.prefix.clear();
        self
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(&self.full(name))
    }

    /// Takes a weight of so many axes.
    pub(crate) fn take(&mut self, name: &str, rank: usize) -> Result<Tensor, BackendError> {
        let full = self.full(name);
        let tensor = self.tensors.remove(&full);
        let tensor =
            tensor.ok_or_else(|| unreadable(format!("the file has no weight {full:?}")))?;
        if tensor.rank() != rank || tensor.elem_count() == 0 {
            let dims = tensor.dims();
            let reason = format!("weight {full:?} has shape {dims:?}, expected {rank} axes");
            return Err(unreadable(reason));
        }
        self.settle(&tensor)
    }

    /// A vector of exactly that length.
    pub(crate) fn vector(&mut self, name: &str, length: usize) -> Result<Tensor, BackendError> {
        let tensor = self.take(name, 1)?;
        if tensor.dims() != [length] {
            let (full, dims) = (self.full(name), tensor.dims());
            return Err(unreadable(format!("weight {full:?} has shape {dims:?}, not [{length}]")));
        }
        Ok(tensor)
    }

    /// One number, or any shape, or nothing.
    pub(crate) fn any(&mut self, name: &str) -> Result<Option<Tensor>, BackendError> {
        let tensor = self.tensors.remove(&self.full(name));
        tensor.map(|it| self.settle(&it)).transpose()
    }

    /// In FP32, made so on the processor, where it is to be used.
    fn settle(&self, tensor: &Tensor) -> Result<Tensor, BackendError> {
        let settled = tensor.to_dtype(DType::F32).and_then(|it| it.to_device(&self.device));
        settled.map_err(of_load)
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}
