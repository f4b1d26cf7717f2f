//! The `salver` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    server_app::run(server_app::cli::Cli::parse())
}
