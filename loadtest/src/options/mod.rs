//! What the user wrote, as clap reads it. No effects, no checks beyond one value at a time.
//!
//! Validated by `plan` and `echo`.

mod load;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use load::{DeliveryOptions, LoadOptions, PaceOptions, RequestOptions};
pub(crate) use values::NamedAddress;
#[cfg(test)]
pub(crate) use values::duration;
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

#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct ResultOptions {
    #[command(flatten)]
    pub(crate) table: TableOptions,
    /// Also draw the latencies here, as SVG.
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
