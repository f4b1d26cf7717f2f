//! Which rule fires: pure. Findings and the time go in, decisions come out.
//!
//! A window's alarm is not judged when it comes but a little later ([`SETTLE`]), so that it does not
//! matter whether the same window's broken data is told before it or after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use server_base::{Finding, FindingKind, ModelName, Version};

use crate::config::Config;
use crate::decision::{Decision, Served, Skip};
use crate::entry::{Entry, Flight};
use crate::event::{Cause, Event, clipped};
use crate::lane::Lane;
use crate::limits::{BROKEN_MAX, ENTRIES_MAX, TEXT_BYTES_MAX};
use crate::moment::Moment;
use crate::pairs;
use crate::reason::{Reason, age, rows, slot};
use crate::rule::Rule;

#[cfg(doc)]
use crate::limits::SETTLE;

/// Everything that a restart must not forget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    /// By rule and model.
    #[serde(with = "pairs")]
    pub(crate) entries: BTreeMap<(String, String), Entry>,
    pub(crate) muted: BTreeMap<String, Moment>,
    /// Has anything changed that no decision tells of? Taken by whoever writes it down.
    #[serde(skip)]
    pub(crate) is_changed: bool,
    /// By model and version: the last window of broken data.
    #[serde(with = "pairs")]
    broken: BTreeMap<(String, u64), (Moment, Moment)>,
}

/// The rules, and whether there is room for what they fire.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) config: &'a Config,
    pub(crate) room: usize,
    pub(crate) now: Moment,
}

impl Book {
    /// A window is over. False if there is no room to keep account of it.
    pub(crate) fn found(&mut self, finding: &Finding, config: &Config, now: Moment) -> bool {
        let model = finding.model.as_str().to_owned();
        if finding.kind == FindingKind::Quality && finding.is_alarm {
            let span = (Moment::from(finding.from), Moment::from(finding.to));
            self.broken.insert((model.clone(), finding.version.0), span);
            self.is_changed = true;
            if self.broken.len() > BROKEN_MAX {
                let oldest = self.broken.iter().min_by_key(|(_, span)| span.1);
                let oldest = oldest.map(|(key, _)| key.clone());
                oldest.map(|it| self.broken.remove(&it));
            }
        }
        let (mut is_room, mut is_taken) = (true, false);
        for rule in config.rules.iter().filter(|it| it.model.matches(&finding.model)) {
            if rule.on.contains(&finding.kind) || rule.rows_new.is_some() {
                match self.entry(&rule.name, &model) {
                    Some(entry) => {
                        entry.take(finding, rule, now);
                        is_taken = true;
                    }
                    None => is_room = false,
                }
            }
        }
        self.is_changed |= is_taken;
        is_room
    }

    /// Looks at everything that time brings: alarms to be judged, new rows, age, schedules.
    pub(crate) fn turn(&mut self, served: &[Served], mut world: World<'_>) -> Vec<Decision> {
        let (config, now) = (world.config, world.now);
        self.tidy(config, now);
        let mut decisions = Vec::new();
        for rule in &config.rules {
            let mut models: BTreeMap<&ModelName, Option<&Served>> = BTreeMap::new();
            for it in served.iter().filter(|it| rule.model.matches(&it.model)) {
                let newest = models.entry(&it.model).or_default();
                *newest = newest.filter(|old| old.version > it.version).or(Some(it));
            }
            let known: Vec<ModelName> = self
                .entries
                .keys()
                .filter(|(name, _)| *name == rule.name)
                .filter_map(|(_, model)| ModelName::new(model).ok())
                .collect();
            for it in &known {
                models.entry(it).or_default();
            }
            for (model, newest) in models {
                for reason in self.reasons(rule, model, newest, now) {
                    let event = reason.event(rule, model, now);
                    let decision = self.judge(rule, model, event, world);
                    let Some(decision) = decision else { continue };
                    if matches!(decision, Decision::Fire { is_dry_run: false, .. }) {
                        world.room = world.room.saturating_sub(1);
                    }
                    decisions.push(decision);
                }
            }
        }
        decisions
    }

    /// An operator, or somebody's script, says so. Nothing is held against it but a run under way,
    /// and a key that has fired.
    pub(crate) fn fire(
        &mut self,
        (rule, model, version): (&Rule, &ModelName, Version),
        (occasion, text): (&str, &str),
        is_dry_run: bool,
        world: World<'_>,
    ) -> Decision {
        let text = clipped(text, TEXT_BYTES_MAX);
        let occasion = format!("manual:{occasion}");
        let reason = Reason::bare(Cause::Manual, version, occasion, text);
        let event = Box::new(reason.event(rule, model, world.now));
        if is_dry_run {
            return Decision::Fire { event, is_dry_run };
        }
        let against = match self.entry(&rule.name, model.as_str()).map(|it| &it.keys) {
            None => Some(Skip::Full),
            Some(keys) if keys.contains(&event.key) => Some(Skip::Duplicate),
            Some(_) if world.room == 0 => Some(Skip::Full),
            Some(_) => self.is_in_flight(rule, model, world.config).then_some(Skip::InFlight),
        };
        match against {
            Some(why) => Decision::Skip { event, why },
            None => self.fires(rule, model, event, world),
        }
    }

    /// A run has ended, or was never begun.
    pub(crate) fn ended(&mut self, key: &str, is_well: bool) {
        let is_it = |it: &Entry| it.keys.iter().any(|it| it == key);
        for entry in self.entries.values_mut().filter(|it| is_it(it)) {
            if entry.flight.as_ref().is_some_and(|it| it.key == key) {
                entry.flight = None;
            }
            if !is_well {
                entry.failed();
            }
        }
    }

    /// The target has a name for a run.
    pub(crate) fn begun(&mut self, key: &str, run: Option<String>) {
        for entry in self.entries.values_mut() {
            if let Some(flight) = entry.flight.as_mut().filter(|it| it.key == key) {
                flight.run.clone_from(&run);
            }
            // Nobody can be asked about a run without a name.
            entry.flight.take_if(|it| it.key == key && it.run.is_none());
        }
    }

    fn entry(&mut self, rule: &str, model: &str) -> Option<&mut Entry> {
        let key = (rule.to_owned(), model.to_owned());
        let is_room = self.entries.len() < ENTRIES_MAX || self.entries.contains_key(&key);
        is_room.then(|| self.entries.entry(key).or_default())
    }

    /// Forgets what no rule asks for any more, silence that is over, and runs that take too long.
    fn tidy(&mut self, config: &Config, now: Moment) {
        let rule = |name: &str| config.rules.iter().find(|it| it.name == name);
        self.muted.retain(|name, until| *until > now && rule(name).is_some());
        self.entries.retain(|(name, model), entry| {
            let Some(rule) = rule(name) else { return false };
            entry.set_back(now);
            if entry.flight.as_ref().is_some_and(|it| now.since(it.since) >= rule.run_max) {
                let hours = rule.run_max.as_secs() / 3600;
                tracing::warn!(rule = name, model, hours, "a run has not ended; it is given up");
                entry.flight = None;
            }
            ModelName::new(model).is_ok_and(|it| rule.model.matches(&it))
        });
    }

    fn reasons(
        &mut self,
        rule: &Rule,
        model: &ModelName,
        newest: Option<&Served>,
        now: Moment,
    ) -> Vec<Reason> {
        let place = (rule.name.clone(), model.as_str().to_owned());
        if rule.every.is_none() && rule.age_max.is_none() && !self.entries.contains_key(&place) {
            return Vec::new();
        }
        let broken = std::mem::take(&mut self.broken);
        let mut reasons = Vec::new();
        let mut is_changed = false;
        if let Some(entry) = self.entry(&rule.name, model.as_str()) {
            for lane in entry.lanes.iter_mut().filter(|it| it.judge_at.is_some_and(|at| at <= now))
            {
                lane.judge_at = None;
                is_changed = true;
                let alarms = lane.alarms();
                let Some((window, evidence)) = lane.last.clone() else { continue };
                if alarms.0 >= rule.alarms {
                    let of = (Version(lane.version), lane.cause);
                    reasons.push(Reason::alarms(of, (window.clone(), evidence), alarms));
                }
                let span = broken.get(&(model.as_str().to_owned(), lane.version));
                let overlaps =
                    |(from, to): &(Moment, Moment)| *from < window.to && window.from < *to;
                if !lane.cause.is_alert() && !rule.despite_quality && span.is_some_and(overlaps) {
                    // It takes part in no later count either.
                    lane.disregard();
                }
            }
            let before = (entry.slot, entry.seen.clone());
            reasons.extend(rows(rule, entry));
            reasons.extend(newest.and_then(|it| age(rule, entry, it, now)));
            reasons.extend(newest.and_then(|it| slot(rule, entry, it, now)));
            is_changed |= before.0 != entry.slot || before.1 != entry.seen;
        }
        self.broken = broken;
        self.is_changed |= is_changed;
        reasons
    }

    /// What is done about a reason. Nothing, if the same was said before.
    fn judge(
        &mut self,
        rule: &Rule,
        model: &ModelName,
        event: Event,
        world: World<'_>,
    ) -> Option<Decision> {
        let why = self.against(rule, model, &event, world);
        let entry = self.entry(&rule.name, model.as_str())?;
        let event = Box::new(event);
        let Some(why) = why else { return Some(self.fires(rule, model, event, world)) };
        let said = (event.key.clone(), why.label().to_owned());
        let before = entry.skipped.insert(event.cause.label().to_owned(), said.clone());
        if before == Some(said) {
            return None;
        }
        Some(Decision::Skip { event, why })
    }

    fn against(
        &self,
        rule: &Rule,
        model: &ModelName,
        event: &Event,
        world: World<'_>,
    ) -> Option<Skip> {
        let now = world.now;
        let entry = self.entries.get(&(rule.name.clone(), model.as_str().to_owned()))?;
        let target = world.config.targets.get(&rule.target);
        if target.is_none_or(|it| !it.takes(event.cause)) {
            return Some(Skip::Forbidden);
        }
        if entry.keys.contains(&event.key) {
            return Some(Skip::Duplicate);
        }
        let is_it = |lane: &&Lane| lane.version == event.version && lane.cause == event.cause;
        let lane = entry.lanes.iter().find(is_it).filter(|_| event.window.is_some());
        if let (Some(lane), Some(window)) = (lane, &event.window) {
            let broken = self.broken.get(&(event.model.clone(), event.version));
            let overlaps = broken.is_some_and(|(from, to)| *from < window.to && window.from < *to);
            if overlaps && !event.cause.is_alert() && !rule.despite_quality {
                return Some(Skip::BrokenData);
            }
            if !lane.is_armed {
                return Some(Skip::Hysteresis);
            }
        }
        if self.muted.get(&rule.name).is_some_and(|until| *until > now) {
            return Some(Skip::Muted);
        }
        if self.is_in_flight(rule, model, world.config) {
            return Some(Skip::InFlight);
        }
        if entry.cools_until(rule, now).is_some() {
            return Some(Skip::Cooldown);
        }
        if entry.fires_today(now) >= rule.fires_per_day_max {
            return Some(Skip::Rate);
        }
        (world.room == 0).then_some(Skip::Full)
    }

    fn fires(
        &mut self,
        rule: &Rule,
        model: &ModelName,
        event: Box<Event>,
        world: World<'_>,
    ) -> Decision {
        let asked = world.config.targets.get(&rule.target).is_some_and(|it| it.can_be_asked());
        let is_dry_run = rule.is_dry_run;
        if let Some(entry) = self.entry(&rule.name, model.as_str()) {
            entry.fired(&event.key, world.now, rule);
            if asked && !is_dry_run {
                entry.flight = Some(Flight { key: event.key.clone(), since: world.now, run: None });
            }
            let is_it =
                |lane: &&mut Lane| lane.version == event.version && lane.cause == event.cause;
            entry.lanes.iter_mut().filter(is_it).for_each(Lane::fired);
        }
        Decision::Fire { event, is_dry_run }
    }

    /// Does any rule have the same target at work on the same model?
    fn is_in_flight(&self, rule: &Rule, model: &ModelName, config: &Config) -> bool {
        let same =
            |name: &str| config.rules.iter().any(|it| it.name == name && it.target == rule.target);
        let mut entries = self.entries.iter();
        entries.any(|((name, of), it)| of == model.as_str() && it.flight.is_some() && same(name))
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
