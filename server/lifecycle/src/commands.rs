//! Callers of the repository API, from their command to their answer.
//!
//! Kept by the manager alone. Loads of one turn share one look at the folder.

use std::collections::{BTreeMap, BTreeSet};

use server_base::ModelName;
use tokio::sync::oneshot;

use crate::handle::LifecycleError;
use crate::models::Model;

/// Where a caller waits.
pub(crate) type Reply = oneshot::Sender<Result<(), LifecycleError>>;

/// Who waits for what.
#[derive(Default)]
pub(crate) struct Commands {
    /// Loads for which the folder has not been looked at yet.
    asked: Vec<(ModelName, Reply)>,
    /// Loads of which something is under way.
    loading: Vec<(ModelName, Reply)>,
    /// Unloads that are done as soon as the table says so.
    unloads: Vec<Reply>,
}

impl Commands {
    /// A model is to be loaded as its folder is now.
    pub(crate) fn load(&mut self, model: ModelName, reply: Reply) {
        self.asked.push((model, reply));
    }

    /// A model has been unloaded, and the next table will be without it.
    pub(crate) fn unload(&mut self, reply: Reply) {
        self.unloads.push(reply);
    }

    /// Models whose folders must be looked at.
    pub(crate) fn asked(&self) -> BTreeSet<ModelName> {
        self.asked.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The folder has been looked at, and holds `models`.
    pub(crate) fn looked(&mut self, models: &BTreeMap<ModelName, Model>) {
        for (name, reply) in self.asked.drain(..) {
            if models.contains_key(&name) {
                self.loading.push((name, reply));
            } else {
                let _ = reply.send(Err(LifecycleError::Unknown { model: name.to_string() }));
            }
        }
    }

    /// All that can be done has been done and published: answers whoever need not wait longer, and
    /// forgets whoever has gone.
    pub(crate) fn answer(&mut self, models: &BTreeMap<ModelName, Model>) {
        for reply in self.unloads.drain(..) {
            let _ = reply.send(Ok(()));
        }
        for (name, reply) in std::mem::take(&mut self.loading) {
            let reasons = match models.get(&name) {
                _ if reply.is_closed() => continue,
                Some(model) if model.is_pending() => {
                    self.loading.push((name, reply));
                    continue;
                }
                Some(model) => model.failures(),
                None => vec!["the folder is gone".to_owned()],
            };
            let _ = reply.send(if reasons.is_empty() {
                Ok(())
            } else {
                Err(LifecycleError::Failed { model: name.to_string(), reasons })
            });
        }
    }

    /// Callers that have not been answered.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.asked.len() + self.loading.len() + self.unloads.len()
    }
}
