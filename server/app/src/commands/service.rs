//! What commands that run until a signal have in common.

use std::fs;
use std::path::Path;
use std::process;
use std::thread;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Outcome, complain};

/// Exit code of a second signal, which waits for nothing: 128 and the number of SIGINT, by custom.
const INTERRUPTED: i32 = 130;

/// Reads the settings, with those of the file if one is named, and runs by them.
pub(super) fn configured<S>(
    file: Option<&Path>,
    settings: impl FnOnce(Option<&str>) -> Result<S, Vec<String>>,
    run: impl FnOnce(&S) -> anyhow::Result<()>,
) -> Outcome {
    let text = file.map(|path| {
        fs::read_to_string(path).map_err(|it| vec![format!("config: {}: {it}", path.display())])
    });
    match text.transpose().and_then(|it| settings(it.as_deref())) {
        Ok(settings) => match run(&settings) {
            Ok(()) => Outcome::Done,
            Err(error) => complain(&format!("{error:#}"), Outcome::Failed),
        },
        Err(faults) => {
            let text = format!("the configuration has faults:\n  {}", faults.join("\n  "));
            complain(&text, Outcome::Misconfigured)
        }
    }
}

/// SIGTERM and SIGINT, one after the other.
pub(super) struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        drop(inside);
        Ok(Signals { runtime, terminate, interrupt })
    }

    /// Blocks until the first, then has everything stop, which says whether it was clean. A second one
    /// waits for nothing.
    pub(super) fn run_until(mut self, stop: impl FnOnce() -> bool) {
        let name = self.wait();
        tracing::info!(signal = name, "stopping");
        thread::spawn(move || {
            let name = self.wait();
            tracing::warn!(signal = name, "stopping at once");
            process::exit(INTERRUPTED);
        });
        let clean = stop();
        tracing::info!(clean, "stopped");
    }

    fn wait(&mut self) -> &'static str {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            }
        })
    }
}
