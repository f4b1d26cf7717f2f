//! Everything that is known of predictions and labels: what is joined, and what waits.
//!
//! Pure: the time is handed in, in microseconds since 1970.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use server_base::{Finding, ModelName, Version};
use server_rollout::Labels;
use smallvec::SmallVec;

use crate::change::Change;
use crate::entries::{Entries, Entry, Key, Prediction};
use crate::form::{Form, Guess};
use crate::label::Label;
use crate::metrics;
use crate::model::Model;
use crate::row_labels::{Dated, Place, RowLabels};
use crate::tally::Way;
use crate::watch::Watch;

/// How long a label waits for its prediction, which is on its way for a second at most: whoever asks
/// several replicas, or brings labels from a file, may be early by minutes.
pub(crate) const EARLY_US: i64 = 600_000_000;

/// Rows are not of a time that is a day ahead.
const AHEAD_US: i64 = 86_400_000_000;

/// Versions that answer one row: the one that was asked, and the copy of a rollout.
const PREDICTIONS_MAX: usize = 4;

/// What became of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It has met its prediction.
    Now,
    /// It takes the place of another.
    Again,
    /// There is no prediction of that id yet.
    Waits,
}

/// One row that a version answered.
pub(crate) struct Row<'a> {
    pub(crate) id: &'a str,
    pub(crate) row: u32,
    pub(crate) version: Version,
    pub(crate) time_us: i64,
    pub(crate) guess: Guess,
}

/// See the module.
pub(crate) struct Book {
    models: BTreeMap<ModelName, Model>,
    entries: Entries,
    epoch: u64,
    /// As late as it is known to be.
    now_us: i64,
}

impl Book {
    pub(crate) fn new(bytes_max: usize) -> Book {
        Book {
            models: BTreeMap::new(),
            entries: Entries::new(bytes_max),
            epoch: 0,
            now_us: i64::MIN,
        }
    }

    /// A version is judged from now on.
    pub(crate) fn open(&mut self, model: &ModelName, form: Form) -> Arc<Form> {
        self.epoch += 1;
        let entry = self.models.entry(model.clone());
        entry.or_insert_with(|| Model::new(model.clone())).open(form, self.epoch)
    }

    /// Labels of it may come before a version has answered anything, and wait.
    pub(crate) fn expect(&mut self, model: &ModelName) {
        if !self.models.contains_key(model) {
            self.models.insert(model.clone(), Model::new(model.clone()));
        }
    }

    /// A version is not judged any more.
    pub(crate) fn close(&mut self, model: &ModelName, version: Version) {
        if self.models.get_mut(model).is_some_and(|it| it.close(version)) {
            self.models.remove(model);
        }
    }

    pub(crate) fn model(&self, model: &str) -> Option<(&ModelName, &Arc<Form>)> {
        let (name, model) = self.models.get_key_value(model)?;
        Some((name, model.form()?))
    }

    pub(crate) fn form_of(&self, model: &str, version: Version) -> Option<&Arc<Form>> {
        self.models.get(model)?.form_of(version)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// A version answered a row. The same row again takes the place of the first. False: too late, or too far
    /// ahead of the clock.
    pub(crate) fn predicted(&mut self, model: &ModelName, row: Row<'_>, now_us: i64) -> bool {
        self.predicted_by(model, row, (now_us, latest(now_us)))
    }

    /// The same where rows can be of times up to `latest_us`.
    pub(crate) fn predicted_by(
        &mut self,
        model: &ModelName,
        row: Row<'_>,
        (now_us, latest_us): (i64, i64),
    ) -> bool {
        self.now_us = self.now_us.max(now_us);
        let Some(of) = self.models.get_mut(model) else { return false };
        let Row { id, row, version, time_us, guess } = row;
        let place = of.place(version, time_us, (now_us, latest_us));
        let Some((epoch, window_us, until_us)) = place else { return false };
        let prediction = Prediction { version, epoch, time_us, window_us, guess };
        let key = self.entries.key(model.as_str(), id, row);
        self.entries.change(key, until_us, |entry| {
            of.judge(entry, Way::Out);
            let early = entry.predictions.is_empty() && entry.labels.before(until_us).is_some();
            let same = entry.predictions.iter().position(|it| it.version == version);
            if let Some(same) = same {
                let before = entry.predictions.remove(same);
                of.predicted(&before, Way::Out);
            } else if entry.predictions.len() == PREDICTIONS_MAX {
                let gone = entry.predictions.remove(0);
                of.predicted(&gone, Way::Out);
            }
            of.predicted(&prediction, Way::In);
            entry.predictions.push(prediction);
            of.judge(entry, Way::In);
            if early {
                of.metrics.joined.increment(1);
            }
        });
        self.shrink();
        true
    }

    /// The truth of a row. The last one that came counts, but for windows that are over and not judged yet.
    pub(crate) fn labelled(&mut self, model: &ModelName, label: &Label, now_us: i64) -> Joined {
        let key = self.entries.key(model.as_str(), &label.id, label.row);
        let label = Dated { us: now_us, value: label.value.clone() };
        let untils = self.untils(model, key);
        let is_over = untils.iter().any(|it| *it <= now_us);
        self.join(model, (key, label), |labels, it| {
            if is_over { labels.insert(it, &untils) } else { labels.replace(it) }
        })
    }

    /// The truth of a row as a log has it, in which what is read last may be of before, and too late for a
    /// prediction that is read after it: of those in time the one counts that was recorded last.
    pub(crate) fn recorded(&mut self, model: &ModelName, label: &Label, at_us: i64) -> Place {
        let key = self.entries.key(model.as_str(), &label.id, label.row);
        let label = Dated { us: at_us, value: label.value.clone() };
        let untils = self.untils(model, key);
        let known = self.entries.get(key).filter(|_| self.models.contains_key(model));
        let place = known.map_or(Place::Counts, |it| it.labels.place(&label, &untils));
        match place {
            Place::Counts => {
                self.join(model, (key, label), |labels, it| labels.insert(it, &untils));
            }
            // For others of its predictions, which may be read later, it may count.
            Place::Before | Place::Late => {
                let until_us = self.waits_until(key, at_us);
                self.entries.change(key, until_us, |it| it.labels.insert(label, &untils));
                self.shrink();
            }
            Place::Known => {}
        }
        place
    }

    /// Until when labels of the row's predictions count.
    fn untils(&self, model: &ModelName, key: Key) -> SmallVec<[i64; PREDICTIONS_MAX]> {
        let known = self.entries.get(key).zip(self.models.get(model));
        known.map_or_else(SmallVec::new, |(entry, of)| {
            entry.predictions.iter().filter_map(|it| of.until(it)).collect()
        })
    }

    fn join(
        &mut self,
        model: &ModelName,
        (key, label): (Key, Dated),
        enter: impl FnOnce(&mut RowLabels, Dated),
    ) -> Joined {
        let until_us = self.waits_until(key, label.us);
        let Some(of) = self.models.get_mut(model) else { return Joined::Waits };
        let now_us = label.us;
        let joined = self.entries.change(key, until_us, |entry| {
            of.judge(entry, Way::Out);
            // One that came too late is no truth of it.
            let counts = |it: &Prediction| {
                of.until(it).is_none_or(|until| entry.labels.before(until).is_some())
            };
            let is_first = entry.labels.is_empty() || !entry.predictions.iter().any(counts);
            enter(&mut entry.labels, label);
            of.judge(entry, Way::In);
            match entry.predictions.first() {
                Some(_) if !is_first => Joined::Again,
                Some(first) => {
                    let lag = now_us.saturating_sub(first.time_us).max(0);
                    of.metrics.lag.record(lag as f64 / 1e6);
                    Joined::Now
                }
                None => Joined::Waits,
            }
        });
        match joined {
            Joined::Now => of.metrics.joined.increment(1),
            Joined::Again => of.metrics.corrected.increment(1),
            Joined::Waits => of.metrics.waiting.increment(1),
        }
        self.shrink();
        joined
    }

    /// How long a label is kept at the least. One whose prediction is known, for as long as its window is open.
    fn waits_until(&self, key: Key, at_us: i64) -> i64 {
        let is_known = |it: &Entry| !it.predictions.is_empty();
        if self.entries.get(key).is_some_and(is_known) {
            i64::MIN
        } else {
            at_us.saturating_add(EARLY_US)
        }
    }

    /// Is that row of that version known, or a later one of that name?
    pub(crate) fn has_predicted(&self, model: &ModelName, row: &Row<'_>) -> bool {
        let entry = self.entries.get(self.entries.key(model.as_str(), row.id, row.row));
        let epoch = self.models.get(model).and_then(|it| it.epoch_of(row.version));
        let is_it = |it: &Prediction| {
            it.version == row.version && Some(it.epoch) == epoch && it.time_us >= row.time_us
        };
        entry.is_some_and(|it| it.predictions.iter().any(is_it))
    }

    fn shrink(&mut self) {
        let forgotten = self.entries.shrink(self.now_us);
        metrics::forgotten("labels", "budget", forgotten.labels);
        metrics::forgotten("predictions", "budget", forgotten.predictions);
    }

    /// Ends what is over.
    pub(crate) fn tick(&mut self, now_us: i64) -> Vec<Finding> {
        self.now_us = self.now_us.max(now_us);
        let forgotten = self.entries.expire(now_us);
        metrics::forgotten("labels", "time", forgotten.labels);
        metrics::forgotten("predictions", "time", forgotten.predictions);
        metrics::bytes(self.entries.bytes());
        let mut findings = Vec::new();
        self.models.values_mut().for_each(|it| it.tick(now_us, &mut findings));
        findings
    }

    /// Goes on with what was known of a version before a restart.
    pub(crate) fn resume(&mut self, model: &ModelName, version: Version, change: Change) {
        if let Some(it) = self.models.get_mut(model) {
            it.resume(version, change);
        }
    }

    /// What of versions is to be written down, each once.
    pub(crate) fn changed(&mut self) -> Vec<(ModelName, Version, Change)> {
        self.models.values_mut().flat_map(Model::changed).collect()
    }

    /// How right the versions are.
    pub(crate) fn shown(&self, model: &str, version: Option<Version>) -> Option<Value> {
        let judged = self.models.get(model).filter(|it| it.form().is_some());
        judged.map(|it| it.shown(version))
    }

    /// Losses are counted of these versions' predictions since then; `None`: of none.
    pub(crate) fn watch(&mut self, model: &str, watch: Option<Watch>) {
        if let Some(model) = self.models.get_mut(model) {
            model.watch(watch);
        }
    }

    pub(crate) fn losses(&self, model: &str) -> Labels {
        self.models.get(model).map(Model::losses).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.entries.bytes()
    }
}

/// A clock that was wrong must not keep windows open for years.
pub(crate) fn latest(now_us: i64) -> i64 {
    now_us.saturating_add(AHEAD_US)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
