//! The command line of `drift` and `profile`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OutputFormat, ServerArgs};

/// What can be found out about drift.
#[derive(Debug, Subcommand)]
pub enum DriftCommand {
    /// Compare two files column by column: every statistic, and whether it drifted.
    ///
    /// The columns are those of the reference. Numbers are Evidently 0.7.23's: PSI, Jensen-Shannon,
    /// Kolmogorov-Smirnov, Wasserstein, chi-square, z, Kullback-Leibler, Hellinger, total variation
    /// and largest difference.
    Compare(CompareArgs),
    /// Show what a running server's monitors have found out about a model: the last window of each
    /// version, and the alarms.
    Show(DriftOf),
    /// The same as one HTML page that needs nothing beside itself.
    Report(ReportArgs),
}

/// Whose drift.
#[derive(Debug, Args)]
pub struct DriftOf {
    /// Name of the model
    pub model: String,
    /// Number of the version [default: all that are watched]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<u64>,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `drift report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Whose.
    #[command(flatten)]
    pub of: DriftOf,
    /// Where to write the page
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
}

/// Which columns of a file are looked at, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct ColumnArgs {
    /// Columns to look at [default: all of the reference]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Columns to look at as numbers [default: floats, and integers of more than ten values]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub numerical: Vec<String>,
    /// Columns to look at as categories [default: text that repeats, true and false, and integers
    /// of at most ten values]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub categorical: Vec<String>,
}

/// Arguments of `drift compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// What data should look like: a Parquet or CSV file
    #[arg(long, value_name = "FILE")]
    pub reference: PathBuf,
    /// What it looks like: a Parquet or CSV file
    #[arg(long, value_name = "FILE")]
    pub current: PathBuf,
    /// Which columns.
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Share of drifted columns from which on the data as a whole drifted
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    pub drift_share: f64,
    /// Exit with 1 if the data as a whole drifted; with 65 if not, but columns could not be compared
    #[arg(long)]
    pub fail_on_drift: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Arguments of `profile`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The data that the model was trained or evaluated on: a Parquet or CSV file
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Name of the model
    #[arg(long, value_name = "NAME")]
    pub model: String,
    /// Which columns.
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Columns that are outputs of the model [default: none]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub outputs: Vec<String>,
    /// Where to write the profile, as JSON; replaced as a whole
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}
