//! The command line: every flag once, with its environment variable and its help.

mod choices;
#[cfg(feature = "drift")]
mod drift;
#[cfg(all(feature = "drift", feature = "truth"))]
mod labels;
mod log;
#[cfg(feature = "fleet")]
mod monitor;
#[cfg(feature = "parquet")]
mod logs;
#[cfg(feature = "rollouts")]
mod rollout;
mod store;
#[cfg(feature = "triggers")]
mod trigger;
#[cfg(feature = "tune")]
mod tune;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub use choices::{LoadArg, LogFormat, OutputFormat, SchedulerArg, TransitionArg};
#[cfg(feature = "drift")]
pub use drift::{ColumnArgs, CompareArgs, DriftCommand, DriftOf, ProfileArgs, ReportArgs};
#[cfg(all(feature = "drift", feature = "truth"))]
pub use labels::{LabelsCommand, SendArgs};
pub use log::LogArgs;
#[cfg(feature = "parquet")]
pub use logs::{ExportArgs, LoggedArgs, LogsCommand, ReplayArgs, RowArgs, TailArgs};
#[cfg(feature = "fleet")]
pub use monitor::MonitorArgs;
#[cfg(feature = "rollouts")]
pub use rollout::{OrderArgs, PromoteArgs, RollBackArgs, RolloutArgs, RolloutCommand, RolloutOf};
pub use store::{PlaceArgs, PullArgs, StoreArgs, ValidateArgs};
#[cfg(feature = "triggers")]
pub use trigger::{FireArgs, TriggerCommand, TriggerOf};
#[cfg(feature = "tune")]
pub use tune::TuneArgs;

/// Exit codes, as `salver help` tells them.
const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 65 data that cannot be looked at, 69 server cannot be reached, 78 faulty configuration.";

/// Serves trained models over gRPC and HTTP.
#[derive(Debug, Parser)]
#[command(name = "salver", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything that can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(Box<ServeArgs>),
    /// Ask a running server for a prediction.
    Predict(PredictArgs),
    /// See and change what a running server has loaded; fetch models from registries.
    Models {
        /// What to do with them.
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Ask a running server how it is.
    Client {
        /// What to ask.
        #[command(subcommand)]
        command: ClientCommand,
    },
    /// Bring what turned out to be true of a model's answers.
    #[cfg(all(feature = "drift", feature = "truth"))]
    Labels {
        /// What to do.
        #[command(subcommand)]
        command: LabelsCommand,
    },
    /// Let another version of a model take over, step by step, if it is no worse.
    #[cfg(feature = "rollouts")]
    Rollout {
        /// What to do.
        #[command(subcommand)]
        command: RolloutCommand,
    },
    /// See what asks for retraining, fire one by hand, silence one.
    #[cfg(feature = "triggers")]
    Trigger {
        /// What to do.
        #[command(subcommand)]
        command: TriggerCommand,
    },
    #[cfg(feature = "drift")]
    /// Find out whether data still looks as it did.
    Drift {
        /// What to find out.
        #[command(subcommand)]
        command: DriftCommand,
    },
    #[cfg(feature = "fleet")]
    /// Watch what many replicas have logged: their monitors, over all of it, as a process of its own.
    ///
    /// Follows the Parquet files of the replicas' prediction logs, and judges each version as a server
    /// does that has a [drift] for it. Serves metrics, health, drift and triggers on one port; loads no
    /// engine.
    Monitor(Box<MonitorArgs>),
    /// See, export and replay logged predictions.
    #[cfg(feature = "parquet")]
    Logs {
        /// What to do with them.
        #[command(subcommand)]
        command: LogsCommand,
    },
    #[cfg(feature = "drift")]
    /// Write down what a model's data looks like, to hold later data against.
    Profile(ProfileArgs),
    /// Would a model serve? Fetches it, checks every byte, loads and warms it up, and says so.
    ///
    /// Exit code 0: it would; 1: it would not, or answers --replay otherwise than it may; 2: wrong usage;
    /// 65: nothing that is logged could be asked; 69: its registry does not answer.
    Validate(Box<ValidateArgs>),
    #[cfg(feature = "tune")]
    /// Find the engine, instances, threads and batch size that serve a model best here.
    ///
    /// Loads the model as the server does, under one setting after the other, and asks it with a
    /// rising number of callers, without a network. Best is what answers most rows per second with
    /// its p99 within the goal; of what is alike, what needs least. Prints a table and the
    /// model.toml that says it.
    Tune(Box<TuneArgs>),
    /// Show what this machine has: processor, accelerators, engines, and what each one lacks.
    Devices(DevicesArgs),
    /// Print the version, and which engines this machine has.
    Version(VersionArgs),
    /// Print a completion script for a shell.
    Completion {
        /// Which shell.
        shell: Shell,
    },
}

/// Settings of `serve`. All optional: flag, then environment, then file, then default.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Folder with the models: <model>/<version>/model.onnx
    #[arg(
        long,
        visible_alias = "model-store",
        env = "SALVER_MODEL_REPOSITORY",
        value_name = "DIR"
    )]
    pub model_repository: Option<PathBuf>,
    /// A model of a registry, such as wine=mlflow://HOST:PORT/wine@champion; repeat for more
    #[arg(long = "model", env = "SALVER_MODELS", value_name = "NAME=URI", value_delimiter = ' ')]
    pub models: Vec<String>,
    /// Where models of registries are kept.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// TOML file with settings; keys are the flags' names with underscores
    #[arg(long, env = "SALVER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder in which rollouts and triggers outlive the process [default: they do not]
    #[arg(long, env = "SALVER_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Where replicas meet that drive their rollouts together: file:DIR, s3://BUCKET/PREFIX, gs://.., az://.. [default: each drives its own]
    #[arg(long, env = "SALVER_ROLLOUT_SHARE", value_name = "URI")]
    pub rollout_share: Option<String>,
    /// How often rollouts are looked at, in milliseconds [default: 1000]
    #[arg(long, env = "SALVER_ROLLOUT_INTERVAL_MS", value_name = "MS")]
    pub rollout_interval_ms: Option<u64>,
    /// File with the secret that registries sign their webhooks with [default: none are taken]
    #[arg(long, env = "SALVER_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// Address to listen on [default: 0.0.0.0]
    #[arg(long, env = "SALVER_HOST", value_name = "ADDRESS")]
    pub host: Option<IpAddr>,
    /// Port for HTTP; speaks gRPC too [default: 8000]
    #[arg(long, env = "SALVER_HTTP_PORT", value_name = "PORT")]
    pub http_port: Option<u16>,
    /// Port for gRPC; speaks HTTP too; may equal the HTTP port [default: 8001]
    #[arg(long, env = "SALVER_GRPC_PORT", value_name = "PORT")]
    pub grpc_port: Option<u16>,
    /// Port for metrics and probes [default: 8002]
    #[arg(long, env = "SALVER_METRICS_PORT", value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// Where engines lie.
    #[command(flatten)]
    pub libraries: Libraries,
    /// Instances of a version, unless its model.toml says otherwise [default: cores]
    #[arg(long, env = "SALVER_INSTANCES", value_name = "N")]
    pub instances: Option<usize>,
    /// Who runs next when models want more cores than there are [default: fair]
    #[arg(long, env = "SALVER_SCHEDULER", value_name = "SCHEDULER")]
    pub scheduler: Option<SchedulerArg>,
    /// Threads that speak to clients [default: cores]
    #[arg(long, env = "SALVER_WORKER_THREADS", value_name = "N")]
    pub worker_threads: Option<usize>,
    /// Models that are loaded at a time [default: cores, at most 4]
    #[arg(long, env = "SALVER_LOADER_THREADS", value_name = "N")]
    pub loader_threads: Option<usize>,
    /// How a model moves from one version to the next [default: availability]
    #[arg(long, env = "SALVER_TRANSITION", value_name = "POLICY")]
    pub transition: Option<TransitionArg>,
    /// When models are loaded, unless their model.toml says otherwise [default: eager]
    #[arg(long, env = "SALVER_LOAD", value_name = "WHEN")]
    pub load: Option<LoadArg>,
    /// Models in memory at a time; lazy ones make room for one another; 0: no limit [default: 0]
    #[arg(long, env = "SALVER_LOADED_MODELS_MAX", value_name = "N")]
    pub loaded_models_max: Option<usize>,
    /// Bytes of memory that models may take; lazy ones make room; 0: no limit [default: 0]
    #[arg(long, env = "SALVER_MODEL_MEMORY_MAX", value_name = "BYTES")]
    pub model_memory_max: Option<usize>,
    /// How often the repository is looked at, in milliseconds [default: 1000]
    #[arg(long, env = "SALVER_SCAN_INTERVAL_MS", value_name = "MS")]
    pub scan_interval_ms: Option<u64>,
    /// How long a version's folder or model.toml must be at rest before it counts [default: 1000]
    #[arg(long, env = "SALVER_REST_MS", value_name = "MS")]
    pub rest_ms: Option<u64>,
    /// Stay unready while a model has no version that answers
    #[arg(long, env = "SALVER_STRICT_READINESS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub strict_readiness: Option<bool>,
    /// Largest request, in bytes [default: 67108864]
    #[arg(long, env = "SALVER_REQUEST_BYTES_MAX", value_name = "BYTES")]
    pub request_bytes_max: Option<usize>,
    /// Requests in the server at a time [default: 16384]
    #[arg(long, env = "SALVER_IN_FLIGHT_REQUESTS_MAX", value_name = "N")]
    pub in_flight_requests_max: Option<usize>,
    /// Bytes of all requests in the server at a time [default: 1073741824]
    #[arg(long, env = "SALVER_IN_FLIGHT_BYTES_MAX", value_name = "BYTES")]
    pub in_flight_bytes_max: Option<usize>,
    /// Connections of one port at a time [default: 8192]
    #[arg(long, env = "SALVER_CONNECTIONS_MAX", value_name = "N")]
    pub connections_max: Option<usize>,
    /// Clients on this machine may share memory with the server, every object that it may open [default: false]
    #[arg(long, env = "SALVER_ALLOW_CLIENT_SHM", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub allow_client_shm: Option<bool>,
    /// The same for memory of NVIDIA's GPUs; needs --allow-client-shm [default: false]
    #[arg(long, env = "SALVER_ALLOW_CLIENT_CUDA_SHM", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub allow_client_cuda_shm: Option<bool>,
    /// Bytes of memory that clients may have shared at a time [default: 4294967296]
    #[arg(long, env = "SALVER_CLIENT_SHM_BYTES_MAX", value_name = "BYTES")]
    pub client_shm_bytes_max: Option<usize>,
    /// Time for running requests to finish after SIGTERM, in seconds [default: 30]
    #[arg(long = "drain-timeout", env = "SALVER_DRAIN_TIMEOUT", value_name = "SECONDS")]
    pub drain_timeout_s: Option<u64>,
    /// What is kept of predictions.
    #[command(flatten)]
    pub log: LogArgs,
    /// How logs are written, to standard error [default: text]
    #[arg(long, env = "SALVER_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter by module [default: info]
    #[arg(long, env = "SALVER_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// Where engines that are not compiled in lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Libraries {
    /// ONNX Runtime's shared library [default: looked for beside the binary]
    #[arg(long, env = "SALVER_ONNXRUNTIME_LIBRARY", value_name = "FILE")]
    pub onnxruntime_library: Option<PathBuf>,
    /// Folder with OpenVINO's shared libraries [default: looked for beside the binary]
    #[arg(long, env = "SALVER_OPENVINO_DIR", value_name = "DIR")]
    pub openvino_dir: Option<PathBuf>,
    /// LiteRT's shared library [default: looked for beside the binary]
    #[arg(long, env = "SALVER_LITERT_LIBRARY", value_name = "FILE")]
    pub litert_library: Option<PathBuf>,
    /// PJRT plugin: libtpu.so, xla_cuda_plugin.so, xla_cpu_pjrt.so [default: looked for beside the
    /// binary]
    #[arg(long, env = "SALVER_PJRT_PLUGIN", value_name = "FILE")]
    pub pjrt_plugin: Option<PathBuf>,
    /// What the PJRT plugin is told when it is opened: cpu_device_count=4 [default: nothing]
    #[arg(long, env = "SALVER_PJRT_OPTIONS", value_name = "NAME=VALUE,...")]
    pub pjrt_options: Option<String>,
    /// Folder in which what the plugin compiled is kept [default: every start compiles]
    #[arg(long, env = "SALVER_PJRT_CACHE", value_name = "DIR")]
    pub pjrt_cache: Option<PathBuf>,
    /// Library of NVIDIA's driver that tells of GPUs [default: the system's libnvidia-ml.so.1]
    #[arg(long, env = "SALVER_NVML_LIBRARY", value_name = "FILE")]
    pub nvml_library: Option<PathBuf>,
}

/// Which server a command speaks to.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// The server's HTTP address
    #[arg(long, env = "SALVER_URL", default_value = "http://127.0.0.1:8000", value_name = "URL")]
    pub url: String,
    /// How long to wait for it, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub timeout: u64,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Name of the model
    pub model: String,
    /// Number or label of the version [default: the newest that is ready]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// An input as NAME=JSON or NAME=@FILE, its shape that of the nested array; repeat for more
    #[arg(long, value_name = "NAME=JSON", required_unless_present = "json")]
    pub input: Vec<String>,
    /// A whole request as JSON from a file, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub json: Option<PathBuf>,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Show every model and version, and its state.
    List(ServerArgs),
    /// Show all that is known of a model: versions, states, shares, where they come from.
    Show {
        /// Name of the model
        model: String,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Load a model, or load it again after its files changed.
    Load {
        /// Name of the model
        model: String,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take a model out of service.
    Unload {
        /// Name of the model
        model: String,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Have a version take over as soon as it is loaded, without the steps of a rollout.
    #[cfg(feature = "rollouts")]
    Promote(Box<PromoteArgs>),
    /// Go back to the version that served before: at once, while that is kept ready.
    #[cfg(feature = "rollouts")]
    Rollback(Box<RollBackArgs>),
    /// Let the model's files say again what serves, after a promotion or a rollback that is over.
    #[cfg(feature = "rollouts")]
    Forget(Box<RollBackArgs>),
    /// Fetch a model into the cache of this machine, verified.
    Pull(Box<PullArgs>),
    /// Hash every model of this machine's cache, and throw away what is damaged.
    Verify(StoreArgs),
    /// Pin addresses to the digests of what they name now, in models.lock.
    Lock {
        /// The addresses [default: those in the file, anew]
        uris: Vec<String>,
        /// Where they are kept.
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Is it ready? Exit code 0 if so, 1 if not, 69 if it cannot be reached.
    Health(ServerArgs),
}

/// Arguments of `devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Where engines lie.
    #[command(flatten)]
    pub libraries: Libraries,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Arguments of `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Where engines lie.
    #[command(flatten)]
    pub libraries: Libraries,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}
