//! Which versions are watched, and how: read off the folders that hold models, of which no model is
//! loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use server_base::{ModelName, TruthConfig, Version};
use server_drift::MonitorPlan;
use server_lifecycle::{plan_of, truth_of};

use super::metrics;

/// What says of a model how it is watched.
const CONFIG: &str = "model.toml";

/// Largest `model.toml` that is read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Versions that are followed: as many as there can be monitors.
const FOLLOWED_MAX: usize = 256;

/// A version whose log is followed, and how: by a part of its `model.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed<P = MonitorPlan> {
    /// Of that model.
    pub model: ModelName,
    /// Its number.
    pub version: Version,
    /// Its folder, which may hold the reference.
    pub folder: PathBuf,
    /// How it is watched.
    pub plan: P,
}

/// Reads what is of interest of the text of a `model.toml`; `None`: nothing is.
type Read<P> = fn(&str) -> Result<Option<P>, String>;

/// See the module.
#[derive(Debug)]
pub struct Repository<P = MonitorPlan> {
    /// Folders of models, by name.
    models: BTreeMap<ModelName, PathBuf>,
    /// Folders that hold such folders.
    roots: Vec<PathBuf>,
    /// What was made of each `model.toml`: its text and what it says.
    known: BTreeMap<PathBuf, Known<P>>,
    read: Read<P>,
    shown: Arc<Mutex<Vec<(ModelName, Version)>>>,
}

#[derive(Debug)]
struct Known<P> {
    /// Or why it cannot be read, which is said once.
    text: Result<String, String>,
    plan: Option<P>,
}

impl Repository {
    /// Of those folders with models, and of single models that lie elsewhere: those with a `[drift]`.
    pub fn new(roots: Vec<PathBuf>, models: BTreeMap<ModelName, PathBuf>) -> Repository {
        Repository::of((roots, models), plan_of)
    }
}

impl Default for Repository {
    fn default() -> Repository {
        Repository::new(Vec::new(), BTreeMap::new())
    }
}

impl Repository<TruthConfig> {
    /// The same, of those with a `[truth]`.
    pub fn judged(
        roots: Vec<PathBuf>,
        models: BTreeMap<ModelName, PathBuf>,
    ) -> Repository<TruthConfig> {
        Repository::of((roots, models), truth_of)
    }
}

impl<P: Clone> Repository<P> {
    fn of(
        (roots, models): (Vec<PathBuf>, BTreeMap<ModelName, PathBuf>),
        read: Read<P>,
    ) -> Repository<P> {
        Repository { models, roots, known: BTreeMap::new(), read, shown: Arc::default() }
    }

    /// What the last look has found, for others.
    pub fn shown(&self) -> Arc<Mutex<Vec<(ModelName, Version)>>> {
        Arc::clone(&self.shown)
    }

    /// Looks. An error: a folder cannot be read, and what was known stands.
    pub fn look(&mut self) -> io::Result<Vec<Followed<P>>> {
        let mut models = self.models.clone();
        for root in &self.roots {
            for (name, path) in folders(root)? {
                if let Ok(model) = ModelName::new(&name) {
                    models.entry(model).or_insert(path);
                }
            }
        }
        // What is not there any more is forgotten, or models that come and go would fill the memory.
        let files: BTreeSet<PathBuf> = models.values().map(|it| it.join(CONFIG)).collect();
        self.known.retain(|path, _| files.contains(path));
        let mut found = Vec::new();
        for (model, folder) in &models {
            let Some(plan) = self.plan(model, folder) else { continue };
            for (name, folder) in folders(folder)? {
                let Some(version) = Version::parse(&name) else { continue };
                let (model, plan) = (model.clone(), plan.clone());
                found.push(Followed { model, version, folder, plan });
            }
        }
        if found.len() > FOLLOWED_MAX {
            let versions = found.len();
            tracing::warn!(
                versions,
                followed = FOLLOWED_MAX,
                "the oldest versions are not followed"
            );
            found = newest(found);
            found.truncate(FOLLOWED_MAX);
        }
        let shown = found.iter().map(|it| (it.model.clone(), it.version)).collect();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(found)
    }

    /// What a model's file says. Of one that has become faulty what it said before stands.
    fn plan(&mut self, model: &ModelName, folder: &Path) -> Option<P> {
        let path = folder.join(CONFIG);
        let text = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text.map_err(|it| it.to_string()),
        };
        let known = self.known.get(&path);
        if let Some(known) = known.filter(|it| it.text == text) {
            return known.plan.clone();
        }
        let plan = match text.clone().and_then(|it| (self.read)(&it)) {
            Ok(plan) => plan,
            Err(error) => {
                metrics::failed("settings");
                tracing::error!(%model, error, "its model.toml cannot be followed");
                known.and_then(|it| it.plan.clone())
            }
        };
        self.known.insert(path, Known { text, plan: plan.clone() });
        plan
    }
}

/// The newest version of each model, then what came before these, and so on: no model is left out because
/// another has many versions.
fn newest<P>(mut found: Vec<Followed<P>>) -> Vec<Followed<P>> {
    found.sort_by(|a, b| (&a.model, b.version).cmp(&(&b.model, a.version)));
    let mut places: BTreeMap<ModelName, usize> = BTreeMap::new();
    found.sort_by_cached_key(|it| {
        let place = places.entry(it.model.clone()).or_default();
        *place += 1;
        *place
    });
    found
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(CONFIG_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Folders in a folder, by name.
fn folders(root: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let named = |it: io::Error| io::Error::new(it.kind(), format!("{}: {it}", root.display()));
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).map_err(named)? {
        let path = entry.map_err(named)?.path();
        let name = path.file_name().and_then(|it| it.to_str()).filter(|it| !it.starts_with('.'));
        // Links are followed: volumes of configuration are full of them.
        if let Some(name) = name.filter(|_| path.is_dir()) {
            found.insert(name.to_owned(), path.clone());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(repository: &mut Repository) -> Vec<String> {
        let found = repository.look().expect("folders");
        let rows = |it: &Followed| it.plan.windowing.step_rows.unwrap_or(0);
        found.iter().map(|it| format!("{}/{} {}", it.model, it.version, rows(it))).collect()
    }

    #[test]
    fn versions_of_models_with_a_drift_are_followed() {
        let root = tempfile::tempdir().expect("scratch");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("models/a/1/model.onnx", "");
        write("models/a/7/model.onnx", "");
        write("models/a/notes/x", "");
        write("models/a/model.toml", "engine = 'of tomorrow'\n[log]\n[drift]\nwindow_rows = 60\n");
        write("models/b/1/model.onnx", "");
        write("models/b/model.toml", "[log]\n");
        write("elsewhere/3/model.onnx", "");
        write("elsewhere/model.toml", "[log]\n[drift]\n");
        let name = ModelName::new("c").expect("a name");
        let single = BTreeMap::from([(name, root.path().join("elsewhere"))]);
        let mut repository = Repository::new(vec![root.path().join("models")], single);
        assert_eq!(found(&mut repository), ["a/1 60", "a/7 60", "c/3 1000"]);
        // What is faulty does not count, what is well does.
        write("models/a/model.toml", "[drift]\nwindow_rows = 1\n");
        write("models/b/model.toml", "[log]\n[drift]\nwindow_rows = 70\n");
        assert_eq!(found(&mut repository), ["a/1 60", "a/7 60", "b/1 70", "c/3 1000"]);
        // Nor does what is no text.
        write("models/d/1/model.onnx", "");
        fs::write(root.path().join("models/a/model.toml"), b"[drift]\n# \xff").expect("written");
        fs::write(root.path().join("models/d/model.toml"), b"\xff").expect("written");
        assert_eq!(found(&mut repository), ["a/1 60", "a/7 60", "b/1 70", "c/3 1000"]);
        assert_eq!(repository.known.len(), 4);
        fs::remove_dir_all(root.path().join("models/d")).expect("gone");
        found(&mut repository);
        assert_eq!(repository.known.len(), 3, "what is gone is forgotten");
        fs::remove_dir_all(root.path().join("models")).expect("gone");
        repository.look().expect_err("a folder that is away is no empty one");
    }

    #[test]
    fn the_newest_version_of_each_model_is_followed_first() {
        let followed = |(model, version): &(&str, u64)| Followed {
            model: ModelName::new(model).expect("a name"),
            version: Version(*version),
            folder: PathBuf::new(),
            plan: (),
        };
        let all = [("a", 7), ("b", 1), ("a", 9), ("c", 2), ("a", 8), ("c", 1)];
        let sorted = newest(all.iter().map(followed).collect());
        let names: Vec<String> =
            sorted.iter().map(|it| format!("{}{}", it.model, it.version)).collect();
        assert_eq!(names, ["a9", "b1", "c2", "a8", "c1", "a7"]);
    }
}
