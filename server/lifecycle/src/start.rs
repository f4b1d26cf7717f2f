//! Sets the lifecycle going: its options, its threads, its handle.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use server_base::{ModelName, PredictionLog};
use server_serving::{Bell, Cores, Serving};
use tokio::sync::watch;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Defaults;
use crate::direction::{Direction, directed};
use crate::engines::Engines;
use crate::eviction::Limits;
use crate::handle::{Lifecycle, Readiness, Told};
use crate::lacks::Lacks;
use crate::loader::{Loader, Means};
use crate::manager::{Ends, MESSAGES_MAX, Manager, Message};
use crate::memory::{Gauge, Scale};
use crate::monitoring::Monitors;
use crate::placement::{Gpus, Placement};
use crate::replay::{Before, Requests};
use crate::rooms::Rooms;
use crate::scanner::Scanner;
use crate::shelf::Shelf;

/// How the lifecycle is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model repositories. Of a model that lies in two of them only the first counts.
    pub repositories: Vec<PathBuf>,
    /// How much somebody else is still to bring for the first time; readiness waits for it.
    pub awaited: Arc<AtomicUsize>,
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
    /// Models that may be in memory at a time, if that is limited. Those that are loaded on demand
    /// make room for one another; others count, and stay.
    pub loaded_models_max: Option<usize>,
    /// Bytes that models may take, if that is limited: as above, but what is loaded always is refused
    /// too if there is no room for it and none can be made.
    pub model_memory_max: Option<u64>,
    /// What they take is read off this.
    pub memory: Gauge,
    /// The GPUs that models may be placed on.
    pub gpus: Gpus,
    /// The time, for them.
    pub clock: Clock,
    /// Who is told what is done with versions.
    pub audit: Audit,
    /// Is it found out which bytes are loaded, even if nobody is told?
    pub digests: bool,
    /// Where predictions are logged; `None`: nowhere.
    pub log: Option<Arc<dyn PredictionLog>>,
    /// What is logged here, to be asked again of versions that are loaded; `None`: nothing.
    pub requests: Option<Arc<dyn Requests>>,
    /// Who watches what is logged; `None`: nobody.
    pub monitors: Option<Arc<dyn Monitors>>,
    /// What a `model.toml` asks for in vain.
    pub lacks: Lacks,
    /// What models get that do not say otherwise.
    pub defaults: Defaults,
    /// What rollouts that began before this process say of their models, from the first load on.
    pub directions: BTreeMap<ModelName, Direction>,
}

impl Options {
    /// Has everything been brought?
    pub(crate) fn is_supplied(&self) -> bool {
        self.awaited.load(Ordering::Acquire) == 0
    }
}

/// Starts the manager and its loaders. Fails if a repository cannot be read at all.
pub fn start(options: Options, engines: Engines, serving: Arc<Serving>) -> io::Result<Lifecycle> {
    let supplied = options.is_supplied().then(Instant::now);
    let mut scanner = Scanner::new(&options.repositories, engines.artifacts());
    let mut found = scanner.scan();
    if let Some((repository, error)) = found.unread.pop() {
        let words = format!("{}: {error}", repository.display());
        return Err(io::Error::new(error.kind(), words));
    }
    let (commands, inbox) = bounded(MESSAGES_MAX);
    let changed = Arc::new(watch::Sender::new(0));
    let readiness = Arc::new(Readiness::new(options.strict_readiness));
    let told = Told::default();
    told.directed.store(Arc::new(directed(&options.directions)));
    let loader = Loader::start(
        options.loader_threads,
        Means {
            engines,
            cores: options.cores.clone(),
            log: options.log.clone(),
            scale: Arc::new(Scale::new(options.memory.clone())),
            placement: Arc::new(Placement::new(options.gpus.clone())),
            monitors: options.monitors.clone(),
            lacks: options.lacks,
            before: Before {
                requests: options.requests.clone(),
                serving: Some(Arc::clone(&serving)),
            },
            digests: options.digests || options.audit.is_heard(),
        },
        &commands,
        options.drain,
    )?;
    let lifecycle = Lifecycle {
        commands,
        told: told.clone(),
        readiness: Arc::clone(&readiness),
        changed: Arc::clone(&changed),
    };
    let rooms = rooms(&options, &lifecycle.commands);
    let shelf = Shelf::new(serving, told, readiness, changed);
    let manager = Manager::new(options, Ends { scanner, loader, rooms, shelf, supplied });
    thread::Builder::new()
        .name("lifecycle".to_owned())
        .spawn(move || manager.run(&inbox, &found))?;
    Ok(lifecycle)
}

/// Whose bell wakes the manager. A full inbox is no harm: the bell is looked at in every turn.
pub(crate) fn rooms(options: &Options, commands: &Sender<Message>) -> Rooms {
    let commands = commands.clone();
    let bell = Bell::new(move || drop(commands.try_send(Message::Asked)));
    let limits = Limits { models: options.loaded_models_max, bytes: options.model_memory_max };
    Rooms::new(bell, options.clock.clone(), limits)
}
