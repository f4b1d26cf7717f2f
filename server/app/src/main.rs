//! The `salver` command.

use std::process::ExitCode;

use clap::Parser as _;

/// Many small pieces of memory come and go with every request, on several threads.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    server_app::run(server_app::cli::Cli::parse())
}
