//! What stands in `model.toml`: everything about a model that cannot be guessed.
//!
//! No key is needed. Every fault is reported, with its key; nothing else reads the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backend_api::{Optimization, Options, Precision};
use server_base::settings::Section;
use server_base::{LogConfig, TruthConfig, Version, VersionChoice, limits};
use server_drift::MonitorPlan;
use server_serving::{Batching, Sizes};

use crate::contradictions;
use crate::declared;
use crate::gpu;
use crate::litert;
use crate::logging;
use crate::monitoring;
use crate::padding::{PaddingConfig, sizes};
use crate::plan::{self, Plan};
use crate::policy::Transition;
use crate::proof::ProofConfig;
use crate::traffic::{self, TrafficConfig};
use crate::truth;

/// Longest time without a request after which a model may be unloaded: a year, to be finite.
const IDLE_UNLOAD_S_MAX: usize = 365 * 86_400;

/// Longest time for which a replaced version stays loaded: a month, as a rollout's.
const ROLLBACK_WINDOW_S_MAX: usize = 31 * 86_400;

/// When a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadPolicy {
    /// As soon as it is there.
    #[default]
    Eager,
    /// When the first request asks for it.
    Lazy,
}

/// What models get that do not say otherwise. The application fills it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Instances of a version.
    pub instances: usize,
    /// How a model moves from version to version.
    pub transition: Transition,
    /// When a model is loaded.
    pub load: LoadPolicy,
    /// Names of the engines that a model may ask for.
    pub engines: Vec<&'static str>,
}

/// A model of weight 1 beside one of this weight gets a thousandth: less is nothing.
const WEIGHT_MAX: usize = 1_000;

/// Which versions of a model are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionPolicy {
    /// So many of the newest.
    Latest(usize),
    /// Every one.
    All,
    /// These, as far as they are there.
    Specific(BTreeSet<Version>),
}

/// A checked `model.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The engine's name; `None` is whichever can.
    pub engine: Option<String>,
    /// Which versions are wanted.
    pub versions: VersionPolicy,
    /// What is loaded while nothing of these can be.
    pub fallback: Option<Version>,
    /// How the model moves between them.
    pub transition: Transition,
    /// When it is loaded.
    pub load: LoadPolicy,
    /// Loaded on demand and unused for so long, it is unloaded; `None` is never.
    pub idle_unload: Option<Duration>,
    /// Names for versions.
    pub labels: BTreeMap<String, Version>,
    /// How requests that name no version are shared out.
    pub traffic: TrafficConfig,
    /// How long a version that was replaced at once stays loaded.
    pub rollback_window: Duration,
    /// How a new version takes over; `None`: at once.
    pub rollout: Option<Arc<Plan>>,
    /// How requests are joined; `rows_max` 0 means never.
    pub batching: Batching,
    /// What requests are padded to.
    pub padding: PaddingConfig,
    /// What a version has to prove before it is ready.
    pub proof: ProofConfig,
    /// Is it checked at load that rows do not depend on their neighbours?
    pub probe_rows: bool,
    /// How long a request may take that does not say.
    pub timeout: Duration,
    /// Instances of each version.
    pub instances: usize,
    /// How much of the processor it gets beside other models.
    pub weight: u32,
    /// May short runs run on the threads that speak to clients?
    pub inline: bool,
    /// What the engine is told.
    pub options: Options,
    /// Row counts of the runs before a version is ready.
    pub warmup_rows: Vec<usize>,
    /// Lengths for free axes in these runs, by the axis's name.
    pub warmup_axes: BTreeMap<String, usize>,
    /// What of its predictions is logged; `None`: nothing.
    pub log: Option<LogConfig>,
    /// How its data is watched; `None`: not at all.
    pub drift: Option<MonitorPlan>,
    /// What its answers are compared with; `None`: nothing.
    pub truth: Option<TruthConfig>,
}

impl ModelConfig {
    /// What a model without a file gets.
    pub fn defaults(defaults: &Defaults) -> ModelConfig {
        let batching = Batching::default();
        ModelConfig {
            engine: None,
            versions: VersionPolicy::Latest(1),
            fallback: None,
            transition: defaults.transition,
            load: defaults.load,
            idle_unload: None,
            labels: BTreeMap::new(),
            traffic: TrafficConfig::default(),
            rollback_window: Duration::ZERO,
            rollout: None,
            warmup_rows: vec![1, batching.rows_max],
            batching,
            padding: PaddingConfig::default(),
            proof: ProofConfig::default(),
            probe_rows: true,
            timeout: limits::REQUEST_TIMEOUT,
            instances: defaults.instances,
            weight: 1,
            inline: true,
            options: Options { instances: defaults.instances, ..Options::default() },
            warmup_axes: BTreeMap::new(),
            log: None,
            drift: None,
            truth: None,
        }
    }

    /// Reads a file's text.
    pub fn parse(text: &str, defaults: &Defaults) -> Result<ModelConfig, Vec<String>> {
        let table: toml::Table =
            text.parse().map_err(|it: toml::de::Error| vec![it.to_string()])?;
        let mut config = ModelConfig::defaults(defaults);
        let mut root = Section::root(&table);
        config.read(&mut root, defaults);
        root.finish(config)
    }

    fn read(&mut self, root: &mut Section<'_>, defaults: &Defaults) {
        let named = defaults.engines.iter().map(|it| (*it, Some((*it).to_owned())));
        let engines: Vec<_> = named.chain([("auto", None)]).collect();
        set(&mut self.engine, root.choice("engine", &engines));
        set(&mut self.options.device, gpu::device(root));
        let precisions = [("f32", Precision::F32), ("bf16", Precision::Bf16)];
        set(&mut self.options.precision, root.choice("precision", &precisions));
        set(&mut self.versions, root.with("version_policy", versions));
        let number = |it: &toml::Value| version(it).ok_or_else(|| format!("{it} is no version"));
        self.fallback = root.with("fallback_version", number);
        let transitions =
            [("availability", Transition::Availability), ("resources", Transition::Resources)];
        set(&mut self.transition, root.choice("transition", &transitions));
        let loads = [("eager", LoadPolicy::Eager), ("lazy", LoadPolicy::Lazy)];
        set(&mut self.load, root.choice("load", &loads));
        if let Some(seconds) = root.integer("idle_unload_s", 0..=IDLE_UNLOAD_S_MAX) {
            self.idle_unload = Some(Duration::from_secs(seconds as u64)).filter(|_| seconds > 0);
        }
        if let Some(seconds) = root.integer("rollback_window_s", 0..=ROLLBACK_WINDOW_S_MAX) {
            self.rollback_window = Duration::from_secs(seconds as u64);
        }
        set(&mut self.labels, root.with("labels", labels));
        set(&mut self.traffic, root.section("traffic", TrafficConfig::read));
        self.rollout = root.with("rollout", plan::read);
        set(&mut self.timeout, millis(root, "timeout_ms", limits::REQUEST_TIMEOUT_MAX));
        if let Some(rows) = root.integer("max_batch_size", 0..=limits::BATCH_ROWS_MAX) {
            self.batching.rows_max = rows;
            self.warmup_rows = if rows > 1 { vec![1, rows] } else { vec![1] };
        }
        root.section("dynamic_batching", |it| self.read_batching(it));
        set(&mut self.padding, root.section("padding", PaddingConfig::read));
        set(&mut self.proof, root.section("proof", ProofConfig::read));
        root.section("instances", |it| self.read_instances(it));
        root.section("scheduling", |it| {
            let weight = it.integer("weight", 1..=WEIGHT_MAX);
            set(&mut self.weight, weight.and_then(|it| u32::try_from(it).ok()));
        });
        root.section("warmup", |it| self.read_warmup(it));
        self.log = root.section("log", logging::read);
        self.drift = root.with("drift", monitoring::plan);
        self.truth = root.section("truth", truth::read);
        let session = root.section("onnxruntime", |it| self.read_onnxruntime(it)).is_some();
        let wish = self.options.device.clone();
        self.options.delegate = root.section("litert", |it| litert::read(it, &wish));
        litert::check(self, root);
        gpu::check(&self.options.device, &self.options.session.gpu, root);
        gpu::settle_graphs(self, root);
        contradictions::check(self, root, session);
        traffic::check(self, root);
        declared::check(self, root);
        monitoring::check(self, root);
        truth::check(self, root);
    }

    fn read_batching(&mut self, section: &mut Section<'_>) {
        let delay_max = usize::try_from(limits::QUEUE_DELAY_MAX.as_micros()).unwrap_or(usize::MAX);
        if let Some(delay) = section.integer("max_queue_delay_us", 0..=delay_max) {
            self.batching.delay_max = Duration::from_micros(delay as u64);
        }
        let queue = section.integer("max_queue_size", 1..=limits::QUEUE_REQUESTS_MAX);
        set(&mut self.batching.queue_max, queue);
        let elements = section.integer("max_batch_elements", 1..=limits::BATCH_ELEMENTS_MAX);
        set(&mut self.batching.elements_max, elements);
        let rows_max = self.batching.rows_max.max(1);
        let allowed = section.with("allowed_batch_sizes", |it| batch_sizes(it, rows_max));
        if let Some(allowed) = allowed {
            self.warmup_rows = allowed.all().to_vec();
            self.batching.sizes = Some(allowed);
        }
        set(&mut self.probe_rows, section.boolean("probe_rows"));
    }

    fn read_instances(&mut self, section: &mut Section<'_>) {
        set(&mut self.instances, section.integer("count", 1..=limits::INSTANCES_MAX));
        let options = &mut self.options;
        options.instances = self.instances;
        let threads = 1..=limits::THREADS_MAX;
        set(&mut options.intra_op_threads, section.integer("intra_op_threads", threads.clone()));
        set(&mut options.inter_op_threads, section.integer("inter_op_threads", threads));
        set(&mut options.spinning, section.boolean("spinning"));
        set(&mut self.inline, section.boolean("inline"));
    }

    fn read_onnxruntime(&mut self, section: &mut Section<'_>) {
        let session = &mut self.options.session;
        let levels = [
            ("off", Optimization::Off),
            ("basic", Optimization::Basic),
            ("extended", Optimization::Extended),
            ("all", Optimization::All),
        ];
        set(&mut session.optimization, section.choice("optimization", &levels));
        set(&mut session.arena, section.boolean("arena"));
        set(&mut session.memory_pattern, section.boolean("memory_pattern"));
        set(&mut session.prepacking, section.boolean("prepacking"));
        set(&mut session.quantized_precision, section.boolean("quantized_precision"));
        session.io_binding = section.boolean("io_binding");
        session.gpu = gpu::options(section);
    }

    fn read_warmup(&mut self, section: &mut Section<'_>) {
        let rows_max = self.batching.rows_max.max(1);
        set(&mut self.warmup_rows, section.with("batch_sizes", |it| rows(it, rows_max)));
        set(&mut self.warmup_axes, section.with("axes", axes));
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn millis(section: &mut Section<'_>, key: &'static str, max: Duration) -> Option<Duration> {
    let max = usize::try_from(max.as_millis()).unwrap_or(usize::MAX);
    section.integer(key, 1..=max).map(|it| Duration::from_millis(it as u64))
}

/// `"all"`, `{ latest = 2 }` or `{ specific = [1, 3] }`.
fn versions(value: &toml::Value) -> Result<VersionPolicy, String> {
    let expected =
        || format!("{value} is none of \"all\", {{ latest = N }}, {{ specific = [N, ...] }}");
    if value.as_str() == Some("all") {
        return Ok(VersionPolicy::All);
    }
    let table = value.as_table().filter(|it| it.len() == 1).ok_or_else(expected)?;
    let count = |it: &toml::Value| {
        it.as_integer().and_then(|it| usize::try_from(it).ok()).filter(|&it| it > 0)
    };
    if let Some(latest) = table.get("latest") {
        return count(latest).map(VersionPolicy::Latest).ok_or_else(expected);
    }
    let list = table.get("specific").and_then(toml::Value::as_array).ok_or_else(expected)?;
    let numbers: Option<BTreeSet<Version>> = list.iter().map(version).collect();
    numbers.filter(|it| !it.is_empty()).map(VersionPolicy::Specific).ok_or_else(expected)
}

fn version(value: &toml::Value) -> Option<Version> {
    value.as_integer().and_then(|it| u64::try_from(it).ok()).filter(|&it| it > 0).map(Version)
}

/// `stable = 1`, `canary = 2`.
fn labels(value: &toml::Value) -> Result<BTreeMap<String, Version>, String> {
    let table = value.as_table().ok_or_else(|| format!("{value} is not a table"))?;
    let label = |(name, value): (&String, &toml::Value)| {
        if !matches!(VersionChoice::parse(name), Ok(VersionChoice::Label(_))) {
            return Err(format!("{name:?} is no label: a letter, then letters, digits, - _ ."));
        }
        let version =
            version(value).ok_or_else(|| format!("{name} = {value}: expected a version from 1"))?;
        Ok((name.clone(), version))
    };
    table.iter().map(label).collect()
}

/// Ascending row counts, the last of them the largest batch: any batch has one to be filled up to.
fn batch_sizes(value: &toml::Value, rows_max: usize) -> Result<Sizes, String> {
    let sizes = sizes(value, rows_max)?;
    if sizes.max() != rows_max {
        return Err(format!("{value}: the last must be max_batch_size, which is {rows_max}"));
    }
    Ok(sizes)
}

fn rows(value: &toml::Value, rows_max: usize) -> Result<Vec<usize>, String> {
    let expected = || format!("{value} is not a list of row counts from 1 to {rows_max}");
    let list = value.as_array().ok_or_else(expected)?;
    let count = |it: &toml::Value| it.as_integer().and_then(|it| usize::try_from(it).ok());
    let counts: Option<Vec<usize>> =
        list.iter().map(|it| count(it).filter(|it| (1..=rows_max).contains(it))).collect();
    counts.ok_or_else(expected)
}

fn axes(value: &toml::Value) -> Result<BTreeMap<String, usize>, String> {
    let expected = || format!("{value} is not a table of axis names and lengths from 1");
    let table = value.as_table().ok_or_else(expected)?;
    let length = |it: &toml::Value| {
        it.as_integer().and_then(|it| usize::try_from(it).ok()).filter(|&it| it > 0)
    };
    let entry = |(name, it): (&String, &toml::Value)| length(it).map(|it| (name.clone(), it));
    table.iter().map(entry).collect::<Option<_>>().ok_or_else(expected)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
