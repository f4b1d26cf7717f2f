//! What is known of one rule and one model.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use server_base::{Finding, FindingKind};

use crate::event::Cause;
use crate::lane::Lane;
use crate::limits::{KEYS_MAX, LANES_MAX};
use crate::moment::Moment;
use crate::rule::Rule;

const DAY: Duration = Duration::from_secs(86_400);

/// A run that was asked for and has not ended, as far as is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flight {
    /// The event's.
    pub key: String,
    /// When it was asked for.
    pub since: Moment,
    /// The target's name for it, as soon as it has told one.
    pub run: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) lanes: Vec<Lane>,
    /// When it fired, at most a day back and at most as often as it may.
    pub(crate) fires: VecDeque<Moment>,
    pub(crate) last_fire: Option<Moment>,
    /// Keys that have fired, the newest last.
    pub(crate) keys: VecDeque<String>,
    pub(crate) flight: Option<Flight>,
    /// The slot of the schedule that was last seen to.
    pub(crate) slot: Option<u64>,
    /// When each version was first seen to serve.
    pub(crate) seen: BTreeMap<u64, Moment>,
    /// What was last not done, by its cause, and why: it is said once.
    pub(crate) skipped: BTreeMap<String, (String, String)>,
}

impl Entry {
    /// The lane of this finding; one that is new takes the place of the stalest.
    pub(crate) fn take(&mut self, finding: &Finding, rule: &Rule, now: Moment) {
        let cause = Cause::Finding(finding.kind);
        let same = |it: &Lane| it.version == finding.version.0 && it.cause == cause;
        let place = self.lanes.iter().position(same).unwrap_or_else(|| {
            if self.lanes.len() >= LANES_MAX {
                let stalest = self.lanes.iter().enumerate().min_by_key(|(_, it)| it.to);
                if let Some((stalest, _)) = stalest {
                    self.lanes.remove(stalest);
                }
            }
            self.lanes.push(Lane::new(finding.version.0, finding.kind));
            self.lanes.len() - 1
        });
        self.lanes[place].take(finding, rule, now);
    }

    /// A clock that was ahead and has been set back must not end in waiting for it to come round.
    pub(crate) fn set_back(&mut self, now: Moment) {
        self.last_fire = self.last_fire.map(|it| it.min(now));
        self.fires.iter_mut().for_each(|it| *it = (*it).min(now));
        self.flight.iter_mut().for_each(|it| it.since = it.since.min(now));
        self.seen.values_mut().for_each(|it| *it = (*it).min(now));
    }

    /// Rows since it last fired: of each version what the kind that saw most has seen.
    pub(crate) fn rows_new(&self) -> u64 {
        let mut most: BTreeMap<u64, u64> = BTreeMap::new();
        for it in self.lanes.iter().filter(|it| it.cause != Cause::Finding(FindingKind::Quality)) {
            let rows = most.entry(it.version).or_default();
            *rows = (*rows).max(it.rows_new);
        }
        most.values().fold(0, |sum, it| sum.saturating_add(*it))
    }

    /// When it last fired too short a while ago: when that is over.
    pub(crate) fn cools_until(&self, rule: &Rule, now: Moment) -> Option<Moment> {
        self.last_fire.map(|it| it.after(rule.cooldown)).filter(|it| *it > now)
    }

    /// Firings of the last 24 hours.
    pub(crate) fn fires_today(&self, now: Moment) -> usize {
        self.fires.iter().filter(|it| now.since(**it) < DAY).count()
    }

    /// It fires now.
    pub(crate) fn fired(&mut self, key: &str, now: Moment, rule: &Rule) {
        self.last_fire = Some(now);
        self.fires.push_back(now);
        while self.fires.len() > rule.fires_per_day_max {
            self.fires.pop_front();
        }
        self.keys.push_back(key.to_owned());
        while self.keys.len() > KEYS_MAX {
            self.keys.pop_front();
        }
        self.lanes.iter_mut().for_each(|it| it.rows_new = 0);
        self.skipped.clear();
    }

    /// What was asked for has come to nothing, or not even arrived.
    pub(crate) fn failed(&mut self) {
        self.flight = None;
        self.lanes.iter_mut().for_each(Lane::rearm);
    }
}
