//! The command line of `logs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ServerArgs;

/// What can be done with logged predictions.
#[derive(Debug, Subcommand)]
pub enum LogsCommand {
    /// Print the last rows as lines of JSON.
    Tail(TailArgs),
    /// Write rows to a file: Parquet, CSV or lines of JSON.
    Export(ExportArgs),
    /// Ask another version what was asked before, and compare its answers with the logged ones.
    ///
    /// Exit code 0: answered alike; 1: more rows differ than --max-diff-share, or nothing could be
    /// compared; 69: the server cannot be reached.
    Replay(Box<ReplayArgs>),
}

/// Which rows.
#[derive(Clone, Debug, Args)]
pub struct RowArgs {
    /// The log, whose Parquet files are read: the server's --log-dir, a folder of such files, or where its
    /// sink puts them, s3://BUCKET/PREFIX, gs://.. or az://..
    #[arg(long, env = "SALVER_LOG_DIR", value_name = "LOG")]
    pub log_dir: String,
    /// Requests that came in from then on: 2026-11-21, or with T and a time in UTC
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Requests that came in before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Arguments of `logs tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// The log, whose Parquet files are read: the server's --log-dir, a folder of such files, or where its
    /// sink puts them, s3://BUCKET/PREFIX, gs://.. or az://..
    #[arg(long, env = "SALVER_LOG_DIR", value_name = "LOG")]
    pub log_dir: String,
    /// Of that model [default: all]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// How many rows
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub lines: usize,
    /// Print what comes, as files are finished (the server's --log-roll-ms)
    #[arg(long)]
    pub follow: bool,
}

/// Arguments of `logs export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// Of that model [default: all]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Of that version [default: all]
    #[arg(long, value_name = "N")]
    pub version: Option<u64>,
    /// Where to: a new file .parquet, .csv or .jsonl
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Arguments of `logs replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Which rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// The model
    #[arg(long, value_name = "NAME")]
    pub model: String,
    /// Who is asked: a version of the server at --url, or another server's address
    #[arg(long, value_name = "VERSION|URL")]
    pub to: String,
    /// Rows that this version answered [default: any]
    #[arg(long, value_name = "N")]
    pub version: Option<u64>,
    /// Requests a second at the most [default: one after the other]
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// How many requests
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub limit: usize,
    /// Numbers are alike within this and --rtol times the logged one
    #[arg(long, default_value_t = 1e-5, value_name = "X")]
    pub atol: f64,
    /// See --atol
    #[arg(long, default_value_t = 1e-4, value_name = "X")]
    pub rtol: f64,
    /// Exit with 1 if a larger share of the rows differs, or of the requests fails
    #[arg(long, value_name = "SHARE")]
    pub max_diff_share: Option<f64>,
    /// Have the requests logged and counted as any other: without it they are marked, and their rows have
    /// the route "replay", which neither monitors nor labels count
    #[arg(long)]
    pub log: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What a candidate is asked of a log: arguments of `validate`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Replay")]
pub struct LoggedArgs {
    /// Ask it what was logged, and compare its answers: a server's --log-dir, a folder of Parquet files, or
    /// s3://BUCKET/PREFIX, gs://.. or az://..; the newest requests first
    #[arg(long, value_name = "LOG")]
    pub replay: Option<String>,
    /// Requests of that model [default: the only one in the log]
    #[arg(long, value_name = "NAME", requires = "replay")]
    pub model: Option<String>,
    /// Requests that this version answered [default: any]
    #[arg(long, value_name = "N", requires = "replay")]
    pub version: Option<u64>,
    /// How many rows, up to 1000000
    #[arg(long, default_value_t = 10_000, value_name = "N", requires = "replay")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rows: u32,
    /// Requests that came in from then on: 2026-11-21, or with T and a time in UTC
    #[arg(long, value_name = "TIME", requires = "replay")]
    pub since: Option<String>,
    /// Requests that came in before then
    #[arg(long, value_name = "TIME", requires = "replay")]
    pub until: Option<String>,
    /// Numbers are alike within this and --rtol times the logged one
    #[arg(long, default_value_t = 1e-5, value_name = "X", requires = "replay")]
    pub atol: f64,
    /// See --atol
    #[arg(long, default_value_t = 1e-4, value_name = "X", requires = "replay")]
    pub rtol: f64,
    /// Exit with 1 if a larger share of the rows has another class
    #[arg(long, value_name = "SHARE", requires = "replay")]
    pub flips_max: Option<f64>,
    /// Exit with 1 if a number is farther than that from the logged one
    #[arg(long, value_name = "X", requires = "replay")]
    pub difference_max: Option<f64>,
    /// Write what came of it as one HTML page that needs nothing beside itself
    #[arg(long, value_name = "FILE", requires = "replay")]
    pub report: Option<PathBuf>,
}
