//! Arguments of `salver rollout`, and of the orders that go without its steps.

mod orders;

use clap::{Args, Subcommand};

use super::ServerArgs;

pub use orders::{OrderArgs, PromoteArgs, RollBackArgs};

/// What can be done with rollouts.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Begin one.
    Start(Box<RolloutArgs>),
    /// Show all, or one with its evidence.
    Status {
        /// Name of the model [default: all]
        model: Option<String>,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take over now, whatever is proven.
    Promote(RolloutOf),
    /// Rest where it is.
    Hold(RolloutOf),
    /// Go on where it rests.
    Resume(RolloutOf),
    /// Drop the candidate; after a promotion, while the old version is kept ready.
    Abort(RolloutOf),
}

/// Whose rollout.
#[derive(Debug, Args)]
pub struct RolloutOf {
    /// Name of the model
    pub model: String,
    /// Who and why.
    #[command(flatten)]
    pub order: OrderArgs,
}

/// Arguments of `rollout start`. The server checks them, and names every fault at once.
#[derive(Debug, Args)]
pub struct RolloutArgs {
    /// Name of the model
    pub model: String,
    /// Number of the version that shall take over
    #[arg(long, value_name = "VERSION")]
    pub to: u64,
    /// Number of the version that serves [default: the one with the largest share]
    #[arg(long, value_name = "VERSION")]
    pub from: Option<u64>,
    /// Its shares of the requests, in percent [default: 1,5,25,50,100]
    #[arg(long, value_name = "PERCENT,...")]
    pub steps: Option<String>,
    /// Another setting of the plan as KEY=VALUE: step_requests_min=1000, step_duration_s_min=300,
    /// duration_s_max=86400, shadow_rows=500, error_ratio_max=1, p99_tolerance=0.2, ..; repeat for more
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Who and why.
    #[command(flatten)]
    pub order: OrderArgs,
}
