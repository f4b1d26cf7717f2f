//! What can be asked now: an immutable picture of all models, replaced as a whole.
//!
//! The lifecycle builds and publishes it; a request takes one snapshot and routes by it, so that
//! half a change is never seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use server_base::{ModelName, Version, VersionChoice};

use crate::demand::OnDemand;
use crate::error::InferError;
use crate::metrics::RequestMetrics;
use crate::servable::Servable;
use crate::shadow::Shadow;
use crate::traffic::{Sticky, Traffic};

/// All models by name.
#[derive(Default)]
pub struct Table {
    models: HashMap<ModelName, ModelEntry>,
}

/// One model. Cheap to clone: all of it is shared.
#[derive(Clone)]
pub struct ModelEntry {
    /// Versions that can answer, oldest first.
    ready: Arc<[Arc<Servable>]>,
    /// Versions that are known, able to answer or not.
    known: Arc<[Version]>,
    /// Names for versions.
    labels: Arc<[(Box<str>, Version)]>,
    /// How requests that name no version are shared out; `None`: the newest has them all.
    traffic: Option<Arc<Traffic>>,
    /// Where copies of them go.
    shadow: Option<Arc<Shadow>>,
    /// Counts requests that reach no version.
    requests: Arc<RequestMetrics>,
    /// How it is loaded, if that is when somebody asks.
    on_demand: Option<Arc<OnDemand>>,
    /// A version that can answer, and does so only if it is named.
    aside: Option<Version>,
}

impl ModelEntry {
    /// `ready` in any order; `known` includes them.
    pub fn new(
        mut ready: Vec<Arc<Servable>>,
        known: Vec<Version>,
        labels: Vec<(Box<str>, Version)>,
        requests: Arc<RequestMetrics>,
    ) -> ModelEntry {
        ready.sort_by_key(|it| it.version());
        let (ready, known, labels) = (ready.into(), known.into(), labels.into());
        let (traffic, shadow, on_demand, aside) = (None, None, None, None);
        ModelEntry { ready, known, labels, traffic, shadow, requests, on_demand, aside }
    }

    /// Versions that are not ready are loaded when somebody asks.
    pub fn with_demand(self, on_demand: Option<OnDemand>) -> ModelEntry {
        ModelEntry { on_demand: on_demand.map(Arc::new), ..self }
    }

    /// Requests that name no version are shared out.
    pub fn with_traffic(self, traffic: Option<Traffic>) -> ModelEntry {
        ModelEntry { traffic: traffic.map(Arc::new), ..self }
    }

    /// Copies of them go there: each version that is ready has been told.
    pub fn with_shadow(self, shadow: Option<Arc<Shadow>>) -> ModelEntry {
        ModelEntry { shadow, ..self }
    }

    /// Where copies of requests that name no version go, unless a rollout makes its own.
    pub fn shadow(&self) -> Option<&Arc<Shadow>> {
        self.shadow.as_ref()
    }

    /// Names for versions.
    pub fn labels(&self) -> &[(Box<str>, Version)] {
        &self.labels
    }

    /// By what callers stay with a version.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.traffic.as_ref().and_then(|it| it.sticky())
    }

    /// One version answers only those who name it.
    pub fn with_aside(self, aside: Option<Version>) -> ModelEntry {
        ModelEntry { aside, ..self }
    }

    /// How it is loaded, if that is when somebody asks.
    pub fn on_demand(&self) -> Option<&Arc<OnDemand>> {
        self.on_demand.as_ref()
    }

    pub(crate) fn requests(&self) -> &Arc<RequestMetrics> {
        &self.requests
    }

    /// Versions that can answer, oldest first.
    pub fn ready(&self) -> &[Arc<Servable>] {
        &self.ready
    }

    /// The newest of those that answer whoever asks.
    pub fn newest(&self) -> Option<&Arc<Servable>> {
        self.ready.iter().rev().find(|it| Some(it.version()) != self.aside)
    }

    /// What part of the requests that name no version each has, of those that answer them. What is meant for another
    /// falls to the main one.
    pub fn shares(&self) -> BTreeMap<Version, f64> {
        let Some(main) = self.main().map(|it| it.version()) else { return BTreeMap::new() };
        let Some(traffic) = &self.traffic else { return [(main, 1.0)].into() };
        let mut shares = BTreeMap::new();
        for (version, share) in traffic.shares() {
            let answers = if self.ready_for_all(version).is_some() { version } else { main };
            *shares.entry(answers).or_default() += share;
        }
        shares
    }

    /// The version that speaks for the model: the one with the largest share of the traffic, or the
    /// newest.
    pub fn main(&self) -> Option<&Arc<Servable>> {
        self.any(|_| None)
    }

    /// `draw` says where in the traffic the request falls, if that is what decides.
    fn find<'a>(
        &'a self,
        choice: &VersionChoice,
        draw: impl FnOnce(&'a Traffic) -> Option<u64>,
    ) -> Result<&'a Arc<Servable>, Missing> {
        let version = match choice {
            VersionChoice::Any => return self.any(draw).ok_or_else(|| self.missing(None)),
            VersionChoice::Exact(version) => *version,
            VersionChoice::Label(label) => {
                let labelled = self.labels.iter().find(|(it, _)| it == label);
                labelled.map(|(_, version)| *version).ok_or(Missing::Unknown)?
            }
        };
        self.ready_one(version).ok_or_else(|| self.missing(Some(version)))
    }

    /// The version on whose stretch the request falls. If it cannot answer the heaviest does that
    /// can, and if none of them can the newest: a share is no reason to turn anybody away.
    fn any<'a>(
        &'a self,
        draw: impl FnOnce(&'a Traffic) -> Option<u64>,
    ) -> Option<&'a Arc<Servable>> {
        let Some(traffic) = &self.traffic else { return self.newest() };
        let drawn = draw(traffic).and_then(|it| self.ready_for_all(traffic.at(it)?));
        let heaviest = || traffic.by_weight().find_map(|it| self.ready_for_all(it));
        drawn.or_else(heaviest).or_else(|| self.newest())
    }

    /// It, if it can answer and is not set aside.
    fn ready_for_all(&self, version: Version) -> Option<&Arc<Servable>> {
        self.ready_one(version).filter(|_| Some(version) != self.aside)
    }

    fn ready_one(&self, version: Version) -> Option<&Arc<Servable>> {
        self.ready.iter().find(|it| it.version() == version)
    }

    /// Why it is not there; no version is any.
    fn missing(&self, version: Option<Version>) -> Missing {
        let comes = |it: &OnDemand| version.is_none_or(|version| it.versions.contains(&version));
        if self.on_demand.as_deref().is_some_and(comes) {
            Missing::Asleep
        } else if version.is_none_or(|it| self.known.contains(&it)) {
            Missing::NotReady
        } else {
            Missing::Unknown
        }
    }
}

enum Missing {
    Unknown,
    NotReady,
    Asleep,
}

impl Table {
    /// A table of these models.
    pub fn new(models: HashMap<ModelName, ModelEntry>) -> Table {
        Table { models }
    }

    /// The version that speaks for such requests now. Without a choice: the one with the largest
    /// share of the traffic, or the newest that is ready.
    pub fn route(&self, model: &str, choice: &VersionChoice) -> Result<&Arc<Servable>, InferError> {
        self.route_by(model, choice, |_| None)
    }

    /// The version that answers such a request now; `draw` says where in the traffic it falls.
    pub(crate) fn route_by<'a>(
        &'a self,
        model: &str,
        choice: &VersionChoice,
        draw: impl FnOnce(&'a Traffic) -> Option<u64>,
    ) -> Result<&'a Arc<Servable>, InferError> {
        let Some(entry) = self.models.get(model) else {
            return Err(InferError::UnknownModel { model: model.to_owned() });
        };
        entry.find(choice, draw).map_err(|it| match it {
            Missing::NotReady => InferError::NotReady { model: model.to_owned() },
            Missing::Asleep => InferError::Asleep { model: model.to_owned() },
            Missing::Unknown => {
                InferError::UnknownVersion { model: model.to_owned(), version: choice.clone() }
            }
        })
    }

    /// Set if such a request has to wait for a load that it may ask for.
    pub(crate) fn asleep(&self, model: &str, choice: &VersionChoice) -> Option<&Arc<OnDemand>> {
        let entry = self.models.get(model)?;
        match entry.find(choice, |_| None) {
            Err(Missing::Asleep) => entry.on_demand.as_ref(),
            Ok(_) | Err(Missing::NotReady | Missing::Unknown) => None,
        }
    }

    /// A model's entry.
    pub fn model(&self, model: &str) -> Option<&ModelEntry> {
        self.models.get(model)
    }

    /// Every version that can answer, in no order.
    pub fn servables(&self) -> impl Iterator<Item = &Arc<Servable>> {
        self.models.values().flat_map(|it| it.ready.iter())
    }
}
