//! One model's books: what its folder holds, what is wanted of it, what is in memory.
//!
//! Kept by the manager alone. Decides nothing by itself: `folder` knows what there is, the wanted
//! versions come from `desired`, the next action from `policy`, every change of state from `state`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use server_base::{ModelName, Version};
use server_serving::metrics::RequestMetrics;
use server_serving::{Demand, ModelEntry};

use crate::audit::By;
use crate::config::{Defaults, VersionPolicy};
use crate::direction::Direction;
use crate::folder::{Folder, print};
use crate::handle::Entry;
use crate::lazy::Lazy;
use crate::load::LoadJob;
use crate::metrics::{ArtifactMetrics, StateMetrics};
use crate::policy::{Action, Seen, next_action};
use crate::repository::Look;
use crate::retries::{Key, Retries};
use crate::scanner::Seen as Scanned;
use crate::settle::Part;
use crate::state::{Event, Illegal, State, next};
use crate::warm::Warmth;

use artifact::Artifact;
use copied::Copied;
use shown::Shown;

/// A model of the repository, or one that has left it and is still in memory.
pub(crate) struct Model {
    name: ModelName,
    folder: Folder,
    /// An operator said that nothing of it is wanted.
    unloaded: bool,
    /// What a rollout says of it.
    direction: Option<Direction>,
    pub(crate) lazy: Lazy,
    retries: Retries,
    /// What versions took when they were weighed.
    measured: BTreeMap<Key, u64>,
    /// Who wanted that nothing of it is in memory, the last time.
    asleep_by: Option<By>,
    /// What the last scan saw, and whether all of it had come to rest.
    seen: Option<(Scanned, bool)>,
    artifacts: Vec<Artifact>,
    /// Of every version that has an artifact.
    states: BTreeMap<Version, StateMetrics>,
    requests: Arc<RequestMetrics>,
    /// Where copies of its requests go.
    copied: Option<Copied>,
    /// As it was when it was last shown.
    shown: Shown,
    /// Has something happened since then?
    is_changed: bool,
}

impl Model {
    /// Nothing of it is in memory. New is one that appears while the server runs.
    pub(crate) fn new(demand: Arc<Demand>, defaults: &Defaults, is_new: bool) -> Model {
        let name = demand.model().clone();
        let requests = Arc::new(RequestMetrics::of_model(&name));
        Model {
            folder: Folder::new(name.clone(), defaults, is_new),
            shown: Shown::nothing(&requests),
            requests,
            name,
            unloaded: false,
            direction: None,
            copied: None,
            lazy: Lazy::new(demand),
            retries: Retries::default(),
            measured: BTreeMap::new(),
            asleep_by: None,
            seen: None,
            artifacts: Vec::new(),
            states: BTreeMap::new(),
            is_changed: true,
        }
    }

    /// Takes over what a scan found; `None` if the folder is gone. True if something of it has not
    /// come to rest.
    pub(crate) fn observe(
        &mut self,
        found: Option<&Scanned>,
        defaults: &Defaults,
        is_settled: impl FnMut(Part, Look) -> bool,
    ) -> bool {
        self.touch();
        let prints: Vec<_> = self.folder.prints().collect();
        let was_lazy = self.is_lazy();
        let unsettled = self.folder.observe(found.map(|it| &**it), defaults, is_settled);
        self.seen = found.map(|it| (Arc::clone(it), !unsettled));
        if !prints.into_iter().eq(self.folder.prints()) {
            self.lazy.forget_failure();
        }
        if self.is_lazy() && !was_lazy && self.is_in_memory() {
            self.lazy.admit(); // nothing is unloaded only because it might be loaded later
        }
        unsettled
    }

    /// Has a scan found what the last one found, and was all of that at rest?
    pub(crate) fn has_seen(&self, found: Option<&Scanned>) -> bool {
        match (&self.seen, found) {
            (Some((seen, rests)), Some(found)) => *rests && Arc::ptr_eq(seen, found),
            (None, _) | (_, None) => false,
        }
    }

    /// Makes an entry for every wanted revision that has none, and drops what is over.
    pub(crate) fn want(&mut self, mut new_id: impl FnMut() -> u64) {
        for version in self.desired() {
            let Some(found) = self.folder.present().get(&version) else { continue };
            let print = print(found, self.folder.config());
            let same = |it: &Artifact| it.version == version && it.print == print;
            if self.artifacts.iter().any(|it| same(it) && !it.is_over()) {
                continue;
            }
            self.artifacts.push(Artifact {
                id: new_id(),
                version,
                print,
                look: found.look.print,
                folder: found.folder.clone(),
                config: self.folder.config().clone(),
                state: State::Start,
                workers: None,
                took: Duration::ZERO,
                on_disk: found.look.bytes,
                bytes: 0,
                digest: None,
                lost: None,
                by: By::Repository,
                warmth: Warmth::default(),
                metrics: ArtifactMetrics::new(&self.name, version),
            });
        }
        let present: BTreeSet<(Version, u64)> = self.folder.prints().collect();
        self.retries.keep(&present);
        self.artifacts.retain(|it| match &it.state {
            State::End { reason: None } => false,
            // A failure is remembered for as long as the content that caused it is there.
            State::End { reason: Some(_) } => present.contains(&(it.version, it.print)),
            State::Start | State::Loading | State::Available | State::Unloading => true,
        });
    }

    /// The next thing to do, if any.
    pub(crate) fn next_action(&self) -> Option<Action> {
        let desired = self.desired();
        let prints: BTreeSet<(Version, u64)> = self.folder.prints().collect();
        let seen = self.artifacts.iter().map(|it| Seen {
            id: it.id,
            version: it.version,
            state: it.state.clone(),
            desired: !it.is_over()
                && desired.contains(&it.version)
                && prints.contains(&(it.version, it.print)),
            kept: self.is_kept(it),
            spent: it.is_spent(),
        });
        next_action(self.folder.config().transition, &seen.collect::<Vec<_>>())
    }

    /// Moves an artifact on. The manager's actions come from the policy, so an illegal one is a bug
    /// of ours: said loudly, and nothing changes.
    pub(crate) fn happen(&mut self, id: u64, event: Event) -> Result<State, Option<Illegal>> {
        let artifact = self.artifacts.iter_mut().find(|it| it.id == id).ok_or(None)?;
        artifact.state = next(&artifact.state, event).map_err(Some)?;
        let state = artifact.state.clone();
        self.touch();
        Ok(state)
    }

    /// What a loader needs to know of an artifact.
    pub(crate) fn load_job(&self, id: u64) -> Option<LoadJob> {
        let artifact = self.artifacts.iter().find(|it| it.id == id)?;
        Some(LoadJob {
            model: self.name.clone(),
            version: artifact.version,
            folder: artifact.folder.clone(),
            config: artifact.config.clone(),
            serves: self.stands_in_for(artifact),
        })
    }

    pub(crate) fn version_of(&self, id: u64) -> Option<Version> {
        self.artifacts.iter().find(|it| it.id == id).map(|it| it.version)
    }

    /// An operator wants it, or does not. Wanting also forgets failures, so that they are tried
    /// again.
    pub(crate) fn set_unloaded(&mut self, unloaded: bool) {
        self.touch();
        self.asleep_by = unloaded.then_some(By::Command);
        if !unloaded {
            self.unloaded = false;
            self.lazy.keep();
            self.absolve();
        } else if self.is_lazy() {
            self.lazy.sleep(); // and whoever asks has it loaded again
        } else {
            self.lazy.sleep();
            self.unloaded = true;
        }
    }

    /// A rollout directs it, or does so no longer.
    pub(crate) fn set_direction(&mut self, direction: Option<Direction>) {
        if self.direction != direction {
            self.direction = direction;
            self.touch();
        }
    }

    /// Is anything of it still in memory or on disk?
    pub(crate) fn is_gone(&self) -> bool {
        !self.folder.exists() && self.artifacts.is_empty()
    }

    /// Is a wanted version neither available nor failed yet?
    pub(crate) fn is_pending(&self) -> bool {
        let desired = self.desired();
        let has_come = |version: Version, print: u64| {
            let same = |it: &&Artifact| it.version == version && it.print == print;
            self.artifacts.iter().filter(same).any(Artifact::has_come)
        };
        let mut wanted = self.folder.prints().filter(|(version, _)| desired.contains(version));
        wanted.any(|(version, print)| !has_come(version, print))
    }

    /// Can it answer those who name no version?
    pub(crate) fn is_available(&self) -> bool {
        self.artifacts.iter().any(|it| self.answers(it))
    }

    /// Why it, or a version of it, is not as wanted. Never empty while nothing answers.
    pub(crate) fn failures(&self) -> Vec<String> {
        let faults = self.folder.faults().iter().cloned();
        let failed = self.artifacts.iter().filter_map(|it| match &it.state {
            State::End { reason: Some(reason) } => {
                Some(format!("version {}: {reason}", it.version))
            }
            State::End { reason: None }
            | State::Start
            | State::Loading
            | State::Available
            | State::Unloading => None,
        });
        let failures: Vec<String> = faults.chain(failed).collect();
        if failures.is_empty() && !self.is_available() { self.emptiness() } else { failures }
    }

    /// Why there is nothing to serve.
    fn emptiness(&self) -> Vec<String> {
        let missing = match &self.folder.config().versions {
            VersionPolicy::Specific(wanted) => {
                let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
                Some(format!("version_policy wants nothing but {}", wanted.join(", ")))
            }
            VersionPolicy::Latest(_) | VersionPolicy::All => None,
        };
        let line = |it: Entry| match it.version {
            Some(version) => format!("version {version}: {}", it.reason),
            None => it.reason,
        };
        let lines = self.index().into_iter().filter(|it| !it.reason.is_empty()).map(line);
        let reasons: Vec<String> = missing.into_iter().chain(lines).collect();
        if reasons.is_empty() { vec!["unloaded".to_owned()] } else { reasons }
    }

    /// What requests may reach. Of two revisions in memory the later one answers.
    fn table_entry(&self) -> ModelEntry {
        let mut ready = BTreeMap::new();
        for it in self.artifacts.iter().filter(|it| it.state == State::Available) {
            if let Some(workers) = &it.workers {
                ready.insert(it.version, Arc::clone(workers.servable()));
            }
        }
        let mut known: BTreeSet<Version> = self.folder.present().keys().copied().collect();
        known.extend(self.artifacts.iter().map(|it| it.version));
        let config = self.folder.config();
        let traffic = match &self.direction {
            Some(it) => it.traffic(&self.name, config.traffic.sticky.as_ref()),
            None => config.traffic.traffic(&self.name, &config.labels),
        };
        let labels = config.labels.iter().map(|(name, it)| (name.as_str().into(), *it));
        let (ready, known) = (ready.into_values().collect(), known.into_iter().collect());
        ModelEntry::new(ready, known, labels.collect(), Arc::clone(&self.requests))
            .with_traffic(traffic)
            .with_demand(self.on_demand())
            .with_aside(self.aside_version())
    }

    /// What operators see: a line for each artifact, and for each version that has none.
    fn index(&self) -> Vec<Entry> {
        let entry = |version: Option<Version>, state: State, reason: String| Entry {
            model: self.name.clone(),
            version,
            state,
            reason,
            is_tried_again: false,
            is_warm: false,
            digest: None,
        };
        let artifact = |it: &Artifact| {
            let reason = match &it.state {
                State::End { reason: Some(reason) } => reason.clone(),
                State::End { reason: None } => "unloaded".to_owned(),
                // It serves on as it was configured, and as it was read, before.
                State::Available => self.folder.doubts(it.version),
                State::Unloading => it.why_lost().unwrap_or_default(),
                State::Start | State::Loading => String::new(),
            };
            let is_tried_again = it.has_failed() && self.retries.is_pending((it.version, it.print));
            let (digest, is_warm) = (it.digest.clone(), it.is_warm());
            Entry {
                is_tried_again,
                is_warm,
                digest,
                ..entry(Some(it.version), it.state.clone(), reason)
            }
        };
        let mut entries: Vec<Entry> = self.artifacts.iter().map(artifact).collect();
        let ended = || State::End { reason: None };
        let on_demand = self.registered();
        for (version, why) in self.folder.versions(self.unloaded) {
            if entries.iter().all(|it| it.version != Some(version)) {
                let registered = on_demand.as_ref().filter(|(it, _)| it.contains(&version));
                let why = registered.map_or(why, |(_, state)| state.clone());
                entries.push(entry(Some(version), ended(), why));
            }
        }
        if entries.is_empty() {
            entries.push(entry(None, ended(), self.folder.emptiness()));
        }
        entries.sort_by_key(|it| it.version);
        entries
    }
}

#[path = "artifact.rs"]
mod artifact;
#[path = "copied.rs"]
mod copied;
#[path = "failed.rs"]
mod failed;
#[path = "kept.rs"]
mod kept;
#[path = "ondemand.rs"]
mod ondemand;
#[path = "shown.rs"]
mod shown;
#[path = "successor.rs"]
mod successor;
#[path = "taken.rs"]
mod taken;
#[path = "trail.rs"]
mod trail;
#[path = "wanted.rs"]
mod wanted;
