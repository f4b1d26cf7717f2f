//! Versions that are wanted and that no address names: what a rollout came from or led to before the process was
//! started, and what answered before a version that cannot be loaded.
//!
//! What the cache has is taken from there, every byte hashed anew; the rest is fetched, beside everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use server_base::{ModelName, Version};
use server_registry::{Digest, Lease, RegistryError, Uri};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Desk, say, show, words};
use crate::book::{Book, Known};
use crate::facts::{Facts, facts};
use crate::folder::ModelFolder;
use crate::metrics;
use crate::target::Target;

/// How often it is looked whether something is missing. A look compares a few names.
const LOOK: Duration = Duration::from_secs(1);

/// After a failure a version is tried again so late.
const RETRY: Duration = Duration::from_secs(60);

/// Versions that are brought at a time.
const RECALLS_MAX: usize = 4;

type Wanted = (ModelName, Version);

impl Desk<'_> {
    /// Takes what is wanted from the cache, as far as that has it.
    pub(crate) async fn recall_cached(&self) {
        for (model, version) in self.missing() {
            let Some((target, book)) = self.book(&model) else { continue };
            let Some(known) = book.known(version) else { continue };
            if let Err(error) = self.recall_known((&target, version), known).await {
                tracing::warn!(%model, %version, error = words(&error), "the cache does not have it as it was");
            }
        }
    }

    /// Goes on for ever.
    pub(crate) async fn recall_missing(&self, awaited: &AtomicUsize) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way: BTreeSet<Wanted> = BTreeSet::new();
        let mut later: BTreeMap<Wanted, Instant> = BTreeMap::new();
        let mut recalls: FuturesUnordered<LocalBoxFuture<'_, (Wanted, bool)>> =
            FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                Some((wanted, is_there)) = recalls.next(), if !recalls.is_empty() => {
                    under_way.remove(&wanted);
                    if !is_there {
                        later.insert(wanted, Instant::now() + RETRY);
                    }
                    continue;
                }
            }
            // An address may name it: then its own pull brings it.
            if awaited.load(Ordering::Acquire) > 0 {
                continue;
            }
            self.fall_back().await;
            let (missing, now) = (self.missing(), Instant::now());
            later.retain(|it, due| missing.contains(it) && *due > now);
            for it in missing {
                let is_due = !under_way.contains(&it) && !later.contains_key(&it);
                if is_due && recalls.len() < RECALLS_MAX {
                    under_way.insert(it.clone());
                    recalls.push(Box::pin(self.recall(it)));
                }
            }
        }
    }

    /// Of models that are ours, what is wanted and not linked.
    fn missing(&self) -> Vec<Wanted> {
        let models = self.models.borrow();
        let is_missing = |(model, version): &Wanted| {
            let mut ours = models.iter().filter(|it| it.folder.target().model == *model);
            ours.any(|it| !it.folder.has(*version))
        };
        self.world.wanted().into_iter().filter(is_missing).collect()
    }

    fn book(&self, model: &ModelName) -> Option<(Target, Book)> {
        let models = self.models.borrow();
        let target = models.iter().map(|it| it.folder.target()).find(|it| it.model == *model)?;
        Some((target.clone(), Book::read(self.stock.cache.root(), target)))
    }

    /// True if it is there now.
    async fn recall(&self, (model, version): Wanted) -> (Wanted, bool) {
        let brought = self.bring(&model, version).await;
        let place = format!("version {version}");
        let mut models = self.models.borrow_mut();
        for it in models.iter_mut().filter(|it| it.folder.target().model == model) {
            match &brought {
                Ok(()) => drop(it.troubles.remove(&place)),
                Err(error) => {
                    metrics::recalled(&model, "failed");
                    let root = self.stock.cache.root().display().to_string();
                    let why = format!("{place}: {}", words(error).replace(&root, "the cache"));
                    let trouble = it.troubles.entry(place.clone()).or_default();
                    let source = it.folder.target().source.clone();
                    say(&mut trouble.asking, why, (&model, &source));
                }
            }
            it.show(self.origins);
        }
        drop(models);
        ((model, version), brought.is_ok())
    }

    async fn bring(&self, model: &ModelName, version: Version) -> Result<(), RegistryError> {
        let Some((target, book)) = self.book(model) else { return Ok(()) };
        let known = book.known(version);
        if let Some(known) = known
            && self.recall_known((&target, version), known).await?
        {
            return Ok(());
        }
        let uri = address(&target, version, known)?;
        if self.stock.lock.iter().next().is_some() && self.stock.lock.get(&uri).is_none() {
            let text = format!("{uri} is not in the cache, and models.lock does not have it");
            return Err(RegistryError::Policy(text));
        }
        tracing::warn!(%model, %version, %uri, "a rollout wants a version that is not in the cache: fetching it");
        let pulled = self.puller().pull(&uri).await?;
        let (tree, expected) = (pulled.lease.digest(), known.and_then(Known::tree));
        let is_numbered = known.is_none_or(Known::is_numbered);
        if is_numbered && pulled.record.version != Some(version.0) {
            let text = format!("{uri} is not version {version}");
            return Err(RegistryError::Answer(text));
        }
        if let Some(expected) = expected.filter(|it| *it != tree) {
            let text = format!("{uri} is {tree} by now; version {version} was {expected}");
            return Err(RegistryError::NotFound(text));
        }
        if let Some(why) = self.useless(&uri, &pulled.lease) {
            return Err(RegistryError::Answer(why));
        }
        metrics::recalled(model, "fetched");
        let facts = facts(&pulled.record);
        self.keep((&target, version), (pulled.lease, &uri.to_string(), facts))
    }

    /// False if the cache does not have it any more.
    async fn recall_known(
        &self,
        (target, version): (&Target, Version),
        known: &Known,
    ) -> Result<bool, RegistryError> {
        let Some(tree) = known.tree() else { return Ok(false) };
        let Some(lease) = self.lease(target, (known, tree)).await? else { return Ok(false) };
        let model = &target.model;
        tracing::info!(%model, %version, %tree, "a version that no address names any more comes from the cache");
        metrics::recalled(model, "cached");
        // What was said of it is not in the book.
        self.keep((target, version), (lease, known.source(), Facts::default()))?;
        Ok(true)
    }

    async fn lease(
        &self,
        target: &Target,
        (known, tree): (&Known, Digest),
    ) -> Result<Option<Lease>, RegistryError> {
        // What an address is pinned to it must be, whenever it named it.
        let uri = target.addresses().find(|it| known.is_of(it)).unwrap_or(&target.source);
        self.puller().recall(uri, tree).await
    }

    fn keep(
        &self,
        (target, version): (&Target, Version),
        (lease, source, facts): (Lease, &str, Facts),
    ) -> Result<(), RegistryError> {
        let mut models = self.models.borrow_mut();
        let Some(model) = models.iter_mut().find(|it| it.folder.target() == target) else {
            return Ok(());
        };
        let troubles = &model.troubles;
        let tell = |it: &ModelFolder| show(self.origins, it, troubles);
        let kept = model.folder.keep(version, (lease, source, facts), tell);
        model.show(self.origins);
        let text = || format!("cannot fill the folder of {}", target.model);
        kept.map_err(|error| RegistryError::Local(text(), error))
    }

    /// Where nothing answers because the source's version cannot be loaded, the one before it is linked.
    async fn fall_back(&self) {
        for (model, version) in self.world.failed() {
            let alone = |it: &super::Model| {
                let (target, folder) = (it.folder.target(), &it.folder);
                let is_source = folder.names(&target.source) == Some(version);
                target.model == model && is_source && folder.before().is_none()
            };
            if !self.models.borrow().iter().any(alone) {
                continue;
            }
            let Some((target, book)) = self.book(&model) else { continue };
            let before = book.before().filter(|it| *it != version);
            // Also where there is nothing to find, it is not looked for again.
            let before = before.unwrap_or(version);
            if before != version
                && let Some(known) = book.known(before)
                && let Err(error) = self.recall_known((&target, before), known).await
            {
                tracing::warn!(%model, version = %before, error = words(&error), "the version before cannot be taken from the cache");
            }
            let mut models = self.models.borrow_mut();
            for it in models.iter_mut().filter(|it| *it.folder.target() == target) {
                if let Err(error) = it.folder.fall_back_to(before) {
                    tracing::warn!(%model, version = %before, %error, "cannot fall back");
                }
            }
        }
    }

    /// What the cache has of an address whose content cannot be used now: what it named before.
    pub(crate) async fn recall_named(&self, uri: &Uri) {
        let nothing_named =
            |it: &super::Model| it.folder.target().source == *uri && it.folder.names(uri).is_none();
        let models: Vec<ModelName> = {
            let models = self.models.borrow();
            models
                .iter()
                .filter(|it| nothing_named(it))
                .map(|it| it.folder.target().model.clone())
                .collect()
        };
        for model in models {
            let Some((target, book)) = self.book(&model) else { continue };
            let Some(version) = book.named(uri) else { continue };
            let Some((known, tree)) = book.known(version).and_then(|it| Some((it, it.tree()?)))
            else {
                continue;
            };
            let lease = match self.lease(&target, (known, tree)).await {
                Ok(Some(lease)) => std::sync::Arc::new(lease),
                Ok(None) | Err(_) => continue, // why it cannot be followed is said already
            };
            tracing::warn!(%model, %version, %uri, %tree, "what the address names cannot be used; taking what it named before");
            metrics::recalled(&model, "cached");
            let mut models = self.models.borrow_mut();
            for it in models.iter_mut().filter(|it| *it.folder.target() == target) {
                if let Err(error) = self.link(it, uri, (version, &lease, &Facts::default(), None)) {
                    tracing::warn!(%model, %version, ?error, "cannot be linked");
                }
                it.show(self.origins);
            }
        }
    }
}

/// Where a version can be fetched that no address names.
fn address(target: &Target, version: Version, known: Option<&Known>) -> Result<Uri, RegistryError> {
    let nowhere = || {
        let text = format!(
            "version {version} is not in the cache, and {} has no versions by number",
            target.source
        );
        RegistryError::NotFound(text)
    };
    let Some(known) = known else { return target.source.at_version(version.0).ok_or_else(nowhere) };
    let named = target.addresses().find(|it| known.is_of(it)).cloned();
    // It may have been the address of a label that is gone.
    let uri = named.or_else(|| known.source().parse().ok()).ok_or_else(nowhere)?;
    if known.is_numbered() { uri.at_version(version.0).ok_or_else(nowhere) } else { Ok(uri) }
}

#[cfg(test)]
#[path = "recall_tests.rs"]
mod tests;
