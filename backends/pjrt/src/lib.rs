//! StableHLO programs through a PJRT plugin: TPUs by Google's `libtpu.so`, NVIDIA GPUs by
//! `xla_cuda_plugin.so`, processors by `xla_cpu_pjrt.so`. One client for all, chosen by its path.
//!
//! Nothing is linked, and the plugin is opened by the first model that needs it: a machine without
//! its device, or with a plugin of another interface, says so then. `ffi.rs` is the only file with
//! unsafe code. XLA compiles every shape beforehand, so a model brings a program for each of a few
//! numbers of rows (`manifest.rs`), and a batch is filled up to the next of them (`instance.rs`).

mod option;
mod place;
mod rows;
mod manifest;
mod cache;
mod model;
mod instance;
mod ffi;
mod functions;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use backend_api::{Backend, BackendError, DType, Device, Library, Model, Options};

use crate::cache::Cache;
use crate::ffi::Client;
pub use crate::option::ClientOption;

/// Name of the engine in configuration, logs and errors.
pub const NAME: &str = "pjrt";

/// The plugins that are looked for, the most particular first: what is put beside the server is
/// meant to be used.
pub const LIBRARIES: [Library; 3] = [
    Library { stem: "libtpu.so", home: NAME },
    Library { stem: "xla_cuda_plugin.so", home: NAME },
    Library { stem: "xla_cpu_pjrt.so", home: NAME },
];

/// The file in a version's folder that it reads; its signature lies beside it, and so do programs
/// for other numbers of rows.
pub const ARTIFACT: &str = "model.stablehlo";

/// The data types it carries: all but BYTES.
pub const DTYPES: [DType; 13] = [
    DType::Bool,
    DType::Uint8,
    DType::Uint16,
    DType::Uint32,
    DType::Uint64,
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Int64,
    DType::Fp16,
    DType::Bf16,
    DType::Fp32,
    DType::Fp64,
];

/// The first plugin for the binary at `binary`, or where they were looked for.
pub fn find(binary: &Path) -> Result<PathBuf, Vec<PathBuf>> {
    let mut searched = Vec::new();
    for library in LIBRARIES {
        match library.find(binary) {
            Ok(path) => return Ok(path),
            Err(folders) => searched = folders,
        }
    }
    Err(searched)
}

/// A plugin. One value per process: devices are not shared between two.
pub struct Pjrt {
    plugin: PathBuf,
    options: Vec<ClientOption>,
    cache: Option<PathBuf>,
    /// Filled by the first model; a plugin that cannot be opened stays so.
    opened: OnceLock<Result<Opened, String>>,
}

/// What the first model opens.
pub(crate) struct Opened {
    pub(crate) client: Arc<Client>,
    pub(crate) cache: Cache,
    /// How many there are, or were, of models that left the device open.
    pub(crate) instances: AtomicUsize,
}

impl Pjrt {
    /// The plugin at `plugin`, which is opened when it is first needed. What it compiles is kept in
    /// the folder `cache`, if there is to be one.
    pub fn at(plugin: &Path, cache: Option<&Path>) -> Pjrt {
        let cache = cache.map(Path::to_path_buf);
        let plugin = plugin.to_path_buf();
        Pjrt { plugin, options: Vec::new(), cache, opened: OnceLock::new() }
    }

    /// The same, told this when it is opened.
    #[must_use]
    pub fn with_options(self, options: Vec<ClientOption>) -> Pjrt {
        Pjrt { options, ..self }
    }

    /// Opens the plugin, if it is not open, and says what it is and which devices it has.
    pub fn describe(&self) -> Result<Vec<String>, BackendError> {
        let client = &self.opened()?.client;
        let unavailable = |reason| BackendError::Unavailable { engine: NAME, reason };
        let (interface, platform, version) = client.versions().map_err(unavailable)?;
        let version: Vec<&str> = version.split_whitespace().collect();
        let head = format!("platform {platform} ({}), interface {interface}", version.join(" "));
        let devices = client.describe().map_err(unavailable)?;
        let devices = devices.into_iter().map(|it| format!("device {it}"));
        Ok([head].into_iter().chain(devices).collect())
    }

    fn opened(&self) -> Result<&Opened, BackendError> {
        let opened = self.opened.get_or_init(|| {
            let client = Arc::new(Client::open(&self.plugin, &self.options)?);
            let cache = Cache::of(self.cache.as_deref(), &self.plugin, &client)?;
            Ok(Opened { client, cache, instances: AtomicUsize::new(0) })
        });
        let unavailable =
            |it: &String| BackendError::Unavailable { engine: NAME, reason: it.clone() };
        opened.as_ref().map_err(unavailable)
    }
}

impl Backend for Pjrt {
    fn name(&self) -> &'static str {
        NAME
    }

    /// The plugin's file, until it is open: asking it would open it.
    fn version(&self) -> String {
        let interface = self.opened.get().and_then(|it| it.as_ref().ok());
        let interface = interface.and_then(|it| it.client.versions().ok());
        let name = self.plugin.file_name().map(|it| it.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        match interface {
            Some((interface, platform, _)) => format!("{interface} ({platform}, {name})"),
            None => name,
        }
    }

    fn platform(&self) -> &'static str {
        "pjrt_stablehlo"
    }

    fn artifact(&self) -> &'static str {
        ARTIFACT
    }

    /// Those of the plugin, once it is open.
    fn devices(&self) -> Vec<Device> {
        let opened = self.opened.get().and_then(|it| it.as_ref().ok());
        opened.map_or_else(Vec::new, |it| it.client.devices())
    }

    fn load(&self, artifact: &Path, options: &Options) -> Result<Box<dyn Model>, BackendError> {
        // What is wrong with the files is said first: it is so with any plugin.
        let manifest = manifest::Manifest::read(artifact)?;
        Ok(Box::new(model::PjrtModel::load(self.opened()?, (artifact, options), manifest)?))
    }
}
