//! A loaded model: a program for each number of rows, compiled once, shared by all instances.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend_api::{
    BackendError, Device, Instance, Model, Options, Shape, Signature, Tensor, TensorSpec, elsewhere,
};

use crate::ffi::Loaded;
use crate::functions::dtype_of;
use crate::instance::PjrtInstance;
use crate::manifest::Manifest;
use crate::{NAME, Opened, place};

/// What the instances share.
pub(crate) struct Shared {
    pub(crate) manifest: Manifest,
    /// Rows and program, ascending.
    pub(crate) programs: Vec<(usize, Loaded)>,
    /// Where they are run: the plugin's devices, by their places, and what they are called.
    pub(crate) devices: Vec<(usize, Device)>,
}

impl Shared {
    /// What the device at a place of the plugin's list is called.
    pub(crate) fn device(&self, place: usize) -> Option<&Device> {
        self.devices.iter().find(|it| it.0 == place).map(|it| &it.1)
    }
}

/// A model in memory.
pub(crate) struct PjrtModel {
    shared: Arc<Shared>,
}

impl PjrtModel {
    pub(crate) fn load(
        opened: &Opened,
        (artifact, options): (&Path, &Options),
        manifest: Manifest,
    ) -> Result<PjrtModel, BackendError> {
        let there = opened.client.devices();
        let unsupported = |reason| BackendError::Unsupported { engine: NAME, reason };
        let turn = opened.instances.load(Ordering::Relaxed);
        let places = place::choose(&there, options, turn).map_err(unsupported)?;
        if places.len() > 1 {
            opened.instances.fetch_add(options.instances, Ordering::Relaxed);
        }
        let named = |it: usize| Some((it, there.get(it)?.clone()));
        let devices: Vec<(usize, Device)> = places.into_iter().filter_map(named).collect();
        let first = devices.first().map_or(0, |(place, _)| *place);
        let unreadable = |path: &Path, it: std::io::Error| {
            let reason = format!("{}: {it}", path.display());
            BackendError::Artifact { reason }
        };
        fs::metadata(artifact).map_err(|it| unreadable(artifact, it))?;
        let mut programs = Vec::with_capacity(manifest.programs.len());
        for (rows, path) in &manifest.programs {
            let code = fs::read(path).map_err(|it| unreadable(path, it))?;
            let name = path.file_name().unwrap_or_default().display().to_string();
            let refused = |reason: String| {
                let reason = format!("{name}: {reason}");
                BackendError::Unsupported { engine: NAME, reason }
            };
            let loaded = opened.cache.compile(&opened.client, &code).map_err(refused)?;
            check(&manifest.signature, *rows, (&loaded, first)).map_err(refused)?;
            programs.push((*rows, loaded));
        }
        Ok(PjrtModel { shared: Arc::new(Shared { manifest, programs, devices }) })
    }
}

/// Holds a program against what is said of it: outputs by their types and lengths, inputs by a run
/// with zeros, for nothing tells what a program takes.
fn check(
    signature: &Signature,
    rows: usize,
    (loaded, place): (&Loaded, usize),
) -> Result<(), String> {
    let shape = |it: &TensorSpec| it.shape_at(rows).ok_or_else(|| format!("{it} is too large"));
    let found = loaded.outputs()?;
    let declared: Vec<Shape> = signature.outputs.iter().map(shape).collect::<Result<_, _>>()?;
    if found.len() != declared.len() {
        let (found, declared) = (found.len(), declared.len());
        return Err(format!("it gives {found} outputs, {declared} are declared"));
    }
    for (((kind, dims), declared), spec) in found.iter().zip(&declared).zip(&signature.outputs) {
        if dtype_of(*kind) != Some(spec.dtype) || *dims != declared.to_wire() {
            let given = dtype_of(*kind).map_or("another type", |it| it.name());
            return Err(format!(
                "it gives {given} {dims:?} where '{}', {} {declared}, is declared",
                spec.name, spec.dtype
            ));
        }
    }
    let zeros = |it: &TensorSpec| Ok(Tensor::zeroed(it.dtype, shape(it)?));
    let zeros: Vec<Tensor> = signature.inputs.iter().map(zeros).collect::<Result<_, String>>()?;
    let sizes = declared.iter().zip(&signature.outputs);
    let mut room: Vec<Vec<u8>> = sizes
        .map(|(shape, spec)| vec![0; shape.elements() * spec.dtype.size().unwrap_or(1)])
        .collect();
    let mut to: Vec<&mut [u8]> = room.iter_mut().map(Vec::as_mut_slice).collect();
    loaded
        .run(place, &zeros, &mut to)
        .map_err(|it| format!("it does not take what is declared: {it}"))
}

impl Model for PjrtModel {
    fn signature(&self) -> &Signature {
        &self.shared.manifest.signature
    }

    fn devices(&self) -> Vec<Device> {
        self.shared.devices.iter().map(|(_, name)| name.clone()).collect()
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        let known = self.shared.devices.iter().find(|(_, name)| name == device);
        let (place, _) = known.ok_or_else(|| elsewhere(NAME, device))?;
        Ok(Box::new(PjrtInstance::new(Arc::clone(&self.shared), *place)))
    }
}
