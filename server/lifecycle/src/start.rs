//! Sets the lifecycle going: its options, its threads, its handle.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::bounded;
use server_serving::{Cores, Serving};
use tokio::sync::watch;

use crate::config::Defaults;
use crate::engines::Engines;
use crate::handle::{Lifecycle, Readiness};
use crate::loader::Loader;
use crate::manager::{Ends, MESSAGES_MAX, Manager};
use crate::repository;

/// How the lifecycle is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model repository.
    pub repository: PathBuf,
    /// How often it is looked at.
    pub scan_interval: Duration,
    /// How long a version's folder, or a configuration, must have rested before it counts.
    pub rest: Duration,
    /// Loads and unloads at a time.
    pub loader_threads: usize,
    /// How long a retired version may take to finish its requests.
    pub drain: Duration,
    /// Does a model without any version that answers keep the server unready?
    pub strict_readiness: bool,
    /// What the models run on.
    pub cores: Cores,
    /// What models get that do not say otherwise.
    pub defaults: Defaults,
}

/// Starts the manager and its loaders. Fails if the repository cannot be read at all.
pub fn start(options: Options, engines: Engines, serving: Arc<Serving>) -> io::Result<Lifecycle> {
    let artifacts = engines.artifacts();
    let found = repository::scan(&options.repository, &artifacts)?;
    let (commands, inbox) = bounded(MESSAGES_MAX);
    let changed = Arc::new(watch::Sender::new(0));
    let readiness = Arc::new(Readiness::new(options.strict_readiness));
    let index = Arc::new(ArcSwap::from_pointee(Vec::new()));
    let loader = Loader::start(
        options.loader_threads,
        (&engines, &options.cores),
        &commands,
        options.drain,
    )?;
    let lifecycle = Lifecycle {
        commands,
        index: Arc::clone(&index),
        readiness: Arc::clone(&readiness),
        changed: Arc::clone(&changed),
    };
    let ends = Ends { loader, index, readiness, changed };
    let manager = Manager::new(options, artifacts, serving, ends);
    thread::Builder::new()
        .name("lifecycle".to_owned())
        .spawn(move || manager.run(&inbox, &found))?;
    Ok(lifecycle)
}
