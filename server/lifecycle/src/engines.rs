//! The engines of this process, and which of them loads a version.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use backend_api::{Backend, BackendError, Device, Model, Options};

use crate::fault::LoadError;

/// A loaded model, and the engine that loaded it.
pub(crate) type FromEngine<'a> = (&'a dyn Backend, Box<dyn Model>);

/// Engines in order of preference, those with a format of their own, those that only a model's own
/// wish brings in, and those that this machine lacks.
#[derive(Clone, Default)]
pub struct Engines {
    available: Vec<Arc<dyn Backend>>,
    formats: Vec<Arc<dyn Backend>>,
    on_request: Vec<Arc<dyn Backend>>,
    missing: Vec<Missing>,
}

/// An engine that does not work here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What a model would call it.
    pub name: &'static str,
    /// Why it does not.
    pub reason: String,
    /// Would it only have served models that name it, or of its own format? Then nobody need worry
    /// before there is one.
    pub on_request: bool,
    /// The file that it alone would have read.
    pub artifact: Option<&'static str>,
}

impl Engines {
    /// The preferred ones first. `missing` are names and reasons.
    pub fn new(available: Vec<Arc<dyn Backend>>, missing: Vec<(&'static str, String)>) -> Engines {
        let missing = missing
            .into_iter()
            .map(|(name, reason)| Missing { name, reason, on_request: false, artifact: None })
            .collect();
        Engines { available, missing, ..Engines::default() }
    }

    /// These, and one that serves models that name it, never others; or why it cannot.
    #[must_use]
    pub fn with_on_request(
        mut self,
        name: &'static str,
        engine: Result<Arc<dyn Backend>, String>,
    ) -> Engines {
        match engine {
            Ok(engine) => self.on_request.push(engine),
            Err(reason) => {
                self.missing.push(Missing { name, reason, on_request: true, artifact: None });
            }
        }
        self
    }

    /// These, and one that alone reads files of that name; or why it cannot.
    #[must_use]
    pub fn with_format(
        mut self,
        (name, artifact): (&'static str, &'static str),
        engine: Result<Arc<dyn Backend>, String>,
    ) -> Engines {
        match engine {
            Ok(engine) => self.formats.push(engine),
            Err(reason) => {
                let artifact = Some(artifact);
                self.missing.push(Missing { name, reason, on_request: true, artifact });
            }
        }
        self
    }

    /// Those of them that read a file in this folder.
    #[must_use]
    pub fn reading(&self, folder: &Path) -> Engines {
        let there = |list: &[Arc<dyn Backend>]| {
            let reads = |it: &&Arc<dyn Backend>| folder.join(it.artifact()).is_file();
            list.iter().filter(reads).cloned().collect()
        };
        Engines {
            available: there(&self.available),
            formats: there(&self.formats),
            on_request: there(&self.on_request),
            missing: self.missing.clone(),
        }
    }

    /// Those that work here.
    pub fn available(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        self.automatic().chain(&self.on_request)
    }

    /// Those that serve models that name none, the preferred one first.
    pub fn automatic(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        self.available.iter().chain(&self.formats)
    }

    /// Those that do not work here, and why.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Every name that a model may ask for.
    pub fn names(&self) -> Vec<&'static str> {
        let available = self.available().map(|it| it.name());
        available.chain(self.missing.iter().map(|it| it.name)).collect()
    }

    /// Every file name that some engine reads, or would: a model that needs a missing one is found,
    /// and says so.
    pub fn artifacts(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.available().map(|it| it.artifact()).collect();
        names.extend(self.missing.iter().filter_map(|it| it.artifact));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Those that a model may be loaded with.
    fn asked(&self, wanted: Option<&str>) -> Vec<&Arc<dyn Backend>> {
        match wanted {
            Some(name) => self.available().filter(|it| it.name() == name).collect(),
            None => self.automatic().collect(),
        }
    }

    /// On how many GPUs one that would load the version in `folder` might have it: an engine that counts several
    /// spreads instances over them, one that knows GPUs and does not count them takes one.
    pub(crate) fn gpus_used(&self, wanted: Option<&str>, folder: &Path) -> usize {
        let gpus = |it: &&Arc<dyn Backend>| {
            it.devices().iter().filter(|it| matches!(it, Device::Cuda(_))).count()
        };
        let asked = self.asked(wanted).into_iter();
        let reading = asked.filter(|it| folder.join(it.artifact()).is_file());
        reading.map(|it| gpus(&it)).max().unwrap_or(0)
    }

    /// Loads the version in `folder` with the wanted engine, or with the first that can.
    pub(crate) fn load(
        &self,
        wanted: Option<&str>,
        folder: &Path,
        options: &Options,
    ) -> Result<FromEngine<'_>, LoadError> {
        if let Some(it) = self.missing.iter().find(|it| Some(it.name) == wanted) {
            return Err(LoadError::lasting(absent(it)));
        }
        let (mut reasons, mut refused) = (Vec::new(), Vec::new());
        for engine in self.asked(wanted) {
            let artifact = folder.join(engine.artifact());
            if !artifact.is_file() {
                continue;
            }
            match engine.load(&artifact, options) {
                Ok(model) => {
                    if !reasons.is_empty() {
                        let (engine, reasons) = (engine.name(), reasons.join("; "));
                        tracing::warn!(artifact = %artifact.display(), engine, reasons, "another engine takes the model");
                    }
                    return Ok((&**engine, model));
                }
                // What one engine does not know another may; a broken file is broken for all.
                Err(it @ (BackendError::Unsupported { .. } | BackendError::Unavailable { .. })) => {
                    reasons.push(it.to_string());
                    refused.push(&**engine);
                }
                // Here, or elsewhere, it may yet be had.
                Err(it @ BackendError::DeviceLost { .. }) => {
                    return Err(LoadError::doubtful(it.to_string()));
                }
                Err(
                    it @ (BackendError::Artifact { .. }
                    | BackendError::Input { .. }
                    | BackendError::Run { .. }),
                ) => {
                    reasons.push(it.to_string());
                    return Err(doubt(&artifact, reasons.join("; ")));
                }
            }
        }
        if refused.is_empty() {
            return Err(LoadError::lasting(self.unasked(wanted, folder)));
        }
        reasons.extend(self.untried(&refused));
        Err(LoadError::lasting(reasons.join("; ")))
    }

    /// Why none was asked: what it would have read, and what lies there instead.
    fn unasked(&self, wanted: Option<&str>, folder: &Path) -> String {
        let is_there = |it: &&str| folder.join(it).is_file();
        let lacks = |it: &&Missing| it.artifact.is_some_and(|it| is_there(&it));
        if let Some(it) = self.missing.iter().find(lacks).filter(|_| wanted.is_none()) {
            return absent(it);
        }
        let shown = folder.display();
        let mut reasons = match self.asked(wanted).first().zip(wanted) {
            Some((engine, name)) => {
                vec![format!("engine {name} reads {}, which is not in {shown}", engine.artifact())]
            }
            None => Vec::new(),
        };
        let others = self.artifacts().into_iter().filter(is_there);
        reasons.extend(others.map(|it| {
            let must_name = if wanted.is_none() { " if the model names it" } else { "" };
            format!(
                "{it} is there, which engine {} reads{must_name}",
                self.readers(it).join(" or ")
            )
        }));
        if reasons.is_empty() {
            reasons.push(format!("no {} in {shown}", self.artifacts().join(" or ")));
        }
        reasons.join("; ")
    }

    /// Which engines were not tried that read the same file as these.
    fn untried(&self, refused: &[&dyn Backend]) -> Option<String> {
        let artifact = refused.first()?.artifact();
        let is_new = |it: &String| refused.iter().all(|refused| !it.starts_with(refused.name()));
        let others: Vec<String> = self.readers(artifact).into_iter().filter(is_new).collect();
        (!others.is_empty())
            .then(|| format!("{artifact} is also read by engine {}", others.join(" or ")))
    }

    /// The engines that read files of that name, as far as it is known of those that are missing.
    fn readers(&self, artifact: &str) -> Vec<String> {
        let here = self.available().filter(|it| it.artifact() == artifact);
        let missing = self.missing.iter().filter(|it| it.artifact == Some(artifact));
        let missing = missing.map(|it| format!("{} (not available here)", it.name));
        here.map(|it| it.name().to_owned()).chain(missing).collect()
    }
}

/// An engine could not read a file. If nobody can, it is the disk's fault; else it is the file's, but
/// for a lack of memory, for which engines have no error of its own: only words.
fn doubt(artifact: &Path, reason: String) -> LoadError {
    let read = File::open(artifact).and_then(|mut it| io::copy(&mut it, &mut io::sink()));
    let words = reason.to_ascii_lowercase();
    match read {
        Ok(_) if ["memory", "alloc"].iter().any(|it| words.contains(it)) => {
            LoadError::doubtful(reason)
        }
        Ok(_) => LoadError::lasting(reason),
        Err(error) => LoadError::passing(format!("{reason}; reading the file fails: {error}")),
    }
}

/// Clients see the error; where libraries lie on this machine is for the log alone.
fn absent(engine: &Missing) -> String {
    let Missing { name, reason, .. } = engine;
    tracing::warn!(engine = name, reason, "a model wants an engine that is not available");
    format!("engine {name} is not available; the server's log says why")
}

#[cfg(test)]
#[path = "engines_tests.rs"]
mod tests;
