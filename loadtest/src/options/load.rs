//! What is sent, how it travels, and at what pace: the options that commands have in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{Lengths, Span, Steps, axis, duration, shape, span, steps, weight};
use crate::arrivals::Arrival;
use crate::client::Protocol;

#[derive(Clone, Debug, Args)]
pub(crate) struct LoadOptions {
    #[command(flatten)]
    pub(crate) request: RequestOptions,
    #[command(flatten)]
    pub(crate) pace: PaceOptions,
    #[command(flatten)]
    pub(crate) delivery: DeliveryOptions,
}

/// A load without its pace, for commands that try several.
#[derive(Clone, Debug, Args)]
pub(crate) struct SteadyOptions {
    #[command(flatten)]
    pub(crate) request: RequestOptions,
    #[command(flatten)]
    pub(crate) delivery: DeliveryOptions,
}

impl SteadyOptions {
    /// At this pace, and for less time than a single run: it is one point of many.
    pub(crate) fn at(&self, pace: PaceOptions) -> LoadOptions {
        let SteadyOptions { request, mut delivery } = self.clone();
        delivery.duration.get_or_insert(POINT_DURATION);
        delivery.warmup.get_or_insert(POINT_WARMUP);
        LoadOptions { request, pace, delivery }
    }
}

const POINT_DURATION: Duration = Duration::from_secs(3);
const POINT_WARMUP: Duration = Duration::from_secs(1);

/// What is sent.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestOptions {
    /// May be repeated: each request picks one of the models, all with the same chance.
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "models",
        conflicts_with = "models"
    )]
    pub(crate) model: Vec<String>,
    /// Several models and their shares of the requests.
    #[arg(long, value_name = "NAME=WEIGHT,…", value_parser = weight, value_delimiter = ',')]
    pub(crate) models: Vec<(String, f64)>,
    /// Leave it to the server unless given.
    #[arg(long, value_name = "VERSION", default_value = "")]
    pub(crate) model_version: String,
    /// Rows of each request: the length of each first axis of -1.
    #[arg(long, default_value_t = 1, conflicts_with = "recorded")]
    pub(crate) rows: usize,
    /// Length of an input's other axes of -1, by its name or by name.index. LOW..HIGH: each distinct
    /// request has a length of its own; inputs of one range agree.
    #[arg(long = "axis", value_name = "INPUT[.INDEX]=LENGTH", value_parser = axis)]
    #[arg(conflicts_with = "recorded")]
    pub(crate) axes: Vec<(String, Lengths)>,
    /// Full shape of an input.
    #[arg(long = "shape", value_name = "INPUT=1x128", value_parser = shape)]
    #[arg(conflicts_with = "recorded")]
    pub(crate) shapes: Vec<(String, Vec<usize>)>,
    /// Random integers are 0..N: 2 suits any lookup table.
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) integers_below: u64,
    /// Distinct random requests, sent in turn.
    #[arg(long, value_name = "N", default_value_t = 8, conflicts_with = "recorded")]
    pub(crate) distinct: usize,
    /// Seed of the requests and of the arrivals.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Send the requests of this file and hold the answers to its answers.
    #[arg(long, value_name = "FILE")]
    pub(crate) recorded: Option<PathBuf>,
    /// Check one answer in N, and the first to each request; 0: none.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) check_every: u64,
}

/// When the requests leave: a closed or an open loop.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct PaceOptions {
    /// Closed loop: requests in flight [default: 1].
    #[arg(long, value_name = "N", group = "loop")]
    pub(crate) concurrency: Option<usize>,
    /// Open loop: requests per second, sent whether or not answers come.
    #[arg(long, value_name = "PER_SECOND", group = "loop")]
    pub(crate) rate: Option<f64>,
    /// Open loop: from one rate to another, evenly over the duration.
    #[arg(long, value_name = "FROM..TO", group = "loop", value_parser = span)]
    pub(crate) ramp: Option<Span>,
    /// Open loop: from one rate to another in so many steps, each with a row in the report.
    #[arg(long, value_name = "FROM..TO/STEPS", group = "loop", value_parser = steps)]
    pub(crate) step: Option<Steps>,
    /// Open loop: the arrivals of this file (offset_s[,model]) or its rates (seconds,rate_per_s).
    #[arg(long, value_name = "FILE", group = "loop")]
    #[arg(conflicts_with_all = ["duration", "warmup", "requests"])]
    pub(crate) trace: Option<PathBuf>,
    /// Open loop: poisson, constant, or burst=N for N at once.
    #[arg(long, default_value = "poisson")]
    pub(crate) arrival: Arrival,
    /// A row in the report for each so much of the counted time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    #[arg(conflicts_with_all = ["ramp", "step", "trace", "requests"])]
    pub(crate) interval: Option<Duration>,
    /// Send so many requests, all counted, instead of going by time.
    #[arg(long, value_name = "N", conflicts_with_all = ["duration", "warmup", "ramp", "step"])]
    pub(crate) requests: Option<u64>,
}

/// How the requests travel, and for how long.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct DeliveryOptions {
    /// Of addresses whose scheme does not say it [default: grpc].
    #[arg(long, value_enum)]
    pub(crate) protocol: Option<Protocol>,
    /// Open loop: keep the core busy between arrivals instead of sleeping; sends on time to a few µs.
    #[arg(long)]
    pub(crate) spin: bool,
    /// Open loop: beyond so many unanswered requests, arrivals are counted as not sent.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) outstanding_max: usize,
    /// [default: grpc 1, http as many as in flight, or 64 in an open loop; at least 1 a thread].
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<usize>,
    /// Counted time, such as 500ms, 10s or 2m [default: 10s; search and sweep: 3s a point].
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Time before that, not counted [default: 2s; search and sweep: 1s].
    #[arg(long, value_parser = duration)]
    pub(crate) warmup: Option<Duration>,
    /// Of each request; it is then given up.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Tell the server what is left of the timeout: grpc-timeout, or x-request-timeout-ms over HTTP.
    #[arg(long)]
    pub(crate) send_deadline: bool,
    /// Each thread has its own connections and share of the load.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threads: usize,
    /// Measure for so long what this client can do at most, and point out results close to it;
    /// 0s: do not.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) ceiling: Duration,
}
