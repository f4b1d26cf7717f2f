//! The command line of `labels`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ServerArgs;

/// What can be done with labels.
#[derive(Debug, Subcommand)]
pub enum LabelsCommand {
    /// Bring what turned out to be true of a model's answers.
    ///
    /// A CSV file has columns id and value, and may have row (from 0) and timestamp (seconds since
    /// 1970); a file .jsonl has an object with these keys in each line. What was sent before a
    /// failure stays sent, and may be sent again.
    Send(SendArgs),
}

/// Whose labels, and where they are.
#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// Name of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// File with the labels: .csv or .jsonl
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}
