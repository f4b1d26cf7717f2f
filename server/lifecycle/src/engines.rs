//! The engines of this process, and which of them loads a version.

use std::path::Path;
use std::sync::Arc;

use backend_api::{Backend, BackendError, Model, Options};

/// A loaded model, and the engine that loaded it.
pub(crate) type FromEngine<'a> = (&'a dyn Backend, Box<dyn Model>);

/// Engines in order of preference, and those that this machine lacks.
#[derive(Clone, Default)]
pub struct Engines {
    available: Vec<Arc<dyn Backend>>,
    missing: Vec<(&'static str, String)>,
}

impl Engines {
    /// The preferred ones first. `missing` are names and reasons.
    pub fn new(available: Vec<Arc<dyn Backend>>, missing: Vec<(&'static str, String)>) -> Engines {
        Engines { available, missing }
    }

    /// Those that work here.
    pub fn available(&self) -> &[Arc<dyn Backend>] {
        &self.available
    }

    /// Those that do not, and why.
    pub fn missing(&self) -> &[(&'static str, String)] {
        &self.missing
    }

    /// Every name that a model may ask for.
    pub fn names(&self) -> Vec<&'static str> {
        let available = self.available.iter().map(|it| it.name());
        available.chain(self.missing.iter().map(|(name, _)| *name)).collect()
    }

    /// Every file name that some engine reads.
    pub(crate) fn artifacts(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.available.iter().map(|it| it.artifact()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Loads the version in `folder` with the wanted engine, or with the first that can.
    pub(crate) fn load(
        &self,
        wanted: Option<&str>,
        folder: &Path,
        options: &Options,
    ) -> Result<FromEngine<'_>, String> {
        if let Some((name, reason)) = self.missing.iter().find(|(name, _)| Some(*name) == wanted) {
            // Clients see the error; where libraries lie on this machine is for the log alone.
            tracing::warn!(engine = name, reason, "a model wants an engine that is not available");
            return Err(format!("engine {name} is not available; the server's log says why"));
        }
        let asked = self.available.iter().filter(|it| wanted.is_none_or(|name| it.name() == name));
        let mut reasons = Vec::new();
        for engine in asked {
            let artifact = folder.join(engine.artifact());
            if !artifact.is_file() {
                continue;
            }
            match engine.load(&artifact, options) {
                Ok(model) => return Ok((&**engine, model)),
                // What one engine does not know another may; a broken file is broken for all.
                Err(it @ (BackendError::Unsupported { .. } | BackendError::Unavailable { .. })) => {
                    reasons.push(it.to_string());
                }
                Err(
                    it @ (BackendError::Artifact { .. }
                    | BackendError::Input { .. }
                    | BackendError::Run { .. }),
                ) => {
                    reasons.push(it.to_string());
                    break;
                }
            }
        }
        if reasons.is_empty() {
            let names: Vec<&str> = self.artifacts();
            return Err(format!("no {} in {}", names.join(" or "), folder.display()));
        }
        Err(reasons.join("; "))
    }
}
