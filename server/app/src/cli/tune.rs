//! Arguments of `tune`.

use std::path::PathBuf;

use clap::Args;

use super::{Libraries, OutputFormat};

/// Arguments of `tune`. Lists are read by the command itself, which reports every fault at once.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// Name of the model
    pub model: String,
    /// Folder with the models: <model>/<version>/model.onnx
    #[arg(long, env = "SALVER_MODEL_REPOSITORY", value_name = "DIR")]
    pub model_repository: PathBuf,
    /// Number of the version [default: the newest that is wanted]
    #[arg(long, value_name = "N")]
    pub version: Option<String>,
    /// The most that the 99th percentile of the latency may be, in milliseconds
    #[arg(long, default_value_t = 10.0, value_name = "MS")]
    pub goal_p99_ms: f64,
    /// Engines to compare [default: those of `auto`, and the model's own]
    #[arg(long, value_name = "NAME,...")]
    pub engines: Option<String>,
    /// Instances to compare [default: 1, 2, 4, ... cores]
    #[arg(long, value_name = "N,...")]
    pub instances: Option<String>,
    /// Threads inside an operator to compare [default: 1, 2, 4, ... cores]
    #[arg(long, value_name = "N,...")]
    pub threads: Option<String>,
    /// Batch sizes to compare [default: 1, 8, 32 and the model's own]
    #[arg(long, value_name = "N,...")]
    pub batch_sizes: Option<String>,
    /// Callers at a time, rising until the goal is missed or nothing is gained [default: 1, 2, 4,
    /// ... 256]
    #[arg(long, value_name = "N,...")]
    pub concurrency: Option<String>,
    /// How long each point is measured, in seconds
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    pub seconds: f64,
    /// Rows of a request
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub rows: usize,
    /// Length of a free axis of the inputs, `?` for one without a name; repeat for more
    #[arg(long, value_name = "NAME=LENGTH")]
    pub axis: Vec<String>,
    /// Use so many cores alone [default: all]
    #[arg(long, value_name = "N")]
    pub cores: Option<usize>,
    /// Say what would be measured, and for how long, and measure nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the model.toml; other keys and comments in it stay
    #[arg(long)]
    pub write: bool,
    /// Draw throughput against p99
    #[arg(long, value_name = "FILE.svg")]
    pub picture: Option<PathBuf>,
    /// Measure even if it may take more than half an hour
    #[arg(long)]
    pub force: bool,
    /// Where engines lie.
    #[command(flatten)]
    pub libraries: Libraries,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}
