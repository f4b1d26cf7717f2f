//! What the user wrote, as clap reads it. No effects, no checks beyond one value at a time.
//!
//! Validated by `plan` and `echo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::arrivals::Arrival;
use crate::client::Protocol;

/// Open- and closed-loop load generator for servers of the Open Inference Protocol.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put a server under load and report what it did.
    Run(RunOptions),
    /// Serve canned answers: the floor of the transport, to compare a server with.
    Echo(EchoOptions),
    /// Run two servers in turn and report the ratio of each round.
    Compare(CompareOptions),
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Where the server is [default: 127.0.0.1:8001 for grpc, 127.0.0.1:8000 for http].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) load: LoadOptions,
    #[command(flatten)]
    pub(crate) results: ResultOptions,
}

#[derive(Debug, Args)]
pub(crate) struct LoadOptions {
    #[arg(long, value_enum, default_value_t = Protocol::Grpc)]
    pub(crate) protocol: Protocol,
    #[arg(long, value_name = "NAME")]
    pub(crate) model: String,
    /// Leave it to the server unless given.
    #[arg(long, value_name = "VERSION", default_value = "")]
    pub(crate) model_version: String,

    /// Rows of each request: the length of each first axis of -1.
    #[arg(long, default_value_t = 1, conflicts_with = "recorded", help_heading = "Request")]
    pub(crate) rows: usize,
    /// Length of an input's other axes of -1, by its name or by name.index.
    #[arg(long = "axis", value_name = "INPUT[.INDEX]=LENGTH", value_parser = axis)]
    #[arg(conflicts_with = "recorded", help_heading = "Request")]
    pub(crate) axes: Vec<(String, usize)>,
    /// Full shape of an input.
    #[arg(long = "shape", value_name = "INPUT=1x128", value_parser = shape)]
    #[arg(conflicts_with = "recorded", help_heading = "Request")]
    pub(crate) shapes: Vec<(String, Vec<usize>)>,
    /// Random integers are 0..N: 2 suits any lookup table.
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Request")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) integers_below: u64,
    /// Distinct random requests, sent in turn.
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Request")]
    #[arg(conflicts_with = "recorded")]
    pub(crate) distinct: usize,
    /// Seed of the requests and of the arrivals.
    #[arg(long, default_value_t = 1, help_heading = "Request")]
    pub(crate) seed: u64,
    /// Send the requests of this file and hold the answers to its answers.
    #[arg(long, value_name = "FILE", help_heading = "Request")]
    pub(crate) recorded: Option<PathBuf>,
    /// Check one answer in N, and the first to each request; 0: none.
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Request")]
    pub(crate) check_every: u64,

    /// Closed loop: requests in flight [default: 1].
    #[arg(long, value_name = "N", conflicts_with = "rate", help_heading = "Load")]
    pub(crate) concurrency: Option<usize>,
    /// Open loop: requests per second, sent whether or not answers come.
    #[arg(long, value_name = "PER_SECOND", help_heading = "Load")]
    pub(crate) rate: Option<f64>,
    #[arg(long, value_enum, default_value_t = Arrival::Poisson, help_heading = "Load")]
    pub(crate) arrival: Arrival,
    /// Open loop: keep the core busy between arrivals instead of sleeping; sends on time to a few µs.
    #[arg(long, help_heading = "Load")]
    pub(crate) spin: bool,
    /// Open loop: beyond so many unanswered requests, arrivals are counted as not sent.
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = "Load")]
    pub(crate) outstanding_max: usize,
    /// [default: grpc 1, http as many as in flight, or 64 in an open loop; at least 1 a thread].
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub(crate) connections: Option<usize>,
    /// Counted time, such as 500ms, 10s or 2m.
    #[arg(long, default_value = "10s", value_parser = duration, help_heading = "Load")]
    pub(crate) duration: Duration,
    /// Time before that, not counted.
    #[arg(long, default_value = "2s", value_parser = duration, help_heading = "Load")]
    pub(crate) warmup: Duration,
    /// Send so many requests, all counted, instead of going by time.
    #[arg(long, value_name = "N", help_heading = "Load")]
    #[arg(conflicts_with_all = ["duration", "warmup"])]
    pub(crate) requests: Option<u64>,
    /// Of each request.
    #[arg(long, default_value = "10s", value_parser = duration, help_heading = "Load")]
    pub(crate) timeout: Duration,
    /// Each thread has its own connections and share of the load.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    pub(crate) threads: usize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct ResultOptions {
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// Also write the results here, as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
    /// Also draw the latencies here, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) picture: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct CompareOptions {
    /// The first server; ratios are B to A.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) a: String,
    /// The second server.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) b: String,
    /// Each round runs A, then B.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    #[command(flatten)]
    pub(crate) load: LoadOptions,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Results")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct EchoOptions {
    /// 0 takes any free port and prints it.
    #[arg(long, default_value_t = 8001)]
    pub(crate) grpc_port: u16,
    /// 0 takes any free port and prints it.
    #[arg(long, default_value_t = 8000)]
    pub(crate) http_port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: std::net::IpAddr,
    #[arg(long, value_name = "NAME")]
    pub(crate) model: String,
    /// Take inputs and outputs from the model of the same name on this gRPC server.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) metadata_from: Option<String>,
    /// An input, such as image:FP32:-1x784; may be repeated.
    #[arg(long = "input", value_name = "NAME:DTYPE:DIMS")]
    #[arg(required_unless_present = "metadata_from")]
    pub(crate) inputs: Vec<String>,
    /// An output; its first axis of -1 gets the rows of the request. May be repeated.
    #[arg(long = "output", value_name = "NAME:DTYPE:DIMS")]
    #[arg(required_unless_present = "metadata_from")]
    pub(crate) outputs: Vec<String>,
}

/// `input=128`
fn axis(text: &str) -> Result<(String, usize), String> {
    let (name, length) = text.split_once('=').ok_or("expected INPUT=LENGTH")?;
    Ok((name.to_owned(), length.parse().map_err(|_| format!("{length:?} is not a length"))?))
}

/// `input=1x128`
fn shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let (name, axes) = text.split_once('=').ok_or("expected INPUT=1x128")?;
    let axis = |it: &str| it.parse().map_err(|_| format!("{it:?} is not a length"));
    Ok((name.to_owned(), axes.split('x').map(axis).collect::<Result<_, _>>()?))
}

/// `500ms`, `10s`, `1.5s`, `2m`
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let scale_s = match &text[digits.len()..] {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("unit {unit:?}, expected ms, s, m or h")),
    };
    let value: f64 = digits.parse().map_err(|_| format!("{digits:?} is not a number"))?;
    Duration::try_from_secs_f64(value * scale_s).map_err(|error| error.to_string())
}
