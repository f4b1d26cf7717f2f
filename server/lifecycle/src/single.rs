//! One model, looked at once and loaded outside the manager, for tools that measure it.
//!
//! The folder is read by the manager's own scan, and a version is loaded by the loader's own
//! function: what is measured is what would be served.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use backend_api::Signature;
use server_base::{ModelName, NamedTensor, NamedTensors, Version};
use server_serving::metrics::RequestMetrics;
use server_serving::{Cores, ModelEntry, Servable, Table, give_way};

use crate::config::{ModelConfig, VersionPolicy};
use crate::desired::desired;
use crate::engines::Engines;
use crate::load::{AxisLengths, LoadJob, Loaded, load};
use crate::probe::made_up;
use crate::replay::Before;
use crate::repository::{self, CONFIG, FoundModel};
use crate::scanner::Trace;

/// Models that an error for an unknown one names.
const NAMES_MAX: usize = 10;

/// A model's folder.
pub struct Single {
    model: ModelName,
    folder: PathBuf,
    text: Option<String>,
    versions: BTreeMap<Version, PathBuf>,
}

impl Single {
    /// Looks at a model of the repository. The error names the folder: it is for an operator.
    pub fn find(repository: &Path, model: &ModelName, engines: &Engines) -> Result<Single, String> {
        let folder = repository.join(model.as_str());
        let seen = repository::scan_model(&folder, &engines.artifacts(), &mut Trace::new());
        let FoundModel { config, versions } = seen.map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                let (model, there) = (model.as_str(), names(repository));
                format!("no model {model:?} in {}{there}", repository.display())
            } else {
                format!("{}: {error}", folder.display())
            }
        })?;
        let whole = versions.into_iter().filter_map(|(version, it)| Some((version, it.ok()?)));
        let versions = whole.filter(|(_, it)| it.lacks.is_none());
        let versions = versions.map(|(version, it)| (version, it.folder)).collect();
        Ok(Single { model: model.clone(), folder, text: config.text.transpose()?, versions })
    }

    /// A version that lies somewhere else, without a `model.toml`.
    pub fn of(
        model: ModelName,
        version: Version,
        folder: PathBuf,
        engines: &Engines,
    ) -> Result<Single, String> {
        let artifacts = engines.artifacts();
        if !artifacts.iter().any(|it| folder.join(it).is_file()) {
            return Err(format!(
                "it holds no file that an engine reads ({})",
                artifacts.join(", ")
            ));
        }
        let versions = [(version, folder.clone())].into();
        Ok(Single { model, folder, text: None, versions })
    }

    /// Its name.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// Where its `model.toml` is, or would be.
    pub fn file(&self) -> PathBuf {
        self.folder.join(CONFIG)
    }

    /// What stands in it; empty if it is not there.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Versions with a file that some engine reads, oldest first.
    pub fn versions(&self) -> impl Iterator<Item = Version> {
        self.versions.keys().copied()
    }

    /// Where one of them lies.
    pub fn folder(&self, version: Version) -> Option<&Path> {
        self.versions.get(&version).map(PathBuf::as_path)
    }

    /// The newest that the policy wants.
    pub fn newest(&self, policy: &VersionPolicy) -> Option<Version> {
        let present: BTreeSet<Version> = self.versions().collect();
        desired(policy, &present, &BTreeSet::new()).pop_last()
    }

    /// Loads one of the versions, as the server would with that configuration, on a thread that
    /// gives way as a loader's does.
    pub fn load(
        &self,
        (engines, cores): (&Engines, &Cores),
        version: Version,
        config: &ModelConfig,
    ) -> Result<Alone, String> {
        let folder = self.versions.get(&version).cloned();
        let folder = folder.ok_or_else(|| format!("{} has no version {version}", self.model))?;
        let (model, config) = (self.model.clone(), config.clone());
        let job = LoadJob { model, version, folder, config, serves: None };
        let loaded = thread::scope(|scope| {
            let loader = thread::Builder::new().name("load/0".to_owned());
            let loader = loader.spawn_scoped(scope, || {
                give_way();
                load((engines, cores), &job, &Before::default()).map_err(|it| it.reason)
            });
            let loader = loader.map_err(|it| format!("cannot start a thread: {it}"))?;
            loader.join().unwrap_or_else(|_| Err("the loader panicked".to_owned()))
        });
        loaded.map(|loaded| Alone { loaded })
    }
}

/// The models that there are, for whoever asked for another.
fn names(repository: &Path) -> String {
    let names = repository::folders(repository, &mut Trace::new()).unwrap_or_default().into_keys();
    let names: Vec<String> = names.take(NAMES_MAX).collect();
    if names.is_empty() { String::new() } else { format!("; it holds {}", names.join(", ")) }
}

/// A version that is loaded and in no table but its own.
pub struct Alone {
    loaded: Loaded,
}

impl Alone {
    /// What can be asked.
    pub fn servable(&self) -> &Arc<Servable> {
        self.loaded.workers.servable()
    }

    /// A table of it alone.
    pub fn table(&self) -> Table {
        let servable = self.servable();
        let (model, version) = (servable.model().clone(), servable.version());
        let requests = Arc::new(RequestMetrics::of_model(&model));
        let entry =
            ModelEntry::new(vec![Arc::clone(servable)], vec![version], Vec::new(), requests);
        Table::new(HashMap::from([(model, entry)]))
    }

    /// Unloads it. `false` if a run was not over by then: see [`server_serving::Workers::stop`].
    pub fn stop(self, by: Instant) -> bool {
        self.loaded.workers.stop(by)
    }
}

/// Inputs with a row for each seed, drawn like those of the rows probe: numbers from 0 to 1, 0 or 1
/// for whole ones. `axes` are the lengths of free axes by name, 1 where nothing is said.
pub fn made_up_inputs(
    signature: &Signature,
    seeds: &[u64],
    axes: &BTreeMap<String, usize>,
) -> Result<NamedTensors<'static>, String> {
    let lengths = AxisLengths { named: axes.clone(), more: 0 };
    let input = |it| {
        let tensor = made_up(it, seeds, &lengths).map_err(|why| format!("{}: {why}", it.name))?;
        Ok(NamedTensor { name: it.name.to_string().into(), tensor })
    };
    signature.inputs.iter().map(input).collect()
}

#[cfg(test)]
#[path = "single_tests.rs"]
mod tests;
