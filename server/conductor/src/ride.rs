//! One rollout on its way: what it sees of the server, and what it makes the server do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use server_base::Version;
use server_lifecycle::{Direction, Entry, Lifecycle, LifecycleError, State as VersionState};
use server_rollout::{
    Action, Fault, Moment, Observation, Phase, Readiness, Rollout, State, Weight,
};
use server_serving::{Servable, Serving, Shadow};

use server_replicas::{Saved, Seen, Wish};

use crate::gauge::Gauge;
use crate::world::World;

/// See the module.
pub(crate) struct Ride {
    saved: Saved,
    /// Which of the model's shared rollouts it is.
    begun: u64,
    gauge: Gauge,
    /// Whose counts the gauge reads.
    stage: u32,
    shadow: Option<Arc<Shadow>>,
    validated: bool,
    /// What a version was found to be when it was validated.
    fault: Option<Fault>,
    /// What the lifecycle was told last; told again if that did not work.
    told: Option<Option<Direction>>,
    /// Why that did not work, which is said once.
    said: Option<LifecycleError>,
}

/// The versions of a ride, as far as they can answer.
struct Both {
    stable: Option<Arc<Servable>>,
    canary: Option<Arc<Servable>>,
}

impl Ride {
    /// One that begins, or went on before the process was started.
    pub(crate) fn new(mut saved: Saved) -> Ride {
        saved.rollout.recount();
        Ride::shared(saved, 0)
    }

    /// One that others decide too: what has been counted is not carried along, but added up each time.
    pub(crate) fn shared(saved: Saved, begun: u64) -> Ride {
        Ride {
            saved,
            begun,
            gauge: Gauge::default(),
            stage: 0,
            shadow: None,
            validated: false,
            fault: None,
            told: None,
            said: None,
        }
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    pub(crate) fn saved(&self) -> &Saved {
        &self.saved
    }

    pub(crate) fn rollout(&self) -> &Rollout {
        &self.saved.rollout
    }

    /// Another rollout of the model may begin.
    ///
    /// An old version that is still kept ready is let go then.
    pub(crate) fn is_over(&self) -> bool {
        match self.rollout().state() {
            State::RolledBack | State::Promoted { .. } => true,
            State::Running { .. } | State::Held { .. } => false,
        }
    }

    /// Looks, decides, and does what was decided.
    pub(crate) async fn turn(&mut self, world: &World<'_>, now: Moment) {
        drop(self.remember(world)); // that it fails was said
        self.direct(world, now).await;
        if self.saved.is_forgotten {
            return;
        }
        let both = self.both(world.serving);
        self.resume(&both);
        let actions = {
            let seen = self.observe(world, &both);
            self.saved.rollout.step(now, &seen)
        };
        self.act(world, actions, now).await;
    }

    /// Acts by what was decided elsewhere, or here and written down.
    pub(crate) async fn follow(&mut self, world: &World<'_>, saved: Saved, now: Moment) {
        self.saved = saved;
        self.direct(world, now).await;
        let both = self.both(world.serving);
        self.align(&both);
    }

    /// Looks, and leaves it to others what to make of it.
    pub(crate) async fn look(&mut self, world: &World<'_>, now: Moment) -> Seen {
        self.direct(world, now).await;
        let both = self.both(world.serving);
        self.align(&both);
        let ready = [&both.stable, &both.canary].into_iter().flatten();
        let ready: Vec<u64> = ready.map(|it| it.version().0).collect();
        let digests = self.digests(world.lifecycle, &ready);
        Seen { ready, digests, observation: self.observe(world, &both), ..Seen::default() }
    }

    /// Nothing of it is measured any more, or copied.
    pub(crate) fn leave(&mut self, serving: &Serving) {
        let both = self.both(serving);
        self.end(&both);
    }

    /// The stage that the rollout is in, or none when it is over.
    fn align(&mut self, both: &Both) {
        match self.rollout().state() {
            State::Running { .. } | State::Held { .. } => self.resume(both),
            State::Promoted { .. } | State::RolledBack => self.end(both),
        }
    }

    fn end(&mut self, both: &Both) {
        if self.stage == 0 {
            return;
        }
        self.set_shadow(both, Weight::NONE, 0);
        for it in [&both.stable, &both.canary].into_iter().flatten() {
            it.watch(None, false);
        }
        self.begin_stage(both, 0);
    }

    /// Does what a rollout has decided. It is written down first: a process that ends in between
    /// finds itself where it was going, and tells what it may not have told.
    pub(crate) async fn act(&mut self, world: &World<'_>, actions: Vec<Action>, now: Moment) {
        if actions.is_empty() {
            return;
        }
        self.tell(world, &actions);
        self.direct(world, now).await;
        let both = self.both(world.serving);
        for action in actions {
            match action {
                Action::Validate => self.validate(&both),
                Action::SetShadow { share, stage } => self.set_shadow(&both, share, stage),
                Action::SetWeight { stage, slow_above, .. } => {
                    for it in [&both.stable, &both.canary].into_iter().flatten() {
                        // While stages last everything is looked at; then nothing is.
                        it.watch(slow_above, stage > 0);
                    }
                    self.begin_stage(&both, stage);
                }
                // What these mean for the lifecycle is told from the state: see `direction`.
                Action::Promote | Action::RollBack | Action::KeepWarm { .. } => {}
                Action::Record(_) => {}
            }
        }
        self.is_told(world);
    }

    /// Tells the lifecycle what the rollout's state means for the model, unless it knows.
    async fn direct(&mut self, world: &World<'_>, now: Moment) {
        let direction = self.direction(now);
        if self.told.as_ref() == Some(&direction) {
            return;
        }
        let model = self.rollout().subject().model().as_str().to_owned();
        match world.lifecycle.direct(&model, direction.clone()).await {
            Ok(()) => (self.told, self.said) = (Some(direction), None),
            Err(LifecycleError::Busy | LifecycleError::Stopping) => {} // in the next turn
            Err(error) if self.said.as_ref() == Some(&error) => {}
            Err(error) => {
                // It may be on its way from a registry.
                tracing::warn!(model, %error, "a rollout cannot direct its model");
                self.said = Some(error);
            }
        }
    }

    /// Which versions are wanted and who gets how much, from the state alone. `None`: what the model's files say.
    pub(crate) fn direction(&self, now: Moment) -> Option<Direction> {
        if self.saved.is_forgotten {
            return None;
        }
        let rollout = self.rollout();
        let (stable, canary) = (rollout.subject().stable(), rollout.subject().canary());
        let wanted: BTreeSet<Version> = match rollout.state() {
            State::Running { .. } | State::Held { .. } => [stable, canary].into(),
            State::Promoted { warm_until } if now < warm_until => [stable, canary].into(),
            State::Promoted { .. } => [canary].into(),
            State::RolledBack => [stable].into(),
        };
        let share = u32::from(rollout.weight().basis_points());
        let all = u32::from(Weight::ALL.basis_points());
        let weights: BTreeMap<Version, u32> = [(stable, all - share), (canary, share)].into();
        let is_under_way = matches!(rollout.state(), State::Running { .. } | State::Held { .. });
        let rollout = is_under_way.then(|| rollout.id());
        Some(Direction { wanted, weights, rollout })
    }

    fn both(&self, serving: &Serving) -> Both {
        let subject = self.rollout().subject();
        let table = serving.table();
        let ready = table.model(subject.model().as_str()).map(|it| it.ready()).unwrap_or_default();
        let find = |version| ready.iter().find(|it| it.version() == version).cloned();
        Both { stable: find(subject.stable()), canary: find(subject.canary()) }
    }

    /// After a restart, or a decision of another: takes up the stage that the rollout is in.
    fn resume(&mut self, both: &Both) {
        let (State::Running { phase } | State::Held { phase, .. }) = self.rollout().state() else {
            return;
        };
        if phase.stage() == self.stage || both.canary.is_none() || both.stable.is_none() {
            return;
        }
        match phase {
            Phase::Loading | Phase::Validating => {}
            Phase::Shadow => {
                let share = self.rollout().plan().shadow_share();
                self.set_shadow(both, share, phase.stage());
            }
            Phase::Canary { .. } => {
                self.set_shadow(both, Weight::NONE, 0);
                let slow_above = self.rollout().slow_above();
                for it in [&both.stable, &both.canary].into_iter().flatten() {
                    it.watch(slow_above, true);
                }
                self.begin_stage(both, phase.stage());
            }
        }
    }

    fn observe(&mut self, world: &World<'_>, both: &Both) -> Observation {
        if let Some(stable) = &both.stable
            && matches!(self.rollout().state(), State::Running { .. })
        {
            // The limit of the first split is the stable version's own p99: it is measured from the start.
            stable.measure();
        }
        if matches!(self.rollout().state(), State::Running { phase: Phase::Validating })
            && !self.validated
        {
            self.validate(both);
        }
        let readiness = match (&both.canary, self.validated) {
            (None, _) => Readiness::NotLoaded,
            (Some(_), false) => Readiness::Loaded,
            (Some(_), true) => Readiness::Validated,
        };
        let counted = (both.stable.as_ref(), both.canary.as_ref());
        Observation {
            readiness,
            fault: self.fault.clone().or_else(|| self.load_failure(world.lifecycle)),
            stage: self.stage,
            counts: if self.stage > 0 {
                self.gauge.read(counted, self.shadow.as_ref(), world.beside.truth.as_deref())
            } else {
                server_rollout::Counts::default()
            },
            stable_p99: both.stable.as_ref().and_then(|it| it.p99()),
            differs: None,
        }
    }

    /// Which bytes the versions that answer are, where the lifecycle knows it.
    fn digests(&self, lifecycle: &Lifecycle, ready: &[u64]) -> BTreeMap<u64, String> {
        let model = self.rollout().subject().model();
        let index = lifecycle.index();
        let answers = |it: &&Entry| it.model == *model && it.state == VersionState::Available;
        let entries = index.iter().filter(answers);
        let known = entries.filter_map(|it| Some((it.version?.0, it.digest.clone()?)));
        known.filter(|(version, _)| ready.contains(version)).collect()
    }

    fn load_failure(&self, lifecycle: &Lifecycle) -> Option<Fault> {
        let subject = self.rollout().subject();
        let index = lifecycle.index();
        let mut entries = index.iter().filter(|it| it.model == *subject.model());
        let entry = entries.find(|it| it.version == Some(subject.canary()));
        match entry {
            Some(entry) => {
                let failed = matches!(&entry.state, VersionState::End { reason: Some(_) });
                // What may pass is no verdict; the rollout's own time bounds that too.
                (failed && !entry.is_tried_again).then(|| Fault::LoadFailed(entry.reason.clone()))
            }
            None => None, // it may be on its way from a registry; the rollout's own time bounds that
        }
    }

    /// Does the candidate take and give the same? Nothing to compare with is none of the candidate's faults.
    fn validate(&mut self, both: &Both) {
        let (Some(stable), Some(canary)) = (&both.stable, &both.canary) else { return };
        let (a, b) = (stable.signature(), canary.signature());
        // Back to where it came from, by order: whoever could be promoted has to be able to.
        if b.stands_in_for(a) || (self.saved.is_ordered && a.stands_in_for(b)) {
            self.validated = true;
        } else {
            self.fault = Some(Fault::SignatureChanged(format!("{b} instead of {a}")));
        }
    }

    fn set_shadow(&mut self, both: &Both, share: Weight, stage: u32) {
        let Some(stable) = &both.stable else { return };
        self.shadow = None;
        if share == Weight::NONE {
            stable.set_shadow(None);
            return;
        }
        let Some(canary) = &both.canary else { return };
        match start_shadow(stable, canary, share) {
            Ok(shadow) => {
                self.shadow = Some(shadow);
                self.begin_stage(both, stage);
            }
            Err(error) => {
                tracing::warn!(model = %stable.model(), %error, "requests cannot be copied");
            }
        }
    }

    fn begin_stage(&mut self, both: &Both, stage: u32) {
        self.gauge = Gauge::begin(both.stable.as_ref(), both.canary.as_ref());
        self.stage = stage;
    }

    /// Another version is wanted than the candidate.
    pub(crate) async fn withdraw(&mut self, world: &World<'_>, now: Moment) {
        let actions = self.saved.rollout.withdraw(now);
        self.act(world, actions, now).await;
    }

    /// What the model's file wants is what serves.
    pub(crate) fn note(&mut self, world: &World<'_>, wish: Wish) {
        self.saved.wish = Some(wish);
        self.write(world);
    }

    fn write(&self, world: &World<'_>) {
        self.say(world.files.write(&self.saved));
    }

    fn say(&self, written: io::Result<()>) {
        if let Err(error) = written {
            tracing::error!(model = %self.rollout().subject().model(), %error, "a rollout cannot be written down");
        }
    }

    /// What an operator said.
    pub(crate) async fn command(
        &mut self,
        world: &World<'_>,
        command: server_rollout::Command,
        now: Moment,
    ) -> Result<(), server_rollout::Refused> {
        let actions = self.saved.rollout.command(now, command)?;
        self.act(world, actions, now).await;
        Ok(())
    }
}

fn start_shadow(
    stable: &Servable,
    canary: &Arc<Servable>,
    share: Weight,
) -> io::Result<Arc<Shadow>> {
    let shadow = Shadow::start(Arc::clone(canary), u64::from(share.basis_points()))?;
    if stable.set_shadow(Some(Arc::clone(&shadow))) {
        Ok(shadow)
    } else {
        Err(io::Error::other("the versions have different signatures"))
    }
}

#[path = "telling.rs"]
mod telling;
