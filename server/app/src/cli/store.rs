//! Models of registries: where they are kept, and what they must be.

use std::path::PathBuf;

use clap::Args;

use super::{Libraries, OutputFormat};

/// Arguments of `models pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Where the model is: file:DIR, mlflow://HOST:PORT/MODEL@ALIAS, s3://BUCKET/PREFIX, gs://..,
    /// az://.., https://HOST/FILE, oci://HOST/NAME:TAG or hf://ORG/NAME
    pub uri: String,
    /// Copy its files to this folder, which must be empty or new [default: stay in the cache]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Ask no registry: take what the cache has
    #[arg(long)]
    pub offline: bool,
    /// Where it is kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Where models from registries are kept, what they must be, and how results are printed.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// The same as for `serve`.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Where models from registries are kept, and what they must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct PlaceArgs {
    /// Folder of the cache, shared by every process [default: salver/models in the user's cache]
    #[arg(long, env = "SALVER_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What the cache may take, in bytes; the longest unused goes first [default: 107374182400]
    #[arg(long, env = "SALVER_CACHE_BYTES_MAX", value_name = "BYTES")]
    pub cache_bytes_max: Option<u64>,
    /// File that pins addresses to digests [default of `models lock`: models.lock]
    #[arg(long, env = "SALVER_MODELS_LOCK", value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Public key, as PEM, of someone who may sign models; then every model must be signed. Repeat for more
    #[arg(long, env = "SALVER_SIGNERS", value_name = "FILE", value_delimiter = ',')]
    pub signer: Vec<PathBuf>,
    /// Follow registries to private addresses too
    #[arg(long, env = "SALVER_ALLOW_PRIVATE_ADDRESSES", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub allow_private_addresses: Option<bool>,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Where the model is, as for `models pull`
    pub uri: String,
    /// The model.toml that it would be served with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where it is kept.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where engines lie.
    #[command(flatten)]
    pub libraries: Libraries,
    /// What it is asked.
    #[cfg(feature = "parquet")]
    #[command(flatten)]
    pub logged: super::LoggedArgs,
}
