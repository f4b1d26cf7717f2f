//! The command line of `monitor`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::LogFormat;

/// Settings of `monitor`. Flag, then environment, then file, then default.
#[derive(Clone, Debug, Default, Args)]
pub struct MonitorArgs {
    /// What the replicas log to: Parquet files in s3://BUCKET/PREFIX, gs:// or az://, or in a folder
    /// (DIR/parquet of a server's --log-dir DIR; repeat for more folders); or kafka://BROKER[,BROKER]/TOPIC
    #[arg(long = "log", env = "SALVER_MONITOR_LOG", value_name = "DIR|URI", value_delimiter = ' ')]
    pub logs: Vec<String>,
    /// Folder with the models, as the replicas have it: of each its model.toml and its references are read
    #[arg(long, env = "SALVER_MODEL_REPOSITORY", value_name = "DIR")]
    pub model_repository: Option<PathBuf>,
    /// A model that lies elsewhere: NAME=FOLDER; repeat for more
    #[arg(
        long = "model",
        env = "SALVER_MONITOR_MODELS",
        value_name = "NAME=DIR",
        value_delimiter = ' '
    )]
    pub models: Vec<String>,
    /// Folder in which it is kept what was read and counted
    #[arg(long, env = "SALVER_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// TOML file with settings; keys are the flags' names with underscores, and those of triggers
    #[arg(long, env = "SALVER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 0.0.0.0]
    #[arg(long, env = "SALVER_HOST", value_name = "ADDRESS")]
    pub host: Option<IpAddr>,
    /// Port for metrics, health, drift and triggers [default: 8002]
    #[arg(long, env = "SALVER_MONITOR_PORT", value_name = "PORT")]
    pub port: Option<u16>,
    /// How often new files are looked for, in milliseconds [default: 10000]
    #[arg(long, env = "SALVER_MONITOR_INTERVAL_MS", value_name = "MS")]
    pub interval_ms: Option<u64>,
    /// How long after a request its rows may come, in seconds: above the replicas' --log-roll-ms and what
    /// their clocks differ by; what comes later is left out [default: 300]
    #[arg(long, env = "SALVER_MONITOR_LATENESS_S", value_name = "S")]
    pub lateness_s: Option<u64>,
    /// From when on to read versions that were never read before: 2026-11-21, or with T and a time in UTC
    /// [default: an hour back]
    #[arg(long, env = "SALVER_MONITOR_FROM", value_name = "TIME")]
    pub from: Option<String>,
    /// Bytes of rows in memory that wait for those before them [default: 268435456]
    #[arg(long, env = "SALVER_MONITOR_WAITING_BYTES_MAX", value_name = "BYTES")]
    pub waiting_bytes_max: Option<usize>,
    /// Largest file of the log that is read, in bytes [default: 536870912]
    #[arg(long, env = "SALVER_MONITOR_OBJECT_BYTES_MAX", value_name = "BYTES")]
    pub object_bytes_max: Option<usize>,
    /// Bytes of predictions in memory that wait for labels, of all models with a [truth] [default: 268435456]
    #[arg(long, env = "SALVER_TRUTH_BYTES_MAX", value_name = "BYTES")]
    pub truth_bytes_max: Option<usize>,
    /// How logs are written, to standard error [default: text]
    #[arg(long, env = "SALVER_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter by module [default: info]
    #[arg(long, env = "SALVER_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
}
