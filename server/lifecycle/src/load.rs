//! Loading one version: engine, rows probe, instances, warm-up. Runs on a loader thread.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_api::{
    BackendError, Device, Dim, Model, Shape, Signature, Tensor, TensorSpec, UNBATCHED_ROWS,
};
use server_base::{ModelName, Version};
use server_serving::{Cores, Padding, Plan, Servable, Workers};

use crate::config::ModelConfig;
use crate::engines::Engines;
use crate::fault::LoadError;
use crate::leak::leak;
use crate::probe::{Verdict, probe};
use crate::prove::{Proof, Subject, card, prove};
use crate::replay::Before;
use crate::shapes::borne_out;
use crate::warmup::warm_up;

/// What is to be loaded, and how.
#[derive(Clone, Debug)]
pub(crate) struct LoadJob {
    pub(crate) model: ModelName,
    pub(crate) version: Version,
    pub(crate) folder: PathBuf,
    pub(crate) config: ModelConfig,
    /// What it has to stand in for, if it must: a version that answers, and its signature.
    pub(crate) serves: Option<Box<(Version, Signature)>>,
}

/// A version that is ready to be asked.
pub(crate) struct Loaded {
    pub(crate) workers: Workers,
    pub(crate) engine: &'static str,
    pub(crate) proof: Proof,
    pub(crate) took: Duration,
}

impl Loaded {
    /// Says that it is there, and how it is served.
    pub(crate) fn log(&self) {
        let servable = self.workers.servable();
        let (model, version, plan) = (servable.model(), servable.version(), servable.plan());
        tracing::info!(
            %model, %version, engine = self.engine, instances = plan.instances,
            cores_per_run = plan.width, weight = plan.weight,
            max_batch_size = plan.batching.rows_max,
            max_queue_delay_us = plan.batching.delay_max.as_secs_f64() * 1e6,
            golden = self.proof.golden.as_ref().map(ToString::to_string),
            replay = self.proof.facts.get("proof.replay"),
            latency_ms = self.proof.latency.map(|it| it.as_secs_f64() * 1e3),
            took_s = self.took.as_secs_f64(), "model version is available"
        );
    }
}

/// Loads a version.
pub(crate) fn load(
    (engines, cores): (&Engines, &Cores),
    job: &LoadJob,
    before: &Before,
) -> Result<Loaded, LoadError> {
    // Engines are other people's code: a panic in one costs this load, not the loader thread.
    let loaded = catch_unwind(AssertUnwindSafe(|| load_fenced((engines, cores), job, before)));
    let panicked = || LoadError::doubtful("the engine panicked; the message is in the log");
    let loaded = loaded.unwrap_or_else(|_| Err(panicked()));
    // Clients see the reason: where the repository lies is none of their business.
    let (folder, shown) =
        (job.folder.display().to_string(), format!("{}/{}", job.model, job.version));
    loaded.map_err(|it| LoadError { reason: it.reason.replace(&folder, &shown), ..it })
}

fn load_fenced(
    (engines, cores): (&Engines, &Cores),
    job: &LoadJob,
    before: &Before,
) -> Result<Loaded, LoadError> {
    let started = Instant::now();
    let config = &job.config;
    let card = card(job, &engines.artifacts())?;
    let (engine, model) = engines.load(config.engine.as_deref(), &job.folder, &config.options)?;
    let model: Arc<dyn Model> = model.into();
    let mut devices = model.devices();
    devices.truncate(config.instances.max(1));
    let device = devices.first().cloned().unwrap_or(Device::Cpu);
    let provider = model.provider();
    let lengths = AxisLengths { named: config.warmup_axes.clone(), more: 0 };
    let signature = served_signature(job, &*model, (&device, &lengths))?;
    let mut batching = config.batching.clone();
    if !signature.is_batched() {
        batching.rows_max = 1;
        batching.sizes = None;
    }
    let padding = checked_padding(job, &*model, (&device, &signature, &lengths))?;
    let subject = Subject {
        model: &*model,
        device: &device,
        signature: &signature,
        padding: &padding,
        lengths: &lengths,
    };
    let mut proof = prove(job, subject, (card.as_ref(), before), &Instant::now)?;
    let plan = Plan {
        platform: engine.platform(),
        instances: config.instances,
        inline: config.inline,
        devices: devices.clone(),
        width: config.options.intra_op_threads,
        weight: config.weight,
        batching,
        padding,
        timeout: config.timeout,
        facts: facts(&proof.facts, &devices, provider),
    };
    let warm_up = warm_up(job, (&signature, &plan.batching), lengths, proof.example.take());
    let identity = (job.model.clone(), job.version);
    let workers = Servable::start(identity, (model, signature), plan, cores, &warm_up);
    let workers = workers.map_err(|it| LoadError::doubtful(chain(&it)))?;
    Ok(Loaded { workers, engine: engine.name(), proof, took: started.elapsed() })
}

/// What is known of the version, where it runs, if that is not the processor, and which part of its engine runs it.
fn facts(
    proven: &BTreeMap<String, String>,
    devices: &[Device],
    provider: Option<&str>,
) -> BTreeMap<String, String> {
    let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let elsewhere = (devices != [Device::Cpu]).then(|| ("device".to_owned(), names.join(",")));
    let provider = provider.map(|it| ("provider".to_owned(), it.to_owned()));
    proven.clone().into_iter().chain(elsewhere).chain(provider).collect()
}

/// The model's signature, as runs bear it out; without a batch axis if requests must not be joined.
fn served_signature(
    job: &LoadJob,
    model: &dyn Model,
    (device, lengths): (&Device, &AxisLengths),
) -> Result<Signature, LoadError> {
    let mut signature = model.signature().clone();
    // Whoever wants no warm-up wants no runs with made-up inputs.
    if !job.config.warmup_rows.is_empty() {
        let mut instance = model.instance(device).map_err(no_instance)?;
        let declared = signature.outputs.clone();
        signature = borne_out(&mut *instance, signature, lengths);
        if signature.outputs != declared {
            let outputs: Vec<String> = signature.outputs.iter().map(ToString::to_string).collect();
            tracing::warn!(
                model = %job.model, version = %job.version, outputs = outputs.join(", "),
                "the file declares other output shapes than runs have: serving what runs have"
            );
        }
    }
    if !signature.is_batched() {
        return Ok(signature);
    }
    if job.config.batching.rows_max == 0 {
        return Ok(signature.unbatched());
    }
    if !job.config.probe_rows || job.config.batching.rows_max == 1 {
        return Ok(signature);
    }
    let mut instance = model.instance(device).map_err(no_instance)?;
    let (model, version) = (&job.model, job.version);
    match probe(&mut *instance, &signature, lengths) {
        Verdict::Independent => Ok(signature),
        Verdict::Mixed(what) => {
            tracing::warn!(%model, %version, what, "rows depend on their neighbours: serving each request alone");
            Ok(signature.unbatched())
        }
        Verdict::Unknown(reason) => {
            tracing::info!(%model, %version, reason, "whether rows stand alone could not be checked");
            Ok(signature)
        }
    }
}

/// What the model's requests are padded to; an error if it cannot be padded like that.
fn checked_padding(
    job: &LoadJob,
    model: &dyn Model,
    (device, signature, lengths): (&Device, &Signature, &AxisLengths),
) -> Result<Padding, LoadError> {
    let config = &job.config.padding;
    let padding = config.resolve(signature).map_err(LoadError::lasting)?;
    if config.axes.is_empty() || !config.check {
        return Ok(padding);
    }
    let mut instance = model.instance(device).map_err(no_instance)?;
    match leak(&mut *instance, signature, (config, &padding), lengths) {
        Verdict::Independent => Ok(padding),
        Verdict::Mixed(what) => Err(LoadError::lasting(format!(
            "padding changes the model's answers: {what}. It needs a mask that padding.values \
             closes; padding.check = false serves it all the same"
        ))),
        Verdict::Unknown(reason) => {
            let (model, version) = (&job.model, job.version);
            tracing::info!(%model, %version, reason, "whether padding changes answers could not be checked");
            Ok(padding)
        }
    }
}

fn no_instance(error: BackendError) -> LoadError {
    LoadError::doubtful(error.to_string())
}

/// Zeros for every input.
pub(crate) fn zeros(
    signature: &Signature,
    (rows, lengths): (usize, &AxisLengths),
) -> Result<Vec<Tensor>, String> {
    let zeros = |spec: &TensorSpec| Ok(Tensor::zeroed(spec.dtype, lengths.shape(spec, rows)?));
    signature.inputs.iter().map(zeros).collect()
}

/// Lengths for free axes of made-up inputs, by name; 1 where nothing is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct AxisLengths {
    /// What the configuration says.
    pub(crate) named: BTreeMap<String, usize>,
    /// Added to every length.
    pub(crate) more: usize,
}

impl AxisLengths {
    /// Every free axis by one longer.
    pub(crate) fn longer(mut self) -> AxisLengths {
        self.more += 1;
        self
    }

    /// Is no length of any input made up?
    pub(crate) fn settle(&self, signature: &Signature) -> bool {
        let said = |dim: &Dim| match dim {
            Dim::Fixed(_) | Dim::Rows => true,
            Dim::Free(name) => **name == *UNBATCHED_ROWS || self.named.contains_key(&**name),
        };
        signature.inputs.iter().flat_map(|it| &it.dims).all(said)
    }

    /// The spec's shape at so many rows.
    pub(crate) fn shape(&self, spec: &TensorSpec, rows: usize) -> Result<Shape, String> {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => *length,
            Dim::Rows => rows,
            Dim::Free(name) => self.named.get(&**name).copied().unwrap_or(1) + self.more,
        };
        Shape::new(&spec.dims.iter().map(length).collect::<Vec<_>>()).map_err(|it| it.to_string())
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        if !text.contains(&it.to_string()) {
            text.push_str(&format!(": {it}"));
        }
        cause = it.source();
    }
    text
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
