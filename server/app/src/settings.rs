//! What the server runs with: flags and environment over the file over the defaults, checked once.
//!
//! Every fault of flags, environment, file and their combination is reported, each with its key.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use server_base::limits;
use server_base::settings::Section;
use server_frontend::ConnectionLimits;
use server_lifecycle::{LoadPolicy, Transition};
use server_serving::AdmissionLimits;
use server_supply::Target;
use tracing_subscriber::filter::Targets;

use crate::cli::{
    Libraries, LoadArg, LogFormat, PlaceArgs, SchedulerArg, ServeArgs, TransitionArg,
};
use crate::prediction_log::LogSettings;
use crate::rollouts::Meeting;
use crate::{built, triggers, wanted};

/// Checked settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The model repository; empty if all models come from registries.
    pub model_repository: PathBuf,
    /// Models of registries.
    pub targets: Vec<Target>,
    /// Where these are kept.
    pub place: PlaceArgs,
    /// Where rollouts are written down; `None`: a restart forgets them.
    pub state: Option<PathBuf>,
    /// Where replicas meet that drive rollouts together; `None`: each drives its own.
    pub rollout_share: Option<Meeting>,
    /// How often rollouts are looked at.
    pub rollout_interval: Duration,
    /// Where the secret of registries' webhooks is read; `None`: none are taken.
    pub webhook_secret_file: Option<PathBuf>,
    /// Address of every port.
    pub host: IpAddr,
    /// 0 is any free one.
    pub http_port: u16,
    /// May equal the HTTP port.
    pub grpc_port: u16,
    /// 0 is any free one.
    pub metrics_port: u16,
    /// Where engines lie; looked for where nothing is said.
    pub libraries: Libraries,
    /// Cores this process may use.
    pub cores: usize,
    /// Instances of a version.
    pub instances: usize,
    /// Who runs next.
    pub scheduler: SchedulerArg,
    /// Threads of the data runtime.
    pub worker_threads: usize,
    /// Loads at a time.
    pub loader_threads: usize,
    /// How models move between versions.
    pub transition: Transition,
    /// When models are loaded.
    pub load: LoadPolicy,
    /// Models in memory at a time, if that is limited.
    pub loaded_models_max: Option<usize>,
    /// Bytes of memory that models may take, if that is limited.
    pub model_memory_max: Option<u64>,
    /// How often the repository is looked at.
    pub scan_interval: Duration,
    /// How long a folder must be at rest.
    pub rest: Duration,
    /// Is a model without any available version a reason not to be ready?
    pub strict_readiness: bool,
    /// Largest request.
    pub request_bytes_max: usize,
    /// The budget of the house.
    pub admission: AdmissionLimits,
    /// Connections of one port.
    pub connections_max: usize,
    /// Memory that clients may share with the server; `None`: they may not.
    pub regions: Option<server_regions::Limits>,
    /// May that be a GPU's?
    pub gpu_regions: bool,
    /// Time to drain.
    pub drain: Duration,
    /// Where predictions are logged; `None`: nowhere.
    pub log: Option<LogSettings>,
    /// What asks for retraining, and whom.
    pub triggers: triggers::Config,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
}

/// A number's key in the file, and what it may be, wherever it comes from.
pub(crate) type Number = (&'static str, RangeInclusive<usize>);

const DAY_MS: usize = 86_400_000;
const PORTS: RangeInclusive<usize> = 0..=65_535;
const HTTP_PORT: Number = ("http_port", PORTS);
const GRPC_PORT: Number = ("grpc_port", PORTS);
const METRICS_PORT: Number = ("metrics_port", PORTS);
const INSTANCES: Number = ("instances", 1..=limits::INSTANCES_MAX);
const WORKER_THREADS: Number = ("worker_threads", 1..=limits::THREADS_MAX);
const LOADER_THREADS: Number = ("loader_threads", 1..=limits::THREADS_MAX);
/// More folders than a repository has; 0 is no limit.
const LOADED_MODELS_MAX: Number = ("loaded_models_max", 0..=1 << 20);
/// No bound of its own; 0 is no limit.
const MODEL_MEMORY_MAX: Number = ("model_memory_max", 0..=usize::MAX >> 1);
/// Oftener, and looking at the folder would be all that its thread does.
const SCAN_INTERVAL_MS: Number = ("scan_interval_ms", 10..=DAY_MS);
/// Seldomer than a minute, and a bad candidate stays for long.
const ROLLOUT_INTERVAL_MS: Number = ("rollout_interval_ms", 10..=60_000);
const REST_MS: Number = ("rest_ms", 0..=DAY_MS);
const REQUEST_BYTES_MAX: Number = ("request_bytes_max", 1..=limits::REQUEST_BYTES_MAX);
/// No bound of their own, but what one more is added to does not overflow.
const IN_FLIGHT_REQUESTS_MAX: Number = ("in_flight_requests_max", 1..=usize::MAX >> 1);
const IN_FLIGHT_BYTES_MAX: Number = ("in_flight_bytes_max", 1..=usize::MAX >> 1);
/// Less, and no model fits.
const CACHE_BYTES_MAX: Number = ("cache_bytes_max", 1 << 20..=usize::MAX >> 1);
const CONNECTIONS_MAX: Number = ("connections_max", 1..=1 << 20);
/// Less is no memory; sums of it do not overflow.
const CLIENT_SHM_BYTES_MAX: Number = ("client_shm_bytes_max", 1..=usize::MAX >> 1);
const DRAIN_TIMEOUT_S: Number = ("drain_timeout_s", 0..=DAY_MS / 1_000);

impl Settings {
    /// Puts flags and environment (`args`) over the text of a file.
    pub fn new(args: ServeArgs, file: Option<&str>) -> Result<Settings, Vec<String>> {
        let table: toml::Table = match file.map(str::parse).transpose() {
            Ok(table) => table.unwrap_or_default(),
            Err(error) => return Err(vec![format!("{error}")]),
        };
        let mut root = Section::root(&table);
        let cores = available_parallelism().map_or(1, usize::from);
        // Faulty ones count too: who names models of registries needs no folder.
        let names_models = !args.models.is_empty() || table.contains_key("model");
        let targets = wanted::targets(&args.models, &mut root);
        let mut args = over_file(args, &mut root);
        let share = args.rollout_share.take().and_then(|it| Meeting::read(&it, &mut root));
        let log = LogSettings::new(std::mem::take(&mut args.log), &mut root);
        let triggers = triggers::Config::read(&mut root);
        let defaults = with_defaults(args, targets, cores);
        let settings = Settings { rollout_share: share, log, triggers, ..defaults };
        check(&settings, names_models, &mut root);
        root.finish(settings)
    }
}

impl Settings {
    /// What is allowed and may not be what was meant.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let cores = self.cores;
        let numbers = [("instances", self.instances), ("worker_threads", self.worker_threads)];
        let more = numbers.into_iter().filter(|(_, it)| *it > cores);
        more.map(|(key, it)| format!("{key}: {it}, and there are {cores} cores")).collect()
    }
}

/// Where engines' libraries are.
fn libraries_over_file(args: Libraries, root: &mut Section<'_>) -> Libraries {
    let path = |it: &toml::Value| {
        it.as_str().map(PathBuf::from).ok_or(format!("{it} is no path in quotes"))
    };
    Libraries {
        onnxruntime_library: args.onnxruntime_library.or(root.with("onnxruntime_library", path)),
        openvino_dir: args.openvino_dir.or(root.with("openvino_dir", path)),
        litert_library: args.litert_library.or(root.with("litert_library", path)),
        pjrt_plugin: args.pjrt_plugin.or(root.with("pjrt_plugin", path)),
        pjrt_options: args.pjrt_options.or(root.text("pjrt_options").map(str::to_owned)),
        pjrt_cache: args.pjrt_cache.or(root.with("pjrt_cache", path)),
        nvml_library: args.nvml_library.or(root.with("nvml_library", path)),
    }
}

/// Takes from the file what the arguments leave open.
fn over_file(args: ServeArgs, root: &mut Section<'_>) -> ServeArgs {
    let address = |it: &toml::Value| {
        let parsed = it.as_str().and_then(|it| it.parse::<IpAddr>().ok());
        parsed.ok_or(format!("{it} is no IP address in quotes"))
    };
    let http_port = number(args.http_port, root, HTTP_PORT);
    let grpc_port = number(args.grpc_port, root, GRPC_PORT);
    let metrics_port = number(args.metrics_port, root, METRICS_PORT);
    let instances = number(args.instances, root, INSTANCES);
    let worker_threads = number(args.worker_threads, root, WORKER_THREADS);
    let loader_threads = number(args.loader_threads, root, LOADER_THREADS);
    let loaded_models_max = number(args.loaded_models_max, root, LOADED_MODELS_MAX);
    let model_memory_max = number(args.model_memory_max, root, MODEL_MEMORY_MAX);
    let scan_interval_ms = number(args.scan_interval_ms, root, SCAN_INTERVAL_MS);
    let rest_ms = number(args.rest_ms, root, REST_MS);
    let rollout_interval_ms = number(args.rollout_interval_ms, root, ROLLOUT_INTERVAL_MS);
    let request_bytes_max = number(args.request_bytes_max, root, REQUEST_BYTES_MAX);
    let in_flight_requests_max = number(args.in_flight_requests_max, root, IN_FLIGHT_REQUESTS_MAX);
    let in_flight_bytes_max = number(args.in_flight_bytes_max, root, IN_FLIGHT_BYTES_MAX);
    let connections_max = number(args.connections_max, root, CONNECTIONS_MAX);
    let client_shm_bytes_max = number(args.client_shm_bytes_max, root, CLIENT_SHM_BYTES_MAX);
    let drain_timeout_s = number(args.drain_timeout_s, root, DRAIN_TIMEOUT_S);
    let rollout_share = args.rollout_share.or(root.text("rollout_share").map(str::to_owned));
    let rollouts = [
        ("rollout_share", rollout_share.is_some()),
        ("rollout_interval_ms", rollout_interval_ms.is_some()),
    ];
    built::ROLLOUTS.check(rollouts, root);
    let transition =
        [("availability", TransitionArg::Availability), ("resources", TransitionArg::Resources)];
    let loads = [("eager", LoadArg::Eager), ("lazy", LoadArg::Lazy)];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let schedulers = [("fair", SchedulerArg::Fair), ("off", SchedulerArg::Off)];
    let place = place_over_file(args.place, root);
    ServeArgs {
        models: args.models,
        place,
        config: args.config,
        model_repository: args.model_repository.or(root.with("model_repository", path)),
        state: args.state.or(root.with("state", path)),
        rollout_share,
        rollout_interval_ms,
        webhook_secret_file: args.webhook_secret_file.or(root.with("webhook_secret_file", path)),
        host: args.host.or(root.with("host", address)),
        http_port,
        grpc_port,
        metrics_port,
        libraries: libraries_over_file(args.libraries, root),
        instances,
        scheduler: args.scheduler.or(root.choice("scheduler", &schedulers)),
        worker_threads,
        loader_threads,
        transition: args.transition.or(root.choice("transition", &transition)),
        load: args.load.or(root.choice("load", &loads)),
        loaded_models_max,
        model_memory_max,
        scan_interval_ms,
        rest_ms,
        strict_readiness: args.strict_readiness.or(root.boolean("strict_readiness")),
        request_bytes_max,
        in_flight_requests_max,
        in_flight_bytes_max,
        connections_max,
        allow_client_shm: args.allow_client_shm.or(root.boolean("allow_client_shm")),
        allow_client_cuda_shm: args.allow_client_cuda_shm.or(root.boolean("allow_client_cuda_shm")),
        client_shm_bytes_max,
        drain_timeout_s,
        log: args.log,
        log_format: args.log_format.or(root.choice("log_format", &formats)),
        log_level: args.log_level.or(root.text("log_level").map(str::to_owned)),
    }
}

/// The same for where models of registries are kept.
fn place_over_file(args: PlaceArgs, root: &mut Section<'_>) -> PlaceArgs {
    let paths = |it: &toml::Value| {
        let paths = it.as_array().map(|it| it.iter().map(path).collect());
        paths.unwrap_or_else(|| Err(format!("{it} is no list of paths in quotes")))
    };
    let signers = root.with("signer", paths).unwrap_or_default();
    let allowed = root.boolean("allow_private_addresses");
    PlaceArgs {
        cache: args.cache.or(root.with("cache", path)),
        cache_bytes_max: number(args.cache_bytes_max, root, CACHE_BYTES_MAX),
        lock: args.lock.or(root.with("lock", path)),
        signer: if args.signer.is_empty() { signers } else { args.signer },
        allow_private_addresses: args.allow_private_addresses.or(allowed),
    }
}

fn path(value: &toml::Value) -> Result<PathBuf, String> {
    value.as_str().map(PathBuf::from).ok_or_else(|| format!("{value} is no path in quotes"))
}

/// The flag's number, else the file's. One that is out of range is a fault, whoever gave it.
pub(crate) fn number<T>(flag: Option<T>, root: &mut Section<'_>, (key, range): Number) -> Option<T>
where
    T: Copy + Display + TryFrom<usize>,
    usize: TryFrom<T>,
{
    let in_file = root.integer(key, range.clone()).and_then(|it| T::try_from(it).ok());
    let Some(flag) = flag else { return in_file };
    if !usize::try_from(flag).is_ok_and(|it| range.contains(&it)) {
        let (low, high) = (range.start(), range.end());
        root.fault(key, &format!("{flag} is not a whole number from {low} to {high}"));
    }
    Some(flag)
}

fn with_defaults(args: ServeArgs, targets: Vec<Target>, cores: usize) -> Settings {
    let door = AdmissionLimits::default();
    Settings {
        // Empty is a fault: see `check`.
        model_repository: args.model_repository.unwrap_or_default(),
        targets,
        place: args.place,
        state: args.state,
        rollout_share: None,
        rollout_interval: Duration::from_millis(args.rollout_interval_ms.unwrap_or(1_000)),
        webhook_secret_file: args.webhook_secret_file,
        host: args.host.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        http_port: args.http_port.unwrap_or(8000),
        grpc_port: args.grpc_port.unwrap_or(8001),
        metrics_port: args.metrics_port.unwrap_or(8002),
        libraries: args.libraries,
        cores,
        instances: args.instances.unwrap_or(cores),
        scheduler: args.scheduler.unwrap_or_default(),
        worker_threads: args.worker_threads.unwrap_or(cores),
        // Loading is reading and parsing; more at a time would take the cores from the requests.
        loader_threads: args.loader_threads.unwrap_or(cores.min(4)),
        transition: match args.transition.unwrap_or_default() {
            TransitionArg::Availability => Transition::Availability,
            TransitionArg::Resources => Transition::Resources,
        },
        load: match args.load.unwrap_or_default() {
            LoadArg::Eager => LoadPolicy::Eager,
            LoadArg::Lazy => LoadPolicy::Lazy,
        },
        loaded_models_max: args.loaded_models_max.filter(|it| *it > 0),
        model_memory_max: args.model_memory_max.filter(|it| *it > 0).map(|it| it as u64),
        scan_interval: Duration::from_millis(args.scan_interval_ms.unwrap_or(1_000)),
        rest: Duration::from_millis(args.rest_ms.unwrap_or(1_000)),
        strict_readiness: args.strict_readiness.unwrap_or(false),
        request_bytes_max: args.request_bytes_max.unwrap_or(limits::REQUEST_BYTES),
        admission: AdmissionLimits {
            requests_max: args.in_flight_requests_max.unwrap_or(door.requests_max),
            bytes_max: args.in_flight_bytes_max.unwrap_or(door.bytes_max),
        },
        connections_max: args
            .connections_max
            .unwrap_or(ConnectionLimits::default().connections_max),
        gpu_regions: args.allow_client_cuda_shm.unwrap_or(false),
        regions: args.allow_client_shm.unwrap_or(false).then(|| {
            let limits = server_regions::Limits::default();
            let bytes_max = args.client_shm_bytes_max.map_or(limits.bytes_max, |it| it as u64);
            server_regions::Limits { bytes_max, ..limits }
        }),
        drain: args.drain_timeout_s.map_or(limits::DRAIN, Duration::from_secs),
        log: None,
        triggers: triggers::Config::default(),
        log_format: args.log_format.unwrap_or_default(),
        log_level: args.log_level.unwrap_or_else(|| "info".to_owned()),
    }
}

/// What no single number can tell.
fn check(settings: &Settings, names_models: bool, root: &mut Section<'_>) {
    if settings.model_repository.as_os_str().is_empty() && !names_models {
        let text = "is not set: name the folder that holds the models, or a --model of a registry";
        root.fault("model_repository", text);
    }
    for (key, port) in [("http_port", settings.http_port), ("grpc_port", settings.grpc_port)] {
        if port != 0 && port == settings.metrics_port {
            root.fault("metrics_port", &format!("{port} is the {key} too"));
        }
    }
    if settings.gpu_regions && settings.regions.is_none() {
        root.fault("allow_client_cuda_shm", "true needs allow_client_shm, which is false");
    }
    built::NVML.check([("allow_client_cuda_shm", settings.gpu_regions)], root);
    let (request, house) = (settings.request_bytes_max, settings.admission.bytes_max);
    if request > house {
        let text = format!("{house} is less than request_bytes_max, {request}");
        root.fault("in_flight_bytes_max", &text);
    }
    if let Err(error) = settings.log_level.parse::<Targets>() {
        root.fault("log_level", &format!("{:?}: {error}", settings.log_level));
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
