//! Lets models that are loaded on demand in, and sends them away.
//!
//! Part of the manager's turn: takes note of what requests have asked for and of loads that wait
//! for memory, has `eviction` decide, and moves the models' books. Loading and draining follow from that
//! as from any other change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use server_base::ModelName;
use server_serving::{Bell, Demand, Scarce};

use crate::clock::Clock;
use crate::eviction::{Cause, Fate, Limits, Picture, Resident, Room, Space, Spare, plan};
use crate::memory::Lesson;
use crate::metrics;
use crate::models::Model;

/// How often it is looked at who has been used: a glance at two counters for each loaded model.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Rooms {
    bell: Arc<Bell>,
    clock: Clock,
    limits: Limits,
    /// What versions take.
    pub(crate) lesson: Lesson,
    /// Asked for, in that order, and not admitted yet. Each model is in it once at most.
    queue: VecDeque<ModelName>,
    /// Loads that nobody asked for and that wait for memory. They come before those in the queue:
    /// what is there always is not to wait for what comes and goes.
    claims: VecDeque<Claim>,
    /// Has a claim come since the last look?
    has_news: bool,
    /// Memory that was promised, and is not taken yet.
    granted: BTreeMap<ModelName, u64>,
    next_look: Instant,
    /// When the first refusal, or pause after a failure, is over.
    next_pardon: Option<Instant>,
}

/// A load that waits for memory.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) model: ModelName,
    /// The artifact.
    pub(crate) id: u64,
    pub(crate) bytes: u64,
}

impl Rooms {
    pub(crate) fn new(bell: Arc<Bell>, clock: Clock, limits: Limits) -> Rooms {
        metrics::memory_max(limits.bytes.unwrap_or(0));
        Rooms {
            next_look: clock.now(),
            bell,
            clock,
            limits,
            lesson: Lesson::default(),
            queue: VecDeque::new(),
            claims: VecDeque::new(),
            has_news: false,
            granted: BTreeMap::new(),
            next_pardon: None,
        }
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
        if self.has_news {
            return Duration::ZERO;
        }
        let next = self.next_pardon.map_or(self.next_look, |it| it.min(self.next_look));
        next.saturating_duration_since(self.now())
    }

    /// May this load begin? If not, it waits here until it may or is refused.
    pub(crate) fn may_load(&mut self, model: &ModelName, id: u64, bytes: u64) -> bool {
        if self.limits.bytes.is_none() {
            return true;
        }
        if let Some(granted) = self.granted.get_mut(model)
            && *granted >= bytes
        {
            *granted -= bytes;
            return true;
        }
        if !self.claims.iter().any(|it| it.id == id) {
            self.claims.push_back(Claim { model: model.clone(), id, bytes });
            self.has_news = true;
        }
        false
    }

    /// Does what is due, before the models are acted on. Gives the loads that there will be no
    /// memory for, and why.
    pub(crate) fn keep(&mut self, models: &mut BTreeMap<ModelName, Model>) -> Vec<(Claim, Scarce)> {
        let now = self.now();
        for name in self.bell.take() {
            let is_news = models.get_mut(&name).is_some_and(|it| it.ask(now));
            if is_news && !self.queue.contains(&name) {
                self.queue.push_back(name);
            }
        }
        if self.next_pardon.is_some_and(|it| it <= now) {
            self.next_pardon = models.values_mut().filter_map(|it| it.pardon(now)).min();
        }
        if self.queue.is_empty() && self.claims.is_empty() && self.next_look > now {
            return Vec::new();
        }
        self.next_look = now + LOOK;
        self.has_news = false;
        if self.limits.is_some() || models.values().any(Model::may_idle) {
            return self.make_room(models, now);
        }
        for name in self.queue.drain(..) {
            models.get_mut(&name).into_iter().for_each(|it| it.admit(now));
        }
        Vec::new()
    }

    fn make_room(
        &mut self,
        models: &mut BTreeMap<ModelName, Model>,
        now: Instant,
    ) -> Vec<(Claim, Scarce)> {
        self.forget(models);
        let claimed = self.claims.iter().map(|it| Space { models: 0, bytes: it.bytes });
        let lesson = self.lesson;
        let asked = self.queue.iter().filter_map(|it| models.get(it));
        let asked = asked.map(|it| Space { models: 1, bytes: it.needs(&lesson) });
        let newcomers: Vec<Space> = claimed.chain(asked).collect();
        let residents: Vec<Resident> =
            models.values_mut().filter_map(|it| it.resident(now)).collect();
        let kept = models.iter().filter_map(|(name, it)| Some((name.clone(), it.aside_bytes()?)));
        let mut picture = Picture {
            limits: self.limits,
            newcomers: newcomers.clone(),
            residents,
            spares: kept.map(|(name, bytes)| Spare { name, bytes }).collect(),
            ..<_>::default()
        };
        for model in models.values() {
            let space = model.space();
            picture.occupied = picture.occupied.plus(space);
            if model.is_leaving() {
                picture.leaving = picture.leaving.plus(space);
            } else {
                picture.leaving.bytes += model.leaving_bytes();
            }
        }
        metrics::memory_taken(picture.occupied.bytes);
        picture.occupied.bytes += self.granted.values().sum::<u64>();
        let Room { fates, evicted, cooled, retry } = plan(picture, now);
        for name in cooled {
            models.get_mut(&name).into_iter().for_each(Model::cool);
        }
        for (name, cause) in evicted {
            tracing::info!(model = %name, cause = cause.label(), "model goes back to be registered");
            metrics::evicted(cause);
            models.get_mut(&name).into_iter().for_each(Model::sleep);
        }
        let mut fates = fates.into_iter().zip(newcomers);
        let refused = self.settle_claims(models, &mut fates);
        for (name, (fate, need)) in std::mem::take(&mut self.queue).into_iter().zip(fates) {
            let Some(model) = models.get_mut(&name) else { continue };
            match fate {
                Fate::Admitted => {
                    self.granted.insert(name, need.bytes);
                    model.admit(now);
                }
                Fate::Waits => self.queue.push_back(name),
                Fate::Refused(cause) => {
                    let scarce = self.scarce(cause, need);
                    tracing::info!(model = %name, %scarce, "no room for a model that was asked for");
                    model.refuse(scarce, retry);
                }
            }
        }
        refused
    }

    /// What waits for what nobody wants any more, does not.
    fn forget(&mut self, models: &mut BTreeMap<ModelName, Model>) {
        self.claims.retain(|it| models.get(&it.model).is_some_and(|model| model.awaits(it.id)));
        self.granted.retain(|name, _| models.get(name).is_some_and(Model::is_pending));
        // Nothing is unloaded, and nothing loaded, for requests that have given up meanwhile.
        self.queue.retain(|name| match models.get_mut(name) {
            Some(model) if model.lazy.demand().waiting() > 0 => true,
            Some(model) => {
                model.sleep();
                false
            }
            None => false,
        });
    }

    fn settle_claims(
        &mut self,
        models: &mut BTreeMap<ModelName, Model>,
        fates: &mut impl Iterator<Item = (Fate, Space)>,
    ) -> Vec<(Claim, Scarce)> {
        let mut refused = Vec::new();
        // In this order: a claim that is left over must not swallow a fate of the queue's.
        for (claim, (fate, need)) in std::mem::take(&mut self.claims).into_iter().zip(fates) {
            match fate {
                Fate::Admitted => {
                    *self.granted.entry(claim.model.clone()).or_default() += claim.bytes;
                    models.get_mut(&claim.model).into_iter().for_each(Model::touch);
                }
                Fate::Waits => self.claims.push_back(claim),
                Fate::Refused(cause) => refused.push((claim, self.scarce(cause, need))),
            }
        }
        refused
    }

    fn scarce(&self, cause: Cause, need: Space) -> Scarce {
        match cause {
            Cause::Count | Cause::Idle => Scarce::Models(self.limits.models.unwrap_or(0)),
            Cause::Memory => {
                Scarce::Memory { needed: need.bytes, max: self.limits.bytes.unwrap_or(0) }
            }
        }
    }

    /// A model has been acted on: takes note of when it may be asked for again.
    pub(crate) fn note(&mut self, model: &Model) {
        if let Some(until) = model.pardoned_at() {
            self.next_pardon = Some(self.next_pardon.map_or(until, |it| it.min(until)));
        }
    }
}
