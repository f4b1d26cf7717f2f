//! Load generator for inference servers: open and closed loop, over the wire only.
//!
//! The module list follows a run: options become a plan, the plan becomes requests, threads send
//! them, answers are checked and tallied, the tally becomes a report. Of Salver's crates it imports
//! only `proto`, so that whatever it measures, it measures as any client would.

#![forbid(unsafe_code)]

mod options;
mod limits;
mod plan;
mod tensor;
mod signature;
mod random;
mod payload;
mod json;
mod case;
mod recorded;
mod endpoint;
mod deadline;
mod client;
mod backoff;
mod body;
mod grpc;
mod http1;
mod failure;
mod check;
mod supply;
mod profile;
mod arrivals;
mod trace;
mod pace;
mod window;
mod pacer;
mod tally;
mod mix;
mod strand;
mod phases;
mod core_time;
mod station;
mod run;
mod ceiling;
mod progress;
mod report;
mod picture;
mod spread;
mod figures;
mod publish;
mod contestant;
mod compare;
mod bracket;
mod search;
mod sweep;
mod echo;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

use crate::ceiling::Ceiling;
use crate::options::{Command, Options};
use crate::plan::Plan;

/// What the process ends with: 0 all well, 1 something failed or was wrong, 2 usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Clean,
    Failed,
    Usage,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let verdict = dispatch(&options.command).unwrap_or_else(|error| {
        eprintln!("loadtest: {error:#}");
        if error.is::<plan::Unusable>() { Verdict::Usage } else { Verdict::Failed }
    });
    match verdict {
        Verdict::Clean => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::from(1),
        Verdict::Usage => ExitCode::from(2),
    }
}

fn dispatch(command: &Command) -> anyhow::Result<Verdict> {
    let clean = match command {
        Command::Run(options) => {
            let plan = Plan::validate(&options.load, options.url.as_deref())?;
            let ceiling = Ceiling::measure(&plan);
            let mut report = run::run(&plan)?;
            report.hold_against(ceiling);
            report.publish(&options.results)?;
            report.clean()
        }
        Command::Compare(options) => {
            let comparison = compare::compare(options)?;
            publish::publish(&comparison, &options.results)?;
            comparison.clean
        }
        Command::Search(options) => {
            let search = search::search(options)?;
            publish::publish(&search, &options.results.table)?;
            publish::draw(options.results.picture.as_deref(), || search.picture())?;
            search.found()
        }
        Command::Sweep(options) => {
            let sweep = sweep::sweep(options)?;
            publish::publish(&sweep, &options.results.table)?;
            publish::draw(options.results.picture.as_deref(), || sweep.picture())?;
            sweep.clean
        }
        Command::Echo(options) => {
            echo::run(options)?;
            true
        }
    };
    Ok(if clean { Verdict::Clean } else { Verdict::Failed })
}
