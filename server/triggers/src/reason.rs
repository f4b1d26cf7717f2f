//! What may make a rule fire.

use std::time::Duration;

use server_base::{ModelName, Version};

use crate::decision::Served;
use crate::entry::Entry;
use crate::event::{Cause, Event, Evidence, Window, key};
use crate::moment::{Moment, ms};
use crate::rule::Rule;

/// A reason to fire.
pub(crate) struct Reason {
    cause: Cause,
    version: Version,
    /// What makes it this one and no other.
    occasion: String,
    window: Option<Window>,
    alarms: Option<(usize, usize)>,
    evidence: Evidence,
}

impl Reason {
    /// Enough windows alarmed.
    pub(crate) fn alarms(
        (version, cause): (Version, Cause),
        (window, evidence): (Window, Evidence),
        alarms: (usize, usize),
    ) -> Reason {
        let occasion = format!("{cause}:{}", window.to.0);
        let (window, alarms) = (Some(window), Some(alarms));
        Reason { cause, version, occasion, window, alarms, evidence }
    }

    pub(crate) fn bare(cause: Cause, version: Version, occasion: String, text: String) -> Reason {
        let evidence = Evidence { text, ..Evidence::default() };
        Reason { cause, version, occasion, window: None, alarms: None, evidence }
    }

    /// What the target is told.
    pub(crate) fn event(self, rule: &Rule, model: &ModelName, now: Moment) -> Event {
        Event {
            key: key(&rule.name, model, self.version, &self.occasion),
            rule: rule.name.clone(),
            model: model.as_str().to_owned(),
            version: self.version.0,
            cause: self.cause,
            at: now,
            window: self.window,
            alarms: self.alarms,
            evidence: self.evidence,
        }
    }
}

/// Enough new rows.
pub(crate) fn rows(rule: &Rule, entry: &Entry) -> Option<Reason> {
    let (most, rows) = (rule.rows_new?, entry.rows_new());
    if rows < most {
        return None;
    }
    let newest = entry.lanes.iter().max_by_key(|it| (it.version, it.to))?;
    let occasion = format!("rows:{}", newest.to.0);
    let text = format!("{rows} new rows, and {most} are a reason");
    Some(Reason::bare(Cause::Rows, Version(newest.version), occasion, text))
}

/// The newest version is old.
pub(crate) fn age(rule: &Rule, entry: &mut Entry, newest: &Served, now: Moment) -> Option<Reason> {
    let most = rule.age_max?;
    let version = newest.version;
    entry.seen.retain(|it, _| *it == version.0);
    let seen = *entry.seen.entry(version.0).or_insert(now);
    let old = now.since(newest.made.unwrap_or(seen));
    let times = ms(old) / ms(most);
    // The same number in every replica, whenever each has loaded it.
    let occasion = format!("age:{times}");
    let fired = key(&rule.name, &newest.model, version, &occasion);
    if times == 0 || entry.keys.contains(&fired) {
        return None;
    }
    let days = |it: Duration| it.as_secs() / 86_400;
    let text = format!("{} days old, and {} are a reason", days(old), days(most));
    Some(Reason::bare(Cause::Age, version, occasion, text))
}

/// A new slot of the schedule has begun.
pub(crate) fn slot(rule: &Rule, entry: &mut Entry, newest: &Served, now: Moment) -> Option<Reason> {
    let (every, offset) = (ms(rule.every?), ms(rule.offset));
    let slot = now.0.saturating_sub(offset) / every;
    // The first that is seen began before anybody looked. One that comes twice, by a clock that was set
    // back, has the same key.
    let last = entry.slot.replace(slot).unwrap_or(slot);
    if slot <= last {
        return None;
    }
    let begin = slot * every + offset;
    let text = format!("every {} hours", every / 3_600_000);
    Some(Reason::bare(Cause::Schedule, newest.version, format!("schedule:{begin}"), text))
}
