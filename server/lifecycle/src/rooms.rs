//! Lets models that are loaded on demand in, and sends them away.
//!
//! Part of the manager's turn: takes note of what requests have asked for, has `eviction` decide,
//! and moves the models' books. Loading and draining follow from that as from any other change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use server_base::ModelName;
use server_serving::{Bell, Demand};

use crate::clock::Clock;
use crate::eviction::{Picture, Resident, plan};
use crate::metrics;
use crate::models::Model;

/// How often it is looked at who has been used: a glance at two counters for each loaded model.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Rooms {
    bell: Arc<Bell>,
    clock: Clock,
    /// Models that may be in memory at a time.
    loaded_max: Option<usize>,
    /// Asked for, in that order, and not admitted yet. Each model is in it once at most.
    queue: VecDeque<ModelName>,
    next_look: Instant,
    /// When the first refusal, or pause after a failure, is over.
    next_pardon: Option<Instant>,
}

impl Rooms {
    pub(crate) fn new(bell: Arc<Bell>, clock: Clock, loaded_max: Option<usize>) -> Rooms {
        let (queue, next_look) = (VecDeque::new(), clock.now());
        Rooms { bell, clock, loaded_max, queue, next_look, next_pardon: None }
    }

    /// Where requests for a model wait.
    pub(crate) fn demand(&self, name: &ModelName) -> Arc<Demand> {
        Demand::new(name.clone(), Arc::clone(&self.bell))
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How long nothing has to be done here.
    pub(crate) fn pause(&self) -> Duration {
        let next = self.next_pardon.map_or(self.next_look, |it| it.min(self.next_look));
        next.saturating_duration_since(self.now())
    }

    /// Does what is due. Before the models are acted on.
    pub(crate) fn keep(&mut self, models: &mut BTreeMap<ModelName, Model>) {
        let now = self.now();
        for name in self.bell.take() {
            let is_news = models.get_mut(&name).is_some_and(Model::ask);
            if is_news && !self.queue.contains(&name) {
                self.queue.push_back(name);
            }
        }
        if self.next_pardon.is_some_and(|it| it <= now) {
            self.next_pardon = models.values_mut().filter_map(|it| it.pardon(now)).min();
        }
        if self.queue.is_empty() && self.next_look > now {
            return;
        }
        self.next_look = now + LOOK;
        if self.loaded_max.is_some() || models.values().any(Model::may_idle) {
            self.make_room(models, now);
        } else {
            for name in self.queue.drain(..) {
                models.get_mut(&name).into_iter().for_each(Model::admit);
            }
        }
    }

    fn make_room(&mut self, models: &mut BTreeMap<ModelName, Model>, now: Instant) {
        // Nothing is unloaded, and nothing loaded, for requests that have given up meanwhile.
        self.queue.retain(|name| match models.get_mut(name) {
            Some(model) if model.lazy.demand().waiting() > 0 => true,
            Some(model) => {
                model.sleep();
                false
            }
            None => false,
        });
        let residents: Vec<Resident> =
            models.values_mut().filter_map(|it| it.resident(now)).collect();
        let occupants = models.values().filter(|it| it.is_occupant());
        let (occupied, leaving) =
            occupants.fold((0, 0), |sum, it| (sum.0 + 1, sum.1 + usize::from(it.is_leaving())));
        let (loaded_max, newcomers) = (self.loaded_max, self.queue.len());
        let room = plan(Picture { loaded_max, occupied, leaving, newcomers, residents }, now);
        for (name, cause) in room.evicted {
            tracing::info!(model = %name, cause = cause.label(), "model goes back to be registered");
            metrics::evicted(cause);
            models.get_mut(&name).into_iter().for_each(Model::sleep);
        }
        let (admitted, loaded_max) = (self.queue.drain(..room.admitted), loaded_max.unwrap_or(0));
        admitted.for_each(|it| models.get_mut(&it).into_iter().for_each(Model::admit));
        for name in self.queue.drain(self.queue.len().saturating_sub(room.refused)..) {
            tracing::info!(model = %name, loaded_max, "no room for a model that was asked for");
            models.get_mut(&name).into_iter().for_each(|it| it.refuse(loaded_max, room.retry));
        }
    }

    /// A model has been acted on: takes note of when it may be asked for again.
    pub(crate) fn note(&mut self, model: &Model) {
        if let Some(until) = model.pardoned_at() {
            self.next_pardon = Some(self.next_pardon.map_or(until, |it| it.min(until)));
        }
    }
}
