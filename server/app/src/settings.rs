//! What the server runs with: flags and environment over the file over the defaults, checked once.
//!
//! Every fault of the file and of the combination is reported, each with its key.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use server_base::limits;
use server_base::settings::Section;
use server_frontend::ConnectionLimits;
use server_lifecycle::Transition;
use server_serving::AdmissionLimits;

use crate::cli::{Libraries, LogFormat, ServeArgs, TransitionArg};

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The model repository.
    pub model_repository: PathBuf,
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
    /// Threads of the data runtime.
    pub worker_threads: usize,
    /// Loads at a time.
    pub loader_threads: usize,
    /// How models move between versions.
    pub transition: Transition,
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
    /// Time to drain.
    pub drain: Duration,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
}

const PORTS: RangeInclusive<usize> = 0..=65_535;
const THREADS: RangeInclusive<usize> = 1..=limits::THREADS_MAX;
const DAY_MS: usize = 86_400_000;

impl Settings {
    /// Puts flags and environment (`args`) over the text of a file.
    pub fn new(args: ServeArgs, file: Option<&str>) -> Result<Settings, Vec<String>> {
        let table: toml::Table = match file.map(str::parse).transpose() {
            Ok(table) => table.unwrap_or_default(),
            Err(error) => return Err(vec![format!("{error}")]),
        };
        let mut root = Section::root(&table);
        let cores = available_parallelism().map_or(1, usize::from);
        let args = over_file(args, &mut root);
        let settings = with_defaults(args, cores);
        check(&settings, &mut root);
        root.finish(settings)
    }
}

/// Takes from the file what the arguments leave open.
fn over_file(args: ServeArgs, root: &mut Section<'_>) -> ServeArgs {
    let path = |it: &toml::Value| {
        it.as_str().map(PathBuf::from).ok_or(format!("{it} is no path in quotes"))
    };
    let address = |it: &toml::Value| {
        let parsed = it.as_str().and_then(|it| it.parse::<IpAddr>().ok());
        parsed.ok_or(format!("{it} is no IP address in quotes"))
    };
    let mut integer = |key, range| root.integer(key, range);
    let port = |it: Option<usize>| it.and_then(|it| u16::try_from(it).ok());
    let http_port = port(integer("http_port", PORTS));
    let grpc_port = port(integer("grpc_port", PORTS));
    let metrics_port = port(integer("metrics_port", PORTS));
    let instances = integer("instances", 1..=limits::INSTANCES_MAX);
    let worker_threads = integer("worker_threads", THREADS);
    let loader_threads = integer("loader_threads", THREADS);
    let scan_interval_ms = integer("scan_interval_ms", 10..=DAY_MS).map(|it| it as u64);
    let rest_ms = integer("rest_ms", 0..=DAY_MS).map(|it| it as u64);
    let request_bytes_max = integer("request_bytes_max", 1..=limits::REQUEST_BYTES_MAX);
    let in_flight_requests_max = integer("in_flight_requests_max", 1..=usize::MAX >> 1);
    let in_flight_bytes_max = integer("in_flight_bytes_max", 1..=usize::MAX >> 1);
    let connections_max = integer("connections_max", 1..=1 << 20);
    let drain_timeout_s = integer("drain_timeout_s", 0..=DAY_MS / 1_000).map(|it| it as u64);
    let transition =
        [("availability", TransitionArg::Availability), ("resources", TransitionArg::Resources)];
    ServeArgs {
        config: args.config,
        model_repository: args.model_repository.or(root.with("model_repository", path)),
        host: args.host.or(root.with("host", address)),
        http_port: args.http_port.or(http_port),
        grpc_port: args.grpc_port.or(grpc_port),
        metrics_port: args.metrics_port.or(metrics_port),
        libraries: Libraries {
            onnxruntime_library: args
                .libraries
                .onnxruntime_library
                .or(root.with("onnxruntime_library", path)),
            openvino_dir: args.libraries.openvino_dir.or(root.with("openvino_dir", path)),
        },
        instances: args.instances.or(instances),
        worker_threads: args.worker_threads.or(worker_threads),
        loader_threads: args.loader_threads.or(loader_threads),
        transition: args.transition.or(root.choice("transition", &transition)),
        scan_interval_ms: args.scan_interval_ms.or(scan_interval_ms),
        rest_ms: args.rest_ms.or(rest_ms),
        strict_readiness: args.strict_readiness.or(root.boolean("strict_readiness")),
        request_bytes_max: args.request_bytes_max.or(request_bytes_max),
        in_flight_requests_max: args.in_flight_requests_max.or(in_flight_requests_max),
        in_flight_bytes_max: args.in_flight_bytes_max.or(in_flight_bytes_max),
        connections_max: args.connections_max.or(connections_max),
        drain_timeout_s: args.drain_timeout_s.or(drain_timeout_s),
        log_format: args
            .log_format
            .or(root.choice("log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])),
        log_level: args.log_level.or(root.text("log_level").map(str::to_owned)),
    }
}

fn with_defaults(args: ServeArgs, cores: usize) -> Settings {
    let door = AdmissionLimits::default();
    Settings {
        // Empty is a fault: see `check`.
        model_repository: args.model_repository.unwrap_or_default(),
        host: args.host.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        http_port: args.http_port.unwrap_or(8000),
        grpc_port: args.grpc_port.unwrap_or(8001),
        metrics_port: args.metrics_port.unwrap_or(8002),
        libraries: args.libraries,
        cores,
        instances: args.instances.unwrap_or(cores),
        worker_threads: args.worker_threads.unwrap_or(cores),
        // Loading is reading and parsing; more at a time would take the cores from the requests.
        loader_threads: args.loader_threads.unwrap_or(cores.min(4)),
        transition: match args.transition.unwrap_or_default() {
            TransitionArg::Availability => Transition::Availability,
            TransitionArg::Resources => Transition::Resources,
        },
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
        drain: args.drain_timeout_s.map_or(limits::DRAIN, Duration::from_secs),
        log_format: args.log_format.unwrap_or_default(),
        log_level: args.log_level.unwrap_or_else(|| "info".to_owned()),
    }
}

/// What no single key can tell, and what flags and environment may have got wrong.
fn check(settings: &Settings, root: &mut Section<'_>) {
    if settings.model_repository.as_os_str().is_empty() {
        root.fault("model_repository", "is not set: name the folder that holds the models");
    }
    for (key, port) in [("http_port", settings.http_port), ("grpc_port", settings.grpc_port)] {
        if port != 0 && port == settings.metrics_port {
            root.fault("metrics_port", &format!("{port} is the {key} too"));
        }
    }
    let (request, house) = (settings.request_bytes_max, settings.admission.bytes_max);
    if request > house {
        let text = format!("{house} is less than request_bytes_max, {request}");
        root.fault("in_flight_bytes_max", &text);
    }
    let counts = [
        ("instances", settings.instances, limits::INSTANCES_MAX),
        ("worker_threads", settings.worker_threads, limits::THREADS_MAX),
        ("loader_threads", settings.loader_threads, limits::THREADS_MAX),
        ("request_bytes_max", request, limits::REQUEST_BYTES_MAX),
        ("connections_max", settings.connections_max, 1 << 20),
    ];
    for (key, value, most) in counts {
        if !(1..=most).contains(&value) {
            root.fault(key, &format!("{value} is not a whole number from 1 to {most}"));
        }
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
