//! What operators ask of the triggers, and what they are shown.

use std::sync::Arc;

use server_base::{ModelName, Version};

use crate::book::World;
use crate::decision::{Decision, Skip};
use crate::driver::Driver;
use crate::entry::Entry;
use crate::handle::{FireAsked, Fired, LaneView, ModelView, TriggerError, View};
use crate::moment::Moment;
use crate::rule::Rule;

impl Driver {
    pub(crate) fn fire(
        &mut self,
        rule: &str,
        asked: &FireAsked,
        now: Moment,
    ) -> Result<Fired, TriggerError> {
        let config = Arc::clone(&self.config);
        let rule = known(&config.rules, rule)?;
        let model = model(rule, asked.model.as_deref())?;
        let entry = (rule.name.clone(), model.as_str().to_owned());
        let is_known = self.book.entries.contains_key(&entry)
            || (self.served)().iter().any(|it| it.model == model);
        if !is_known && rule.model.single().is_none() {
            // Whoever asks must not fill the book with names.
            return Err(TriggerError::Model(format!("model: '{model}' does not serve")));
        }
        let newest = || {
            let served = (self.served)();
            let versions = served.iter().filter(|it| it.model == model).map(|it| it.version);
            versions.max().unwrap_or(Version(0))
        };
        let version = asked.version.map_or_else(newest, Version);
        // Without an id each is its own.
        let occasion = asked.id.clone().unwrap_or_else(|| now.0.to_string());
        let world = World { config: &config, room: self.room(), now };
        let saying = (occasion.as_str(), asked.reason.as_str());
        let decision = self.book.fire((rule, &model, version), saying, asked.dry_run, world);
        let (event, result) = match &decision {
            Decision::Fire { event, is_dry_run: true } => (event, "dry_run"),
            Decision::Fire { event, is_dry_run: false } => (event, "fired"),
            Decision::Skip { event, why: Skip::Duplicate } => (event, "duplicate"),
            Decision::Skip { why: Skip::InFlight, .. } => {
                let (model, target) = (model.to_string(), rule.target.clone());
                return Err(TriggerError::InFlight { model, target });
            }
            Decision::Skip { .. } => return Err(TriggerError::Full),
        };
        let fired = Fired { result, target: rule.target.clone(), event: (**event).clone() };
        if !asked.dry_run {
            self.decide(decision, now);
        }
        Ok(fired)
    }

    pub(crate) fn mute(
        &mut self,
        rule: &str,
        until: Option<Moment>,
        now: Moment,
    ) -> Result<View, TriggerError> {
        let config = Arc::clone(&self.config);
        let rule = known(&config.rules, rule)?;
        match until {
            Some(until) => drop(self.book.muted.insert(rule.name.clone(), until)),
            None => drop(self.book.muted.remove(&rule.name)),
        }
        let result = if until.is_some() { "muted" } else { "unmuted" };
        tracing::info!(
            trigger = rule.name,
            until_ms = until.map(|it| it.0),
            result,
            "a trigger was told"
        );
        self.files.audit_rule(&rule.name, result, until, now);
        self.is_dirty = true;
        Ok(self.view(rule, now))
    }

    pub(crate) fn views(&self, now: Moment) -> Vec<View> {
        self.config.rules.iter().map(|it| self.view(it, now)).collect()
    }

    fn view(&self, rule: &Rule, now: Moment) -> View {
        let mine = self.book.entries.iter().filter(|((name, _), _)| *name == rule.name);
        View {
            name: rule.name.clone(),
            model: rule.model.as_str().to_owned(),
            target: rule.target.clone(),
            target_kind: self.config.targets.get(&rule.target).map_or("", |it| it.label()),
            on: rule.on.iter().map(|it| it.label()).collect(),
            dry_run: rule.is_dry_run,
            muted_until: self.book.muted.get(&rule.name).copied().filter(|it| *it > now),
            pending: self.outbox.iter().filter(|it| it.event.rule == rule.name).count(),
            models: mine.map(|((_, model), it)| model_view(rule, model, it, now)).collect(),
        }
    }
}

fn model_view(rule: &Rule, model: &str, entry: &Entry, now: Moment) -> ModelView {
    let lanes = entry.lanes.iter().filter(|it| it.alarms().1 > 0);
    ModelView {
        model: model.to_owned(),
        last_fire: entry.last_fire,
        fires_today: entry.fires_today(now),
        cooldown_until: entry.cools_until(rule, now),
        run: entry.flight.clone(),
        rows_new: entry.rows_new(),
        alarms: lanes
            .map(|it| LaneView {
                version: it.version,
                kind: it.cause.label(),
                alarms: it.alarms().0,
                windows: it.alarms().1,
                armed: it.is_armed,
            })
            .collect(),
    }
}

fn known<'a>(rules: &'a [Rule], name: &str) -> Result<&'a Rule, TriggerError> {
    let found = rules.iter().find(|it| it.name == name);
    found.ok_or_else(|| TriggerError::Unknown { name: name.to_owned() })
}

/// The one that is named, or the only one there is.
fn model(rule: &Rule, asked: Option<&str>) -> Result<ModelName, TriggerError> {
    let Some(name) = asked.or(rule.model.single()) else {
        let text = format!("model: expected one of those that '{}' matches", rule.model.as_str());
        return Err(TriggerError::Model(text));
    };
    let model = ModelName::new(name).map_err(|it| TriggerError::Model(it.to_string()))?;
    if !rule.model.matches(&model) {
        let text = format!("model: '{name}' is not one of those of '{}'", rule.model.as_str());
        return Err(TriggerError::Model(text));
    }
    Ok(model)
}
