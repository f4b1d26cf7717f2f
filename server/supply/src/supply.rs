//! Sets the supply going: its folder, its thread, its end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::future::{join_all, join4};
use server_base::{Journal, ModelName, Origins, Version};
use server_registry::{Cache, Lock, Registries, SignaturePolicy, Uri};
use tokio::sync::{mpsc, oneshot};

use crate::desk::Desk;
use crate::folder::ModelFolder;
use crate::house::House;
use crate::hurry::{Hurry, pass_on};
use crate::keeper::Keeper;
use crate::target::Target;
use crate::trail::Trail;
use crate::verdicts::{Taken, Verdicts, tell_all};
use crate::webhook::{Changed, WebhookSecrets, Webhooks};

/// Where models come from, where they are kept, and what they must be.
#[derive(Debug)]
pub struct Stock {
    /// Where from.
    pub registries: Registries,
    /// Where they are kept.
    pub cache: Cache,
    /// Addresses that are pinned.
    pub lock: Lock,
    /// Who must have signed.
    pub signatures: SignaturePolicy,
    /// Files that engines read. A version without any is not taken.
    pub artifacts: Vec<&'static str>,
}

/// What has become of a version that was linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// In memory, or a rollout wants it: its files stay where they are.
    Needed,
    /// Nobody wants it now.
    Idle,
    /// It cannot be loaded.
    Failed,
}

/// What the supply asks of those who load.
pub trait World: Send {
    /// What has become of a version.
    fn fate(&self, model: &ModelName, version: Version) -> Fate;
    /// Versions that rollouts want, of models that are served from the supply's folder.
    fn wanted(&self) -> Vec<(ModelName, Version)>;
    /// Versions that cannot be loaded, of models of which nothing answers.
    fn failed(&self) -> Vec<(ModelName, Version)>;
    /// What is wrong with the text of a `model.toml`, if anything is.
    fn faults(&self, settings: &str) -> Vec<String>;
}

/// A folder with a model for each target, and nothing in them yet.
#[derive(Debug)]
pub struct Prepared {
    stock: Stock,
    house: House,
    folders: Vec<ModelFolder>,
    /// By registry. None twice, however many models it serves.
    addresses: BTreeMap<String, Vec<(Uri, Duration)>>,
    awaited: Arc<AtomicUsize>,
    origins: Origins,
    verdicts: Verdicts,
    taken: Taken,
    changed: Option<mpsc::Receiver<Changed>>,
    audit: Option<Arc<Journal>>,
}

impl Prepared {
    /// Makes the folder. Fails if the cache cannot be written to.
    pub fn new(stock: Stock, targets: Vec<Target>) -> io::Result<Prepared> {
        let house = House::new(stock.cache.root())?;
        let mut addresses: BTreeMap<String, Vec<(Uri, Duration)>> = BTreeMap::new();
        for (uri, poll) in targets.iter().flat_map(|it| it.addresses().map(|uri| (uri, it.poll))) {
            let registry = addresses.entry(uri.registry()).or_default();
            match registry.iter_mut().find(|(it, _)| it == uri) {
                Some((_, often)) => *often = poll.min(*often),
                None => registry.push((uri.clone(), poll)),
            }
        }
        let awaited = Arc::new(AtomicUsize::new(addresses.values().map(Vec::len).sum()));
        let (verdicts, taken) = Verdicts::new(&targets);
        let folder = |it| ModelFolder::new(house.folder(), it);
        let folders = targets.into_iter().map(folder).collect::<io::Result<_>>()?;
        let origins = Origins::default();
        let (changed, audit) = (None, None);
        Ok(Prepared {
            stock,
            folders,
            addresses,
            awaited,
            origins,
            house,
            verdicts,
            taken,
            changed,
            audit,
        })
    }

    /// The repository.
    pub fn folder(&self) -> &Path {
        self.house.folder()
    }

    /// How many addresses have not been looked at even once.
    pub fn awaited(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.awaited)
    }

    /// Where rollouts say what they have decided.
    pub fn verdicts(&self) -> Verdicts {
        self.verdicts.clone()
    }

    /// What comes of pulls is written down there.
    #[must_use]
    pub fn audited(self, audit: Option<Arc<Journal>>) -> Prepared {
        Prepared { audit, ..self }
    }

    /// Takes messages by which registries say that something has changed, from those who know a secret.
    pub fn webhooks(&mut self, secrets: WebhookSecrets) -> Webhooks {
        let (webhooks, changed) = Webhooks::new(secrets);
        self.changed = Some(changed);
        webhooks
    }

    /// What is known of the models.
    pub fn origins(&self) -> Origins {
        self.origins.clone()
    }

    /// Begins to look. `give_way` makes the calling thread, and those that it starts, give way to those that
    /// speak to clients: bytes are hashed, written and unpacked by threads of the supply's.
    pub fn start(self, world: Box<dyn World>, give_way: fn()) -> io::Result<Supply> {
        let Prepared {
            stock,
            house,
            folders,
            addresses,
            awaited,
            origins,
            taken,
            changed,
            audit,
            ..
        } = self;
        let targets: Vec<Target> = folders.iter().map(|it| it.target().clone()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("supply".to_owned()).spawn(move || {
            give_way();
            let desk = Desk::new((&stock, &*world), &origins, folders);
            let desk = desk.with_trail(Trail::new(audit));
            runtime.block_on(async {
                let work = async {
                    // Before anything is shown: what was rolled back must not answer in the meantime.
                    desk.recall_cached().await;
                    let hurried = |it: &String| (it.clone(), Rc::default());
                    let hurried: BTreeMap<String, Rc<Hurry>> =
                        addresses.keys().map(hurried).collect();
                    let heard = async {
                        if let Some(it) = changed {
                            pass_on(it, &targets, &hurried).await;
                        }
                    };
                    join4(
                        heard,
                        keep_all(&desk, &awaited, (addresses, &hurried)),
                        desk.recall_missing(&awaited),
                        tell_all(&stock.registries, taken),
                    )
                    .await
                };
                tokio::select! {
                    _ = stopped => {}
                    _ = work => {}
                }
            });
            // Files that are being written in a thread of their own are not waited for: what has no
            // final name counts for nothing. What is placed stays leased until nobody loads it.
            let folders = desk.let_go();
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
            folders
        })?;
        Ok(Supply { house, thread, stop })
    }
}

/// At work until it is stopped.
#[derive(Debug)]
pub struct Supply {
    house: House,
    thread: JoinHandle<Vec<ModelFolder>>,
    stop: oneshot::Sender<()>,
}

/// A supply that is at rest. Its folder goes with it.
#[derive(Debug)]
pub struct Stopped {
    _house: House,
    _leased: Vec<ModelFolder>,
}

impl Supply {
    /// Ends it. What it brought stays in the cache, and linked for as long as the answer is held.
    pub fn stop(self) -> Stopped {
        let _ = self.stop.send(()); // it has ended by itself if nothing can change
        Stopped { _house: self.house, _leased: self.thread.join().unwrap_or_default() }
    }
}

/// By registry, and how often each is looked at.
type Addresses = BTreeMap<String, Vec<(Uri, Duration)>>;

/// By registry.
type Hurried = BTreeMap<String, Rc<Hurry>>;

async fn keep_all(
    desk: &Desk<'_>,
    awaited: &AtomicUsize,
    (addresses, hurried): (Addresses, &Hurried),
) {
    let silent: Vec<Cell<bool>> = addresses.iter().map(|_| Cell::new(false)).collect();
    let keepers = addresses.into_iter().zip(&silent).map(|((registry, addresses), silent)| {
        let hurry = hurried.get(&registry).cloned().unwrap_or_default();
        Keeper::new(desk, (awaited, silent), (addresses, hurry)).keep()
    });
    join_all(keepers).await;
}

#[cfg(test)]
#[path = "supply_tests.rs"]
mod tests;
