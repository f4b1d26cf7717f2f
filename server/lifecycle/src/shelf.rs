//! What the rest of the server sees of the models: table, index, readiness.
//!
//! Its only writer is the manager, once a turn. All is stored before anybody is told, so that
//! whoever looks then sees all of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use server_base::{ModelName, Version};
use server_serving::{Demand, Serving, Table};
use tokio::sync::watch;

use crate::direction::{Direction, directed};
use crate::handle::{Readiness, Told};
use crate::metrics;
use crate::models::Model;

/// See the module.
pub(crate) struct Shelf {
    serving: Arc<Serving>,
    /// The version that answers requests without a version.
    newest: HashMap<ModelName, Version>,
    told: Told,
    readiness: Arc<Readiness>,
    changed: Arc<watch::Sender<u64>>,
    started: Instant,
}

impl Shelf {
    /// With an empty table.
    pub(crate) fn new(
        serving: Arc<Serving>,
        told: Told,
        readiness: Arc<Readiness>,
        changed: Arc<watch::Sender<u64>>,
    ) -> Shelf {
        let (newest, started) = (HashMap::new(), Instant::now());
        Shelf { serving, newest, told, readiness, changed, started }
    }

    /// Brings everything up to date. `gone` are those of models that were there the last time;
    /// `resting` says whether the folders that were there at the start have been read.
    pub(crate) fn show(
        &mut self,
        models: &mut BTreeMap<ModelName, Model>,
        gone: &[Arc<Demand>],
        resting: bool,
    ) {
        let mut told: Vec<Arc<Demand>> = gone.to_vec();
        let mut is_shown_anew = !gone.is_empty();
        for (name, model) in models.iter_mut().filter(|(_, it)| it.is_changed()) {
            is_shown_anew |= model.show();
            told.push(Arc::clone(model.lazy.demand()));
            self.switch(name, model);
        }
        if !told.is_empty() {
            self.newest.retain(|name, _| models.contains_key(name));
            let entries = models.iter().map(|(name, it)| (name.clone(), it.shown().entry.clone()));
            self.serving.publish(Table::new(entries.collect()));
        }
        if is_shown_anew {
            let index = models.values().flat_map(|it| it.shown().index.iter().cloned()).collect();
            self.told.index.store(Arc::new(index));
            let declared = models.values().filter_map(|it| it.shown().declared.clone()).collect();
            self.told.declared.store(Arc::new(declared));
        }
        let is_ready_anew = self.settle(models, resting);
        told.iter().for_each(|it| it.tell());
        if is_shown_anew || is_ready_anew {
            self.changed.send_modify(|it| *it = it.wrapping_add(1));
        }
    }

    /// Rollouts want other versions than before.
    pub(crate) fn direct(&self, directions: &BTreeMap<ModelName, Direction>) {
        self.told.directed.store(Arc::new(directed(directions)));
    }

    /// Another version may answer requests without a version.
    fn switch(&mut self, name: &ModelName, model: &Model) {
        let Some(newest) = model.shown().entry.newest().map(|it| it.version()) else {
            self.newest.remove(name); // whatever comes next replaces nothing
            return;
        };
        let before = self.newest.insert(name.clone(), newest);
        if let Some(before) = before.filter(|it| *it != newest) {
            tracing::info!(model = %name, from = %before, to = %newest, "version switch");
            metrics::switched(name, before, newest);
        }
    }

    /// Brings the readiness up to date. True if it has changed.
    fn settle(&self, models: &BTreeMap<ModelName, Model>, resting: bool) -> bool {
        let was_ready = self.readiness.is_ready();
        let (mut loaded, mut unserved, mut awaited) = (0, 0, false);
        for model in models.values().map(Model::shown) {
            loaded += usize::from(model.is_available);
            unserved += usize::from(!model.is_served);
            awaited |= model.is_awaited;
        }
        let registered = models.len() - unserved - loaded;
        metrics::models(loaded, registered, models.len());
        self.readiness.set_unserved(unserved);
        if resting && !awaited && self.readiness.settle() {
            let (models, took_s) = (models.len(), self.started.elapsed().as_secs_f64());
            tracing::info!(models, registered, unserved, took_s, "the initial models have settled");
        }
        was_ready != self.readiness.is_ready()
    }

    /// Nothing answers any more.
    pub(crate) fn clear(&self) {
        self.serving.publish(Table::default());
    }

    /// May traffic come?
    #[cfg(test)]
    pub(crate) fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// Told of changes.
    #[cfg(test)]
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
