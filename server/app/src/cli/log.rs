//! Flags of the prediction log.

use std::path::PathBuf;

use clap::Args;

/// Where predictions are logged, and how much of them is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct LogArgs {
    /// Folder in which predictions are logged, for models whose model.toml has a [log] [default: none]
    #[arg(long, env = "SALVER_LOG_DIR", value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// Where logged predictions go: parquet (files in the folder), stdout (lines of JSON), Parquet in
    /// s3://BUCKET/PREFIX, gs:// or az://, cloudevents+http(s)://HOST/PATH, kserve+http(s)://HOST/PATH,
    /// kafka://BROKER[,BROKER]/TOPIC; several with commas [default: parquet]
    #[arg(long, env = "SALVER_LOG_SINKS", value_name = "NAME,...")]
    pub log_sinks: Option<String>,
    /// Bytes of predictions that wait in memory [default: 67108864]
    #[arg(long, env = "SALVER_LOG_QUEUE_BYTES_MAX", value_name = "BYTES")]
    pub log_queue_bytes_max: Option<usize>,
    /// Bytes of predictions on the disk that the sinks have not delivered [default: 1073741824]
    #[arg(long, env = "SALVER_LOG_DISK_BYTES_MAX", value_name = "BYTES")]
    pub log_disk_bytes_max: Option<usize>,
    /// How long rows may wait for others before a sink delivers them, in milliseconds [default: 60000]
    #[arg(long, env = "SALVER_LOG_ROLL_MS", value_name = "MS")]
    pub log_roll_ms: Option<u64>,
    /// Seconds after which logged Parquet files are deleted [default: never]
    #[arg(long, env = "SALVER_LOG_RETENTION_S", value_name = "S")]
    pub log_retention_s: Option<u64>,
    /// Bytes of logged Parquet files beyond which the oldest are deleted [default: never]
    #[arg(long, env = "SALVER_LOG_RETENTION_BYTES", value_name = "BYTES")]
    pub log_retention_bytes: Option<u64>,
    /// Watch what is logged, for models with a [drift]; false where `salver monitor` does [default: true]
    #[arg(long, env = "SALVER_LOG_MONITOR", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub log_monitor: Option<bool>,
    /// Seconds after which a day's labels are deleted, of models with a [truth] [default: never]
    #[arg(long, env = "SALVER_LABEL_RETENTION_S", value_name = "S")]
    pub label_retention_s: Option<u64>,
    /// Bytes of labels beyond which the oldest days are deleted [default: never]
    #[arg(long, env = "SALVER_LABEL_RETENTION_BYTES", value_name = "BYTES")]
    pub label_retention_bytes: Option<u64>,
    /// File with the secret that values are hashed with before they are logged [default: none]
    #[arg(long, env = "SALVER_LOG_KEY_FILE", value_name = "FILE")]
    pub log_key_file: Option<PathBuf>,
    /// Bytes of predictions in memory that wait for their labels, of models with a [truth]
    /// [default: 268435456]
    #[arg(long, env = "SALVER_TRUTH_BYTES_MAX", value_name = "BYTES")]
    pub truth_bytes_max: Option<usize>,
}
