//! What all registries' keepers work at: the folders of all models, and what operators are told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use server_base::{ModelName, Origin, Origins, Version};
use server_registry::{ErrorKind, Lease, Pulled, Puller, Record, RegistryError, Silent, Uri};
use toml::Table;

use crate::asked::asked;
use crate::book::{Book, Placed};
use crate::facts::{Facts, facts};
use crate::folder::{Misplaced, ModelFolder};
use crate::metrics::TargetMetrics;
use crate::numbers;
use crate::supply::{Stock, World};
use crate::target::Target;
use crate::trail::{Trail, Trouble as Refusal};

/// See the module. One thread's.
pub(crate) struct Desk<'a> {
    pub(crate) stock: &'a Stock,
    world: &'a dyn World,
    origins: &'a Origins,
    trail: Trail,
    /// Never borrowed across a wait.
    models: RefCell<Vec<Model>>,
}

struct Model {
    folder: ModelFolder,
    metrics: TargetMetrics,
    /// Why an address is not followed.
    troubles: BTreeMap<String, Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// It cannot be asked, or fetched.
    asking: Option<String>,
    /// What it names cannot be used.
    content: Option<String>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(
        (stock, world): (&'a Stock, &'a dyn World),
        origins: &'a Origins,
        folders: Vec<ModelFolder>,
    ) -> Desk<'a> {
        let model = |folder: ModelFolder| Model {
            metrics: TargetMetrics::new(&folder.target().model),
            folder,
            troubles: BTreeMap::new(),
        };
        let models: Vec<Model> = folders.into_iter().map(model).collect();
        models.iter().for_each(|it| it.show(origins));
        let trail = Trail::default();
        Desk { stock, world, origins, trail, models: RefCell::new(models) }
    }

    /// What comes of pulls is written down.
    pub(crate) fn with_trail(self, trail: Trail) -> Desk<'a> {
        Desk { trail, ..self }
    }

    /// All folders, with what they lease.
    pub(crate) fn let_go(self) -> Vec<ModelFolder> {
        self.models.into_inner().into_iter().map(|it| it.folder).collect()
    }

    pub(crate) fn puller(&self) -> Puller<'_> {
        let Stock { registries, cache, lock, signatures, .. } = self.stock;
        Puller { registries, cache, lock, signatures, progress: &Silent }
    }

    /// An address names this now. An error is worth another try; what can only be cured by other content
    /// is none.
    pub(crate) fn place(&self, uri: &Uri, pulled: Pulled) -> Result<(), RegistryError> {
        let Pulled { lease, record, fetched } = pulled;
        let tree = lease.digest();
        let useless = self.useless(uri, &lease);
        let (lease, is_numbered) = (Arc::new(lease), record.version.is_some());
        let (facts, asked) = (facts(&record), asked(&record.tags));
        self.each(uri, |model| {
            let asked = self.plan(uri, &asked, (model, &record))?;
            // Nothing is wrong with the address any more, unless that fails.
            let trouble = model.troubles.remove(uri.as_str());
            let placed = match &useless {
                Some(why) => Err(Misplaced::Unusable(why.clone())),
                None => self
                    .number(model, record.version, tree)
                    .and_then(|it| Ok((it, self.link(model, uri, (it, &lease, &facts, asked))?))),
            };
            match placed {
                Ok((version, is_new)) => {
                    if is_new {
                        let before = model.folder.before();
                        let placed = Placed { uri, version, tree, is_numbered, before };
                        self.note(model.folder.target(), &placed);
                        let model = &model.folder.target().model;
                        self.trail.pulled((model, uri), (version, tree, fetched));
                        tracing::info!(
                            %model, %version, %uri, identity = record.identity, %tree, fetched,
                            "the registry names another version"
                        );
                    } else {
                        self.trail.goes_on((&model.folder.target().model, uri));
                    }
                    Ok(())
                }
                Err(misplaced) => {
                    let trouble = trouble.unwrap_or_default();
                    let trouble = model.troubles.entry(uri.as_str().to_owned()).or_insert(trouble);
                    let name = &model.folder.target().model;
                    match misplaced {
                        Misplaced::Unusable(words) => {
                            let refusal =
                                Refusal { kind: ErrorKind::Policy, reason: &words, digests: None };
                            self.trail.failed((name, uri), &refusal);
                            say(&mut trouble.content, words, (name, uri));
                            Ok(())
                        }
                        Misplaced::Disk(error) => {
                            let words = format!("cannot fill the folder of {name}");
                            Err(RegistryError::Local(words, error))
                        }
                    }
                }
            }
        })
    }

    /// Whoever loads it finds it known where it comes from: that is shown first.
    fn link(
        &self,
        model: &mut Model,
        uri: &Uri,
        placed: (Version, &Arc<Lease>, &Facts, Option<&Table>),
    ) -> Result<bool, Misplaced> {
        let name = model.folder.target().model.clone();
        let fate = |it| self.world.fate(&name, it);
        let troubles = &model.troubles;
        model.folder.place(uri, placed, fate, |it| show(self.origins, it, troubles))
    }

    /// How a version is to take over by its tags. One that asks for what cannot be followed is not taken: to serve it
    /// all the same would be to let it take over without the rollout that was asked for.
    fn plan<'b>(
        &self,
        uri: &Uri,
        asked: &'b Result<Option<Table>, String>,
        (model, record): (&Model, &Record),
    ) -> Result<Option<&'b Table>, RegistryError> {
        let target = model.folder.target();
        if *uri != target.source {
            return Ok(None);
        }
        let plan = asked.as_ref().map_err(Clone::clone);
        let checked = plan.and_then(|plan| {
            let settings = plan.as_ref().map(|it| target.example_with(Some(it)));
            let faults = settings.map(|it| self.world.faults(&it)).unwrap_or_default();
            if faults.is_empty() { Ok(plan.as_ref()) } else { Err(faults.join("; ")) }
        });
        checked.map_err(|why| {
            let version = record.version.map(|it| format!(" version {it}")).unwrap_or_default();
            let text = format!(
                "{uri}:{version} is not taken, because its tags salver.rollout ask for a rollout \
                 that cannot be followed: {why}"
            );
            RegistryError::Policy(text)
        })
    }

    /// Why a tree cannot be a version, if it cannot.
    fn useless(&self, uri: &Uri, lease: &Lease) -> Option<String> {
        let root = |it: &str| lease.listing().iter().any(|(path, _)| path.as_str() == it);
        let artifacts = &self.stock.artifacts;
        (!artifacts.iter().any(|it| root(it))).then(|| {
            let (tree, names) = (lease.digest(), artifacts.join(", "));
            format!("{uri}: {tree} holds no file that an engine reads ({names})")
        })
    }

    /// Writes down what a version is. Without it the server serves as well, until it is started anew.
    fn note(&self, target: &Target, placed: &Placed<'_>) {
        if let Err(error) = Book::write(self.stock.cache.root(), target, placed) {
            let (model, version) = (&target.model, placed.version);
            tracing::warn!(%model, %version, %error, "a restart may not find this version again");
        }
    }

    fn number(
        &self,
        model: &Model,
        named: Option<u64>,
        tree: server_registry::Digest,
    ) -> Result<Version, Misplaced> {
        match named {
            // What a `model.toml` can say.
            Some(version) if (1..=i64::MAX as u64).contains(&version) => Ok(Version(version)),
            Some(version) => {
                let words = format!("version {version}: expected one from 1 to {}", i64::MAX);
                Err(Misplaced::Unusable(words))
            }
            None => {
                let cache = self.stock.cache.root();
                let source = &model.folder.target().source;
                Ok(Version(numbers::number(cache, source, tree)?))
            }
        }
    }

    /// An address was asked, and answered.
    pub(crate) fn is_well(&self, uri: &Uri, has_changed: bool) {
        let _ = self.each(uri, |model| {
            model.metrics.succeeded(has_changed);
            let trouble = model.troubles.entry(uri.as_str().to_owned()).or_default();
            if trouble.asking.take().is_some() {
                tracing::info!(model = %model.folder.target().model, %uri, "the registry helps again");
            }
            if model.folder.is_crowded() {
                let name = model.folder.target().model.clone();
                let pruned = model.folder.prune(|version| self.world.fate(&name, version));
                if let Err(error) = pruned {
                    tracing::warn!(model = %name, %error, "an old version cannot be let go of");
                }
            }
            Ok(())
        });
    }

    /// An address was asked, and did not help.
    pub(crate) fn is_ill(&self, uri: &Uri, error: &RegistryError) {
        // Clients see the reason: where the cache lies is none of their business.
        let root = self.stock.cache.root().display().to_string();
        let why = words(error).replace(&root, "the cache");
        let _ = self.each(uri, |model| {
            model.metrics.failed(error.kind());
            let trouble = model.troubles.entry(uri.as_str().to_owned()).or_default();
            let name = &model.folder.target().model;
            self.trail.failed((name, uri), &Refusal::of(error, &why));
            say(&mut trouble.asking, why.clone(), (name, uri));
            Ok(())
        });
    }

    /// Does something to every model of an address, and shows what came of it.
    fn each(
        &self,
        uri: &Uri,
        mut work: impl FnMut(&mut Model) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        let mut done = Ok(());
        for model in self.models.borrow_mut().iter_mut() {
            if model.folder.target().addresses().any(|it| it == uri) {
                done = done.and(work(model));
                model.show(self.origins);
            }
        }
        done
    }
}

impl Model {
    fn show(&self, origins: &Origins) {
        let ill = |it: &&Trouble| it.asking.is_some() || it.content.is_some();
        self.metrics.failing(self.troubles.values().filter(ill).count());
        show(origins, &self.folder, &self.troubles);
    }
}

/// What others are told of a model.
fn show(origins: &Origins, folder: &ModelFolder, troubles: &BTreeMap<String, Trouble>) {
    let target = folder.target();
    let troubles = troubles.values();
    let troubles = troubles.flat_map(|it| it.asking.iter().chain(&it.content).cloned());
    let troubles: Vec<String> = troubles.collect();
    let origin = Origin {
        source: target.source.to_string(),
        versions: folder.contents(),
        before: folder.before(),
        trouble: (!troubles.is_empty()).then(|| troubles.join("; ")),
    };
    if origins.get(target.model.as_str()).is_none_or(|it| *it != origin) {
        origins.set(&target.model, origin);
    }
}

/// What is the same as before is said once.
fn say(last: &mut Option<String>, words: String, (model, uri): (&ModelName, &Uri)) {
    if last.as_ref() != Some(&words) {
        tracing::warn!(%model, %uri, reason = words, "the address cannot be followed");
        *last = Some(words);
    }
}

/// The error, with its cause.
fn words(error: &RegistryError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Does the registry not answer at all?
pub(crate) fn is_silent(error: &RegistryError) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Slow)
}

#[path = "recall.rs"]
mod recall;

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
