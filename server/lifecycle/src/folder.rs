//! What is known of one model's folder: versions, configuration, and what is wrong with them.
//!
//! What was known stands until a scan has seen something better: whole, at rest and readable.
//! Called by `models`; decides nothing.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread::available_parallelism;

use server_base::{ModelName, Version};

use crate::config::{Defaults, ModelConfig, VersionPolicy};
use crate::repository::{FoundConfig, FoundModel, FoundVersion, Look};
use crate::said::settings;
use crate::settle::Part;

/// Why a version, or a whole model, is not loaded yet.
const WRITTEN: &str = "still being written";

/// A model's folder, as far as scans have seen it.
pub(crate) struct Folder {
    name: ModelName,
    /// Is it there?
    exists: bool,
    /// Did it appear while the server ran? What stood there at the start was whole once.
    is_new: bool,
    is_configured: bool,
    /// The last good one.
    config: ModelConfig,
    /// The digest of what it says of a load.
    settings: String,
    faults: Vec<String>,
    /// Versions that could be loaded: artifact there, folder at rest.
    present: BTreeMap<Version, FoundVersion>,
    /// Versions that could not, and why.
    absent: BTreeMap<Version, String>,
    /// Versions, or the whole folder, that are there and cannot be read, and why. What was seen
    /// of them before stands.
    unreadable: BTreeMap<Option<Version>, String>,
}

impl Folder {
    /// Not looked at yet. New is one that appears while the server runs.
    pub(crate) fn new(name: ModelName, defaults: &Defaults, is_new: bool) -> Folder {
        Folder {
            name,
            exists: true,
            is_new,
            is_configured: false,
            config: ModelConfig::defaults(defaults),
            settings: String::new(),
            faults: Vec::new(),
            present: BTreeMap::new(),
            absent: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Takes over what a scan found; `None` if the folder is gone. True if something of it has not
    /// come to rest.
    pub(crate) fn observe(
        &mut self,
        found: Option<&Result<FoundModel, String>>,
        defaults: &Defaults,
        mut is_settled: impl FnMut(Part, Look) -> bool,
    ) -> bool {
        self.exists = found.is_some();
        match found {
            None => {
                self.present.clear();
                self.absent.clear();
                self.take_unreadable(BTreeMap::new());
                (self.is_configured, self.is_new) = (false, true);
                false
            }
            Some(Err(fault)) => {
                self.take_unreadable([(None, fault.clone())].into());
                false
            }
            Some(Ok(found)) => {
                let versions_rest = self.take_versions(found, &mut is_settled);
                let mut rests = is_settled(Part::Config, found.config.look);
                // The file may be the last of a new model's that is copied: without it, all must rest.
                if !self.is_configured && self.is_new && found.config.text.is_none() {
                    rests &= versions_rest;
                }
                rests = rests && self.take_config(&found.config, defaults);
                !rests || !versions_rest
            }
        }
    }

    /// True if all of them rest.
    fn take_versions(
        &mut self,
        found: &FoundModel,
        mut is_settled: impl FnMut(Part, Look) -> bool,
    ) -> bool {
        let mut before = std::mem::take(&mut self.present);
        let mut unreadable = BTreeMap::new();
        let mut rest = true;
        self.absent.clear();
        for (&version, seen) in &found.versions {
            match seen {
                Ok(seen) if !is_settled(Part::Version(version), seen.look) => {
                    rest = false;
                    self.absent.insert(version, WRITTEN.to_owned());
                }
                Ok(seen) => {
                    match &seen.lacks {
                        None => drop(self.present.insert(version, seen.clone())),
                        Some(why) => drop(self.absent.insert(version, why.clone())),
                    }
                    continue;
                }
                Err(fault) => drop(unreadable.insert(Some(version), fault.clone())),
            }
            // What was there before it was touched stays wanted until the new content is whole.
            self.present.extend(before.remove_entry(&version));
        }
        self.take_unreadable(unreadable);
        rest
    }

    /// Says what is new among the faults, once.
    fn take_unreadable(&mut self, unreadable: BTreeMap<Option<Version>, String>) {
        for (version, reason) in &unreadable {
            if self.unreadable.get(version) != Some(reason) {
                let version = version.map(|it| it.to_string()).unwrap_or_default();
                tracing::warn!(model = %self.name, version, reason, "what was there before stands");
            }
        }
        self.unreadable = unreadable;
    }

    /// A faulty file changes nothing for what is being served. False if it is not taken yet: it wants a
    /// version that is still being written, and what answers until then would not be wanted any more.
    fn take_config(&mut self, found: &FoundConfig, defaults: &Defaults) -> bool {
        let config = match &found.text {
            None => Ok(ModelConfig::defaults(defaults)),
            Some(Ok(text)) => ModelConfig::parse(text, defaults),
            Some(Err(fault)) => Err(vec![fault.clone()]),
        };
        if self.is_configured && config.as_ref().is_ok_and(|it| self.wants_unwritten(it)) {
            return false;
        }
        self.is_configured = true;
        match config {
            Ok(config) => {
                if config != self.config {
                    self.doubt(&config);
                }
                (self.config, self.faults) = (config, Vec::new());
                let text = found.text.as_ref().and_then(|it| it.as_deref().ok());
                self.settings = settings(text.unwrap_or_default());
            }
            Err(faults) => {
                if faults != self.faults {
                    tracing::error!(model = %self.name, ?faults, "model.toml is faulty");
                }
                self.faults = faults;
            }
        }
        true
    }

    fn wants_unwritten(&self, config: &ModelConfig) -> bool {
        match &config.versions {
            VersionPolicy::Specific(wanted) => {
                let mut wanted = wanted.iter().filter(|it| !self.present.contains_key(it));
                wanted.any(|it| self.absent.get(it).is_some_and(|it| it == WRITTEN))
            }
            VersionPolicy::Latest(_) | VersionPolicy::All => false,
        }
    }

    /// Says what of a new configuration may not be what was meant.
    fn doubt(&self, config: &ModelConfig) {
        for doubt in config.doubts(available_parallelism().map_or(1, usize::from)) {
            tracing::warn!(model = %self.name, doubt, "model.toml may not say what is meant");
        }
    }

    /// Has its configuration come to rest for the first time? Before that nothing of it is wanted.
    pub(crate) fn is_configured(&self) -> bool {
        self.is_configured
    }

    /// Is it there?
    pub(crate) fn exists(&self) -> bool {
        self.exists
    }

    /// The last good configuration.
    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The digest of what it says of a load.
    pub(crate) fn settings(&self) -> &str {
        &self.settings
    }

    /// What is wrong with the configuration as it is now.
    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Versions that could be loaded.
    pub(crate) fn present(&self) -> &BTreeMap<Version, FoundVersion> {
        &self.present
    }

    /// Each of them as it is to be loaded: changes with its content and with what a load uses of
    /// the configuration.
    pub(crate) fn prints(&self) -> impl Iterator<Item = (Version, u64)> {
        self.present.iter().map(|(version, it)| (*version, print(it, &self.config)))
    }

    /// What speaks against a version that answers all the same.
    pub(crate) fn doubts(&self, version: Version) -> String {
        let unreadable =
            [None, Some(version)].into_iter().filter_map(|it| self.unreadable.get(&it));
        let doubts: Vec<&str> = self.faults.iter().chain(unreadable).map(String::as_str).collect();
        doubts.join("; ")
    }

    /// Versions on disk, and why each would not be in memory, if an operator has `unloaded` the
    /// model or not. Of several reasons for one the first counts.
    pub(crate) fn versions(&self, unloaded: bool) -> impl Iterator<Item = (Version, String)> {
        let why = match (unloaded, self.faults.is_empty()) {
            (true, _) => "unloaded".to_owned(),
            (false, false) => self.faults.join("; "),
            (false, true) if !self.is_configured => WRITTEN.to_owned(),
            (false, true) => "not wanted by the version policy".to_owned(),
        };
        let absent = self.absent.iter().map(|(it, why)| (*it, why.clone()));
        let unreadable = self.unreadable.iter().filter_map(|(it, why)| Some(((*it)?, why.clone())));
        let present = self.present.keys().map(move |it| (*it, why.clone()));
        absent.chain(unreadable).chain(present)
    }

    /// Why there is no version at all.
    pub(crate) fn emptiness(&self) -> String {
        let why = || "the folder holds no versions: <model>/<number>/".to_owned();
        self.unreadable.get(&None).cloned().unwrap_or_else(why)
    }
}

/// Changes with the content of the version's folder, and with every setting that a load uses.
pub(crate) fn print(found: &FoundVersion, config: &ModelConfig) -> u64 {
    let ModelConfig {
        engine,
        versions: _,
        fallback: _,
        transition: _,
        load: _,
        idle_unload: _,
        labels: _,
        traffic: _,
        rollout: _,
        rollback_window: _,
        batching,
        padding,
        proof,
        probe_rows,
        timeout,
        instances,
        weight,
        inline,
        options,
        warmup_rows,
        warmup_axes,
        log,
        drift,
        truth,
    } = config;
    let mut hasher = DefaultHasher::new();
    (found.look.print, engine, probe_rows, timeout, instances, weight, inline).hash(&mut hasher);
    (batching.rows_max, batching.delay_max, batching.queue_max).hash(&mut hasher);
    (batching.elements_max, &batching.sizes, padding).hash(&mut hasher);
    (options, warmup_rows, warmup_axes, proof, log).hash(&mut hasher);
    // Numbers with a fraction have no hash of their own.
    drift.as_ref().map(|it| format!("{it:?}")).hash(&mut hasher);
    // Numbers with a point have no hash of their own.
    truth.as_ref().map(|it| format!("{it:?}")).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
