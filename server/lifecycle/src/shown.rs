//! What others see of a model, kept because most turns change one of a thousand.

use std::collections::BTreeMap;
use std::sync::Arc;

use server_base::Version;
use server_serving::ModelEntry;
use server_serving::metrics::RequestMetrics;

use super::Model;
use crate::declared::Declared;
use crate::handle::Entry;
use crate::metrics::StateMetrics;
use crate::state::State;

/// As of the last turn in which it changed.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) entry: ModelEntry,
    pub(crate) index: Vec<Entry>,
    pub(crate) is_available: bool,
    /// It answers, or would if it was asked.
    pub(crate) is_served: bool,
    /// Does the start of the server wait for it?
    pub(crate) is_awaited: bool,
    /// What is to be rolled out.
    pub(crate) declared: Option<Declared>,
}

impl Shown {
    /// Before the first turn.
    pub(super) fn nothing(requests: &Arc<RequestMetrics>) -> Shown {
        Shown {
            entry: ModelEntry::new(Vec::new(), Vec::new(), Vec::new(), Arc::clone(requests)),
            index: Vec::new(),
            is_available: false,
            is_served: false,
            is_awaited: false,
            declared: None,
        }
    }
}

impl Model {
    /// Something has happened to it: it is to be looked at.
    pub(crate) fn touch(&mut self) {
        self.is_changed = true;
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// What others see, as of the last turn in which it changed.
    pub(crate) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Brings what others see up to date. True if there is something new to be told.
    pub(crate) fn show(&mut self) -> bool {
        self.is_changed = false;
        self.show_states();
        let (is_available, is_pending) = (self.is_available(), self.is_pending());
        let entry = self.table_entry();
        let shadow = self.copy(entry.ready());
        let entry = entry.with_shadow(shadow);
        let shown = Shown {
            is_served: is_available || entry.on_demand().is_some(),
            entry,
            index: self.index(),
            is_available,
            is_awaited: is_pending && !self.is_lazy(),
            declared: self.declared(),
        };
        let last = std::mem::replace(&mut self.shown, shown);
        last.index != self.shown.index || last.declared != self.shown.declared
    }

    /// A version is shown in the state of that of its revisions that matters most: while the new
    /// one answers, nobody cares that the old one has ended.
    fn show_states(&mut self) {
        let mut foremost: BTreeMap<Version, &State> = BTreeMap::new();
        for it in &self.artifacts {
            let state = foremost.entry(it.version).or_insert(&it.state);
            if it.state.weight() > state.weight() {
                *state = &it.state;
            }
        }
        let warm = self.warm_version();
        for (version, state) in &foremost {
            let metrics = self.states.entry(*version);
            let metrics = metrics.or_insert_with(|| StateMetrics::new(&self.name, *version));
            metrics.show(state);
            let taken = self.artifacts.iter().filter(|it| it.version == *version);
            let taken = taken.filter(|it| it.is_in_memory()).map(|it| it.bytes).sum();
            metrics.takes(taken);
            metrics.is_warm(warm == Some(*version));
        }
        self.states.retain(|version, _| foremost.contains_key(version));
    }
}
