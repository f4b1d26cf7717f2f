//! What is known of one model's folder: versions, configuration, and what is wrong with them.
//!
//! What was known stands until a scan has seen something better: whole, at rest and readable.
//! Called by `models`; decides nothing.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use server_base::{ModelName, Version};

use crate::config::{Defaults, ModelConfig};
use crate::repository::{FoundModel, FoundVersion};

/// A model's folder, as far as scans have seen it.
pub(crate) struct Folder {
    name: ModelName,
    /// Is it there?
    exists: bool,
    config: ModelConfig,
    faults: Vec<String>,
    /// Versions that could be loaded: artifact there, folder at rest.
    present: BTreeMap<Version, FoundVersion>,
    /// Versions that could not, and why.
    absent: BTreeMap<Version, &'static str>,
    /// Versions, or the whole folder, that are there and cannot be read, and why. What was seen
    /// of them before stands.
    unreadable: BTreeMap<Option<Version>, String>,
}

impl Folder {
    /// Not looked at yet.
    pub(crate) fn new(name: ModelName, defaults: &Defaults) -> Folder {
        Folder {
            name,
            exists: true,
            config: ModelConfig::defaults(defaults),
            faults: Vec::new(),
            present: BTreeMap::new(),
            absent: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Takes over what a scan found; `None` if the folder is gone. True if versions are unsettled.
    pub(crate) fn observe(
        &mut self,
        found: Option<&Result<FoundModel, String>>,
        defaults: &Defaults,
        is_settled: impl FnMut(Version, &FoundVersion) -> bool,
    ) -> bool {
        self.exists = found.is_some();
        match found {
            None => {
                self.present.clear();
                self.absent.clear();
                self.take_unreadable(BTreeMap::new());
                false
            }
            Some(Err(fault)) => {
                self.take_unreadable([(None, fault.clone())].into());
                false
            }
            Some(Ok(found)) => {
                match &found.config {
                    None => self.take_config(Ok(ModelConfig::defaults(defaults))),
                    Some(Ok(text)) => self.take_config(ModelConfig::parse(text, defaults)),
                    Some(Err(fault)) => self.take_config(Err(vec![fault.clone()])),
                }
                self.take_versions(found, is_settled)
            }
        }
    }

    fn take_versions(
        &mut self,
        found: &FoundModel,
        mut is_settled: impl FnMut(Version, &FoundVersion) -> bool,
    ) -> bool {
        let mut before = std::mem::take(&mut self.present);
        let mut unreadable = BTreeMap::new();
        let mut unsettled = false;
        self.absent.clear();
        for (&version, seen) in &found.versions {
            match seen {
                Ok(seen) if !seen.has_artifact => {
                    self.absent.insert(version, "no file that an engine reads");
                    continue;
                }
                Ok(seen) if is_settled(version, seen) => {
                    self.present.insert(version, seen.clone());
                    continue;
                }
                Ok(_) => {
                    unsettled = true;
                    self.absent.insert(version, "still being written");
                }
                Err(fault) => drop(unreadable.insert(Some(version), fault.clone())),
            }
            // What was there before it was touched stays wanted until the new content is whole.
            self.present.extend(before.remove_entry(&version));
        }
        self.take_unreadable(unreadable);
        unsettled
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

    /// A faulty file changes nothing for what is being served.
    fn take_config(&mut self, config: Result<ModelConfig, Vec<String>>) {
        match config {
            Ok(config) => (self.config, self.faults) = (config, Vec::new()),
            Err(faults) => {
                if faults != self.faults {
                    tracing::error!(model = %self.name, ?faults, "model.toml is faulty");
                }
                self.faults = faults;
            }
        }
    }

    /// Is it there?
    pub(crate) fn exists(&self) -> bool {
        self.exists
    }

    /// The last good configuration.
    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
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
            (false, true) => "not wanted by the version policy".to_owned(),
        };
        let absent = self.absent.iter().map(|(it, why)| (*it, (*why).to_owned()));
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
        transition: _,
        labels: _,
        batching,
        probe_rows,
        timeout,
        instances,
        threads,
        warmup_rows,
        warmup_axes,
    } = config;
    let mut hasher = DefaultHasher::new();
    (found.print, engine, probe_rows, timeout, instances).hash(&mut hasher);
    (batching.rows_max, batching.delay_max, batching.queue_max).hash(&mut hasher);
    (threads.intra_op_threads, threads.inter_op_threads, threads.spinning).hash(&mut hasher);
    (warmup_rows, warmup_axes).hash(&mut hasher);
    hasher.finish()
}
