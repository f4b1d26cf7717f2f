//! What an operator wants, and a line of the audit log for it.
//!
//! Another version at once, or the one before, without steps in between: it is a rollout like any other, which is promoted as soon as its candidate is loaded and validated: so it is written down, survives a
//! restart, is told to the registry, is the same on all replicas, and can be taken back.

use serde_json::json;
use server_base::{ModelName, Version};
use server_replicas::Saved;
use server_rollout::{Command, Phase, Plan, RawPlan, State};

use super::{Asked, Driver, moment};
use crate::handle::{ConductorError, Order, View};
use crate::ride::Ride;
use crate::world::{World, digest_of};

/// The least share there is, for the moment between the validation and the promotion.
const STEPS: &str = "0.01,100";

/// Nothing is compared: a fault alone keeps the candidate from taking over.
fn plan() -> Result<Plan, ConductorError> {
    let raw = RawPlan {
        steps: Some(STEPS.to_owned()),
        shadow_rows: Some(0),
        latency: Some(false),
        ..RawPlan::default()
    };
    raw.validate().map_err(|faults| ConductorError::Disk(faults.to_string()))
}

impl Driver {
    pub(super) async fn start(
        &mut self,
        model: &str,
        (from, to): (Option<Version>, Version),
        plan: Plan,
        order: &Order,
    ) -> Result<View, ConductorError> {
        let asked = Asked { from, to, is_declared: false, is_ordered: false };
        let done = self.begin(model, asked, plan).await;
        self.note("rollout_start", (model, Some(to)), order, &done);
        done
    }

    pub(super) async fn tell(
        &mut self,
        model: &str,
        command: Command,
        order: &Order,
    ) -> Result<View, ConductorError> {
        let to = self.ride(model).map(|it| it.rollout().subject().canary());
        let done = self.command(model, command).await;
        let event = match command {
            Command::Promote => "rollout_promote",
            Command::Hold => "rollout_hold",
            Command::Resume => "rollout_resume",
            Command::Abort => "rollout_abort",
        };
        self.note(event, (model, to), order, &done);
        done
    }

    pub(super) async fn promote(
        &mut self,
        model: &str,
        to: Version,
        order: &Order,
    ) -> Result<View, ConductorError> {
        let done = self.switch(model, to).await;
        self.note("promote", (model, Some(to)), order, &done);
        done
    }

    pub(super) async fn roll_back(
        &mut self,
        model: &str,
        before: Option<Version>,
        order: &Order,
    ) -> Result<View, ConductorError> {
        let done = self.go_back(model, before).await;
        let to = done.as_ref().ok().map(|it| match it.state {
            State::RolledBack => it.subject.stable(),
            State::Running { .. } | State::Held { .. } | State::Promoted { .. } => {
                it.subject.canary()
            }
        });
        self.note("rollback", (model, to), order, &done);
        done
    }

    async fn switch(&mut self, model: &str, to: Version) -> Result<View, ConductorError> {
        let under_way = self.rides.get(model).filter(|it| !it.is_over());
        if under_way.is_some_and(|it| it.rollout().subject().canary() == to) {
            return self.command(model, Command::Promote).await;
        }
        let asked = Asked { from: None, to, is_declared: false, is_ordered: true };
        self.begin(model, asked, plan()?).await
    }

    async fn go_back(
        &mut self,
        model: &str,
        before: Option<Version>,
    ) -> Result<View, ConductorError> {
        let nothing = || ConductorError::NothingBefore { model: model.to_owned() };
        let now = moment();
        let last = self.ride(model).map(|it| (it.rollout().state(), it.rollout().subject()));
        let to = match last {
            Some((State::Running { .. } | State::Held { .. }, _)) => None,
            Some((State::Promoted { warm_until }, _)) if now < warm_until => None,
            Some((State::Promoted { .. }, subject)) => Some(subject.stable()),
            Some((State::RolledBack, _)) => return Err(nothing()),
            None => Some(before.ok_or_else(nothing)?),
        };
        match to {
            None => self.command(model, Command::Abort).await,
            Some(to) => self.switch(model, to).await,
        }
    }

    pub(super) async fn forget(
        &mut self,
        model: &str,
        order: &Order,
    ) -> Result<View, ConductorError> {
        let done = self.let_go(model).await;
        self.note("forget", (model, None), order, &done);
        done
    }

    /// Written down before it is done, as any decision; what is left of the rollout is a note that it is forgotten.
    pub(super) async fn let_go(&mut self, model: &str) -> Result<View, ConductorError> {
        let unknown = || ConductorError::NoRollout { model: model.to_owned() };
        let under_way = || ConductorError::UnderWay { model: model.to_owned() };
        let ride = self.ride(model).ok_or_else(unknown)?;
        if !ride.is_over() {
            return Err(under_way());
        }
        let (view, now) = (self.view(ride), moment());
        let saved = Saved { is_forgotten: true, ..ride.saved().clone() };
        let name = saved.rollout.subject().model().clone();
        let world = World::new((&self.serving, &self.lifecycle), &self.files, &self.beside);
        if let Some(shared) = &mut self.shared {
            shared.forget(&mut self.rides, &world, &name, now).await?;
        } else {
            self.files.write(&saved).map_err(|it| ConductorError::Disk(it.to_string()))?;
            let ride = self.rides.get_mut(&name).ok_or_else(unknown)?;
            ride.follow(&world, saved, now).await;
        }
        // Another replica may have begun one meanwhile.
        if self.ride(model).is_some() { Err(under_way()) } else { Ok(view) }
    }

    /// Candidates that somebody has ordered take over as soon as they may.
    pub(super) async fn carry_out_orders(&mut self) {
        let may = |it: &Ride| {
            let running = matches!(
                it.rollout().state(),
                State::Running { phase: Phase::Shadow | Phase::Canary { .. } }
            );
            it.saved().is_ordered && running
        };
        let due = self.rides.iter().filter(|(_, it)| may(it));
        let due: Vec<ModelName> = due.map(|(model, _)| model.clone()).collect();
        for model in due {
            if self.shared.as_ref().is_some_and(|it| !it.may_say(&model, moment())) {
                continue; // who leads does it
            }
            if let Err(error) = self.command(model.as_str(), Command::Promote).await {
                tracing::warn!(%model, %error, "a version that was ordered does not take over yet");
            }
        }
    }

    /// For the log and the audit.
    fn note(
        &self,
        event: &str,
        (model, to): (&str, Option<Version>),
        order: &Order,
        done: &Result<View, ConductorError>,
    ) {
        let Order { by, reason, digest } = order;
        let here = || digest_of(&self.lifecycle, model, to?);
        let digest = digest.clone().or_else(here);
        let version = to.map(|it| it.0);
        let error = done.as_ref().err().map(ToString::to_string);
        let result = if error.is_some() { "refused" } else { "begun" };
        tracing::info!(model, event, version, by, reason, error, "an operator's order");
        let line = json!({
            "at": moment().0, "event": event, "model": model, "version": version, "digest": digest,
            "by": by, "reason": reason, "result": result, "error": error,
        });
        if let Err(error) = self.files.note(&line) {
            tracing::error!(model, %error, "an order cannot be written down");
        }
    }
}
