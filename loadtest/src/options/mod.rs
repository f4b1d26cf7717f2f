//! What the user wrote, as clap reads it. No effects, no checks beyond one value at a time.
//!
//! Validated by `plan` and `echo`.

mod load;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

pub(crate) use load::{DeliveryOptions, LoadOptions, PaceOptions, RequestOptions, SteadyOptions};
pub(crate) use values::{Lengths, NamedAddress, Span, Steps, duration};

use crate::arrivals::Arrival;
use values::named_address;

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
    /// Run several servers in turn and report the ratios of each round.
    Compare(CompareOptions),
    /// Find the highest rate at which the answers still come in time.
    Search(SearchOptions),
    /// Run several loads, from light to heavy, and draw latency over throughput.
    Sweep(SweepOptions),
    /// Serve canned answers: the floor of the transport, to compare a server with.
    Echo(EchoOptions),
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Where the server is: HOST:PORT, or with the protocol as scheme, such as http://HOST:PORT
    /// [default: 127.0.0.1:8001 for grpc, 127.0.0.1:8000 for http].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) load: LoadOptions,
    #[command(flatten)]
    pub(crate) results: ResultOptions,
}

#[derive(Debug, Args)]
pub(crate) struct CompareOptions {
    /// A server and the name for it; the first is the reference of the ratios. At least two.
    /// The scheme is the protocol: grpc://, http:// (binary tensors), http+json://.
    #[arg(long = "target", value_name = "NAME=ADDRESS", required = true)]
    #[arg(value_parser = named_address)]
    pub(crate) targets: Vec<NamedAddress>,
    /// Each round runs every target once, in the order given.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    #[command(flatten)]
    pub(crate) load: LoadOptions,
    #[command(flatten)]
    pub(crate) results: TableOptions,
}

/// One server or several, for commands that take either.
#[derive(Debug, Args)]
pub(crate) struct ServerOptions {
    /// Where the server is [default: 127.0.0.1:8001 for grpc, 127.0.0.1:8000 for http].
    #[arg(long, value_name = "ADDRESS", conflicts_with = "targets")]
    pub(crate) url: Option<String>,
    /// A server and the name for it, for several under the same load, in turn.
    #[arg(long = "target", value_name = "NAME=ADDRESS", value_parser = named_address)]
    pub(crate) targets: Vec<NamedAddress>,
}

#[derive(Debug, Args)]
pub(crate) struct SearchOptions {
    #[command(flatten)]
    pub(crate) servers: ServerOptions,
    /// The rate is good if the 99th percentile is at most this, and every request was answered.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Search")]
    pub(crate) p99: Duration,
    /// Search from this rate up [default: first try 1000, then up or down].
    #[arg(long, value_name = "PER_SECOND", help_heading = "Search")]
    pub(crate) from: Option<f64>,
    /// Search up to this rate.
    #[arg(long, value_name = "PER_SECOND", help_heading = "Search")]
    pub(crate) to: Option<f64>,
    /// Stop when the highest good rate and the lowest bad one are so close.
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, help_heading = "Search")]
    pub(crate) precision: f64,
    /// A rate is bad only if it was so often: one hiccup decides nothing.
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Search")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) tries: u32,
    /// Probes of each target before the search is given up.
    #[arg(long, value_name = "N", default_value_t = 24, help_heading = "Search")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) probes_max: u32,
    /// Open loop: poisson, constant, or burst=N for N at once.
    #[arg(long, default_value = "poisson", help_heading = "Load")]
    pub(crate) arrival: Arrival,
    #[command(flatten)]
    pub(crate) load: SteadyOptions,
    #[command(flatten)]
    pub(crate) results: ResultOptions,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("points").required(true).args(["concurrency", "rates"]))]
pub(crate) struct SweepOptions {
    #[command(flatten)]
    pub(crate) servers: ServerOptions,
    /// Closed loops with so many requests in flight.
    #[arg(long, value_name = "N,…", value_delimiter = ',', help_heading = "Load")]
    pub(crate) concurrency: Vec<usize>,
    /// Open loops of so many requests per second.
    #[arg(long, value_name = "PER_SECOND,…", value_delimiter = ',', help_heading = "Load")]
    pub(crate) rates: Vec<f64>,
    /// Each point is measured so often, all targets in turn; the median is shown.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Open loop: poisson, constant, or burst=N for N at once.
    #[arg(long, default_value = "poisson", help_heading = "Load")]
    pub(crate) arrival: Arrival,
    #[command(flatten)]
    pub(crate) load: SteadyOptions,
    #[command(flatten)]
    pub(crate) results: ResultOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct ResultOptions {
    #[command(flatten)]
    pub(crate) table: TableOptions,
    /// Also draw the results here, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) picture: Option<PathBuf>,
}

/// Where results go that have no picture.
#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct TableOptions {
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// Also write the results here, as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
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
    /// May be repeated, with --metadata-from.
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) model: Vec<String>,
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
