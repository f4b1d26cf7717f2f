//! Arguments of `salver trigger`.

use clap::{Args, Subcommand};

use super::ServerArgs;

/// What can be done with triggers.
#[derive(Debug, Subcommand)]
pub enum TriggerCommand {
    /// Show all, and where each stands.
    List(ServerArgs),
    /// Fire one now, whatever its windows say.
    Fire(FireArgs),
    /// Show what its target would be told; nothing is sent.
    Test(FireArgs),
    /// Let one be silent for a while.
    Mute {
        /// Which.
        #[command(flatten)]
        of: TriggerOf,
        /// For how long
        #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=8784))]
        hours: u64,
    },
    /// End its silence.
    Unmute(TriggerOf),
}

/// Which trigger.
#[derive(Debug, Args)]
pub struct TriggerOf {
    /// Name of the trigger
    pub trigger: String,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `trigger fire` and `trigger test`.
#[derive(Debug, Args)]
pub struct FireArgs {
    /// Which.
    #[command(flatten)]
    pub of: TriggerOf,
    /// Name of the model [default: the trigger's, if it is for one alone]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Number of the version it is about [default: the newest that serves]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<u64>,
    /// What makes it this one: the same never fires twice [default: the time]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Why, for the one who reads the event
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub reason: String,
}
