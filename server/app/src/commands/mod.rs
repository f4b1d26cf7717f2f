//! The subcommands. Results go to standard output, everything else to standard error.

mod devices;
#[cfg(feature = "drift")]
mod drift;
#[cfg(all(feature = "drift", feature = "truth"))]
mod labels;
#[cfg(feature = "parquet")]
mod logs;
mod meter;
mod models;
#[cfg(feature = "fleet")]
mod monitor;
#[cfg(feature = "rollouts")]
mod orders;
mod predict;
#[cfg(feature = "parquet")]
mod page;
#[cfg(feature = "drift")]
mod profile;
#[cfg(feature = "drift")]
mod report;
#[cfg(feature = "parquet")]
mod replay;
#[cfg(feature = "rollouts")]
mod rollout;
mod server;
mod service;
mod store;
mod table;
#[cfg(feature = "triggers")]
mod trigger;
#[cfg(feature = "tune")]
mod tune;
mod validate;
mod version;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;
use server_registry::{ErrorKind, RegistryError};

#[cfg(feature = "drift")]
use crate::cli::DriftCommand;
#[cfg(all(feature = "drift", feature = "truth"))]
use crate::cli::LabelsCommand;
#[cfg(feature = "parquet")]
use crate::cli::LogsCommand;
#[cfg(feature = "rollouts")]
use crate::cli::RolloutCommand;
#[cfg(feature = "triggers")]
use crate::cli::TriggerCommand;
use crate::cli::{Cli, ClientCommand, Command, ModelsCommand, ServerArgs};
#[cfg(feature = "fleet")]
pub(crate) use logs::micros;

use crate::client::{Client, ClientError};

/// What a command came to; the numbers stand in `salver help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All went well.
    Done,
    /// It did not.
    Failed,
    /// What is to be looked at cannot be.
    #[cfg(feature = "parquet")]
    Unfit,
    /// Nobody answers at the address.
    Unreachable,
    /// What is asked for contradicts itself, or what is there.
    Misused,
    /// The settings are faulty.
    Misconfigured,
}

impl From<Outcome> for ExitCode {
    /// The last three are those of sysexits.h: EX_DATAERR, EX_UNAVAILABLE and EX_CONFIG.
    fn from(outcome: Outcome) -> ExitCode {
        ExitCode::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Misused => 2,
            #[cfg(feature = "parquet")]
            Outcome::Unfit => 65,
            Outcome::Unreachable => 69,
            Outcome::Misconfigured => 78,
        })
    }
}

/// Does what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => server::serve(*args),
        Command::Predict(args) => asked(predict::predict(&args)),
        Command::Models { command } => asked(match command {
            ModelsCommand::List(server) => models::list(&server),
            ModelsCommand::Show { model, server } => models::show(&model, &server),
            ModelsCommand::Load { model, server } => models::change("load", &model, &server),
            ModelsCommand::Unload { model, server } => models::change("unload", &model, &server),
            #[cfg(feature = "rollouts")]
            ModelsCommand::Promote(args) => orders::promote(&args),
            #[cfg(feature = "rollouts")]
            ModelsCommand::Rollback(args) => orders::roll_back(&args),
            #[cfg(feature = "rollouts")]
            ModelsCommand::Forget(args) => orders::forget(&args),
            ModelsCommand::Pull(args) => return kept(store::pull(&args)).into(),
            ModelsCommand::Verify(store) => return kept(store::verify(&store)).into(),
            ModelsCommand::Lock { uris, store } => return kept(store::lock(&uris, &store)).into(),
        }),
        Command::Client { command: ClientCommand::Health(server) } => asked(health(&server)),
        #[cfg(all(feature = "drift", feature = "truth"))]
        Command::Labels { command: LabelsCommand::Send(args) } => asked(labels::send(&args)),
        #[cfg(feature = "rollouts")]
        Command::Rollout { command } => asked(match command {
            RolloutCommand::Start(args) => rollout::start(&args),
            RolloutCommand::Status { model, server } => rollout::status(model.as_deref(), &server),
            RolloutCommand::Promote(of) => rollout::command("promote", &of),
            RolloutCommand::Hold(of) => rollout::command("hold", &of),
            RolloutCommand::Resume(of) => rollout::command("resume", &of),
            RolloutCommand::Abort(of) => rollout::command("abort", &of),
        }),
        #[cfg(feature = "triggers")]
        Command::Trigger { command } => asked(match command {
            TriggerCommand::List(server) => trigger::list(&server),
            TriggerCommand::Fire(args) => trigger::fire(&args, false),
            TriggerCommand::Test(args) => trigger::fire(&args, true),
            TriggerCommand::Mute { of, hours } => trigger::mute(&of, Some(hours)),
            TriggerCommand::Unmute(of) => trigger::mute(&of, None),
        }),
        #[cfg(feature = "drift")]
        Command::Drift { command: DriftCommand::Compare(args) } => drift::compare(&args),
        #[cfg(feature = "drift")]
        Command::Drift { command: DriftCommand::Show(of) } => asked(report::show(&of)),
        #[cfg(feature = "drift")]
        Command::Drift { command: DriftCommand::Report(args) } => asked(report::report(&args)),
        #[cfg(feature = "fleet")]
        Command::Monitor(args) => monitor::monitor(*args),
        #[cfg(feature = "parquet")]
        Command::Logs { command } => match command {
            LogsCommand::Tail(args) => logs::tail(&args),
            LogsCommand::Export(args) => logs::export(&args),
            LogsCommand::Replay(args) => replay::replay(&args),
        },
        #[cfg(feature = "drift")]
        Command::Profile(args) => profile::profile(&args),
        Command::Validate(args) => validate::validate(&args),
        #[cfg(feature = "tune")]
        Command::Tune(args) => tune::tune(*args),
        Command::Devices(args) => devices::devices(&args),
        Command::Version(args) => version::version(&args),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "salver", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    outcome.into()
}

fn health(server: &ServerArgs) -> Result<String, ClientError> {
    match Client::new(server)?.ask(http::Method::GET, "/v2/health/ready", Vec::new()) {
        Ok(_) => Ok("ready".to_owned()),
        Err(ClientError::Refused(..)) => {
            Err(ClientError::Failed(anyhow::anyhow!("the server is not ready")))
        }
        Err(error) => Err(error),
    }
}

fn asked(result: Result<String, ClientError>) -> Outcome {
    match result {
        Ok(text) => print(&text),
        Err(ClientError::Unreachable(error)) => {
            complain(&format!("{error:#}"), Outcome::Unreachable)
        }
        Err(ClientError::Refused(status, words)) => {
            complain(&format!("{words} ({status})"), Outcome::Failed)
        }
        Err(ClientError::Failed(error)) => complain(&format!("{error:#}"), Outcome::Failed),
    }
}

/// Whether a registry did not answer is told apart, as for a server.
fn kept(result: Result<String, RegistryError>) -> Outcome {
    match result.map_err(told) {
        Ok(text) => print(&text),
        Err((why, outcome)) => complain(&why, outcome),
    }
}

/// In words, and as a number for scripts.
fn told(error: RegistryError) -> (String, Outcome) {
    let away = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Slow);
    let outcome = if away { Outcome::Unreachable } else { Outcome::Failed };
    (format!("{:#}", anyhow::Error::from(error)), outcome)
}

/// Prints a result. A reader that has gone away is no failure.
fn print(text: &str) -> Outcome {
    match writeln!(io::stdout().lock(), "{}", text.trim_end()) {
        Ok(()) => Outcome::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Done,
        Err(_) => Outcome::Failed,
    }
}

fn complain(text: &str, outcome: Outcome) -> Outcome {
    let _ = writeln!(io::stderr().lock(), "salver: {text}");
    outcome
}
