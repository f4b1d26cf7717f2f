//! A model that is wanted from a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use server_base::{ModelName, Version};
use server_registry::Uri;

use crate::file;

/// What an operator said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name here.
    pub model: ModelName,
    /// Names the version that answers, unless the traffic says otherwise.
    pub source: Uri,
    /// Labels for versions that are served beside it, and what names these.
    pub labels: BTreeMap<String, Uri>,
    /// The registry's name for the version that serves: moved by rollouts.
    pub promoted_alias: Option<String>,
    /// Where verdicts of rollouts are kept as files, besides.
    pub verdicts: Option<Uri>,
    /// How often its registry is asked whether it has changed.
    pub poll: Duration,
    /// Its `model.toml`, but for what follows from the addresses.
    pub settings: toml::Table,
}

impl Target {
    /// Every address of it, the source first, none twice.
    pub fn addresses(&self) -> impl Iterator<Item = &Uri> {
        let mut met = BTreeSet::new();
        let all = std::iter::once(&self.source).chain(self.labels.values());
        all.filter(move |it| met.insert(it.as_str()))
    }

    /// The `model.toml` that comes of it if every address names a version of its own: by which it can be
    /// checked before any registry is asked.
    pub fn example(&self) -> String {
        self.example_with(None)
    }

    /// Likewise, if a version's tags ask for that rollout.
    pub(crate) fn example_with(&self, asked: Option<&toml::Table>) -> String {
        let numbers = (2..).map(Version);
        let labels = self.labels.keys().cloned().zip(numbers).collect();
        file::model_toml(self, (Version(1), None), &labels, asked).to_string()
    }
}
