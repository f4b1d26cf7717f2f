//! `salver tune`: from arguments to a table, a picture and a `model.toml`.

mod machine;
mod report;

use std::fs;
use std::io::{self, Write as _};
use std::thread::available_parallelism;

use server_lifecycle::Engines;
use server_tune::{Candidate, Choice, Outcome as Found, Plan, Shown, TuneError, Wishes};

use super::{Outcome, complain, print};
use crate::cli::{LogFormat, OutputFormat, TuneArgs};
use crate::{engines, telemetry};
use machine::Machine;
use report::Report;

/// Loads say what an operator of the server would read of them, and no more.
const LOG_LEVEL: &str = "warn";

/// Searches and tells.
pub(crate) fn tune(args: TuneArgs) -> Outcome {
    let all = available_parallelism().map_or(1, usize::from);
    // Before any engine starts a thread: threads inherit it.
    let fewer = args.cores.filter(|it| (1..all).contains(it));
    if let Some(Err(error)) = fewer.map(machine::keep_to) {
        return complain(&format!("--cores: {error}"), Outcome::Failed);
    }
    let opened = telemetry::start_logs(LogFormat::Text, LOG_LEVEL)
        // Counting is a part of what serving costs.
        .and_then(|()| telemetry::start_metrics())
        .and_then(|_| engines::open(&args.libraries));
    let engines = match opened {
        Ok(engines) => engines,
        Err(error) => return complain(&format!("{error:#}"), Outcome::Failed),
    };
    match search(&args, &engines, all) {
        Ok(outcome) => outcome,
        Err(error @ TuneError::Wishes(_)) => complain(&error.to_string(), Outcome::Misused),
        Err(error @ TuneError::Configuration(_)) => {
            complain(&error.to_string(), Outcome::Misconfigured)
        }
        Err(error @ TuneError::Threads(_)) => complain(&error.to_string(), Outcome::Failed),
    }
}

fn search(args: &TuneArgs, engines: &Engines, cores: usize) -> Result<Outcome, TuneError> {
    let (repository, model) = (args.model_repository.as_path(), args.model.as_str());
    let mut plan = Plan::new(&wishes(args), (repository, model), engines, cores)?;
    report::announce(&plan).iter().for_each(|it| tell(it));
    if args.dry_run {
        return Ok(print(&report::dry(&plan, args.output)));
    }
    let found = server_tune::run(&mut plan, engines, &mut tell)?;
    Ok(conclude(args, &plan, &found))
}

fn wishes(args: &TuneArgs) -> Wishes {
    Wishes {
        version: args.version.clone(),
        goal_p99_ms: args.goal_p99_ms,
        engines: args.engines.clone(),
        instances: args.instances.clone(),
        threads: args.threads.clone(),
        batch_sizes: args.batch_sizes.clone(),
        concurrency: args.concurrency.clone(),
        seconds: args.seconds,
        rows: args.rows,
        axes: args.axis.clone(),
        cores: args.cores,
        dry_run: args.dry_run,
        write: args.write,
        picture: args.picture.clone(),
        force: args.force,
    }
}

/// A line of progress: standard output is for results.
fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints, draws and writes. What went wrong on the way does not hide what was found.
fn conclude(args: &TuneArgs, plan: &Plan, found: &Found) -> Outcome {
    let machine = Machine::here(plan.cores);
    let text = found.best.as_ref().map(|it| file(plan, found, it, &machine));
    let mut faults = Vec::new();
    if let Some(path) = &args.picture {
        let drawn = server_tune::draw(&shown(plan, &machine), found);
        let written = fs::write(path, drawn);
        faults.extend(written.err().map(|it| format!("cannot write {}: {it}", path.display())));
    }
    let mut written = None;
    if let (true, Some(text)) = (args.write, &text) {
        match server_tune::write(&plan.single.file(), plan.single.text(), text) {
            Ok(()) => written = Some(plan.single.file()),
            Err(error) => faults.push(error.to_string()),
        }
    }
    let report = Report { plan, found, machine: &machine, text: text.as_deref(), written };
    let printed = print(&match args.output {
        OutputFormat::Text => report.text(),
        OutputFormat::Json => report.json(),
    });
    let met = matches!(found.choice, Choice::Best(_));
    for fault in &faults {
        complain(fault, Outcome::Failed);
    }
    if faults.is_empty() && met { printed } else { Outcome::Failed }
}

/// The file that says what was found, and how.
fn file(plan: &Plan, found: &Found, best: &Candidate, machine: &Machine) -> String {
    let measured = match found.choice {
        Choice::Best(place) => found.points.get(place).map(|it| report::measured(it, plan)),
        Choice::Closest(_) | Choice::Nothing => None,
    };
    let (version, goal) = (env!("CARGO_PKG_VERSION"), report::ms(plan.goal));
    let lines = [
        format!("{} by salver {version} on {machine}", machine::today()),
        format!("version {}, goal p99 up to {goal} ms", plan.version),
        format!("measured {}, no network", measured.unwrap_or_default()),
    ];
    server_tune::head(&best.text, &lines)
}

fn shown(plan: &Plan, machine: &Machine) -> Shown {
    let (model, version) = (plan.single.model(), plan.version);
    Shown {
        title: format!("{model} version {version}: p99 over throughput"),
        note: format!(
            "{machine}; {} a request, no network; names: instances×threads; hollow: beyond the goal",
            report::rows(plan.rows)
        ),
        goal: plan.goal,
    }
}
