//! Arguments of `salver models promote` and `rollback`.

use clap::Args;

use super::super::ServerArgs;

/// Arguments of `models promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// Name of the model
    pub model: String,
    /// Its number, or its digest: sha256: and at least 12 digits
    #[arg(long, value_name = "VERSION")]
    pub to: String,
    /// Who and why.
    #[command(flatten)]
    pub order: OrderArgs,
}

/// Arguments of `models rollback` and `models forget`.
#[derive(Debug, Args)]
pub struct RollBackArgs {
    /// Name of the model
    pub model: String,
    /// Who and why.
    #[command(flatten)]
    pub order: OrderArgs,
}

/// What is written into the audit log.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Who, for the audit log
    #[arg(long, env = "USER", value_name = "NAME", default_value = "")]
    pub by: String,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}
