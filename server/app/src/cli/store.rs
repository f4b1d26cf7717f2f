//! Models of registries: where they are kept, and what they must be.

use std::path::PathBuf;

use clap::Args;

use super::OutputFormat;

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

/// Where models from registries are kept, and what they must be.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Folder of the cache, shared by every process [default: salver/models in the user's cache]
    #[arg(long, env = "SALVER_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What the cache may take, in bytes; the longest unused goes first
    #[arg(long, env = "SALVER_CACHE_BYTES_MAX", value_name = "BYTES", default_value_t = 100 << 30)]
    pub cache_bytes_max: u64,
    /// File that pins addresses to digests [default of `models lock`: models.lock]
    #[arg(long, env = "SALVER_MODELS_LOCK", value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Public key, as PEM, of someone who may sign models; then every model must be signed. Repeat for more
    #[arg(long, env = "SALVER_SIGNERS", value_name = "FILE", value_delimiter = ',')]
    pub signer: Vec<PathBuf>,
    /// Follow registries to private addresses too
    #[arg(long, env = "SALVER_ALLOW_PRIVATE_ADDRESSES")]
    pub allow_private_addresses: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}
