//! Tells the supply what the lifecycle makes of its versions.

use std::collections::BTreeSet;
use std::path::PathBuf;

use server_base::{ModelName, Version};
use server_lifecycle::{Lifecycle, LoadPolicy, State};
use server_supply::{Fate, World};

use crate::settings::Settings;
use crate::wanted::faults_of;

/// See the module.
pub(crate) struct Loaded {
    lifecycle: Lifecycle,
    /// The operator's own models: of two of one name theirs is served.
    repository: PathBuf,
    /// When models are loaded that do not say so.
    load: LoadPolicy,
}

impl Loaded {
    pub(crate) fn new(lifecycle: &Lifecycle, settings: &Settings) -> Loaded {
        let repository = settings.model_repository.clone();
        Loaded { lifecycle: lifecycle.clone(), repository, load: settings.load }
    }

    fn is_supplied(&self, model: &ModelName) -> bool {
        let has_folder = !self.repository.as_os_str().is_empty();
        !(has_folder && self.repository.join(model.as_str()).is_dir())
    }
}

impl World for Loaded {
    fn fate(&self, model: &ModelName, version: Version) -> Fate {
        let directed = self.lifecycle.directed();
        if directed.get(model).is_some_and(|it| it.contains(&version)) {
            return Fate::Needed;
        }
        let index = self.lifecycle.index();
        let same = index.iter().filter(|it| it.model == *model && it.version == Some(version));
        let states: Vec<&State> = same.map(|it| &it.state).collect();
        if states.iter().any(|it| !matches!(it, State::End { .. })) {
            Fate::Needed
        } else if states.iter().any(|it| matches!(it, State::End { reason: Some(_) })) {
            Fate::Failed
        } else {
            Fate::Idle
        }
    }

    fn wanted(&self) -> Vec<(ModelName, Version)> {
        let directed = self.lifecycle.directed();
        let supplied = directed.iter().filter(|(model, _)| self.is_supplied(model));
        let all = supplied.flat_map(|(model, it)| it.iter().map(|it| (model.clone(), *it)));
        all.collect()
    }

    fn failed(&self) -> Vec<(ModelName, Version)> {
        let index = self.lifecycle.index();
        let lives = index.iter().filter(|it| !matches!(it.state, State::End { .. }));
        let lives: BTreeSet<&ModelName> = lives.map(|it| &it.model).collect();
        let failed = index.iter().filter(|it| matches!(it.state, State::End { reason: Some(_) }));
        let alone = failed.filter(|it| !lives.contains(&it.model));
        alone.filter_map(|it| Some((it.model.clone(), it.version?))).collect()
    }

    fn faults(&self, settings: &str) -> Vec<String> {
        faults_of(settings, self.load)
    }
}
