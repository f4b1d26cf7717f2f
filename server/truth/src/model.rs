//! How right the versions of one model are, window by window.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use server_base::{Finding, ModelName, Version};
use server_rollout::Labels;

use crate::change::{Change, Judged};
use crate::entries::{Entry, Prediction};
use crate::form::Form;
use crate::metrics::{self, ModelMetrics, VersionMetrics};
use crate::tally::{Way, loss};
use crate::told::{self, finding};
use crate::watch::Watch;
use crate::window::Window;

/// Versions of a model that are judged at a time; of more the one that was loaded longest ago is
/// forgotten.
const VERSIONS_MAX: usize = 8;

/// Complete windows that are kept for those who ask: two days of hours.
const COMPLETE_MAX: usize = 48;

/// See the module.
pub(crate) struct Model {
    name: ModelName,
    versions: BTreeMap<Version, OfVersion>,
    watch: Option<Watch>,
    pub(crate) metrics: ModelMetrics,
}

struct OfVersion {
    form: Arc<Form>,
    /// Grows with each version that is opened.
    epoch: u64,
    /// Open windows, by where they begin.
    windows: BTreeMap<i64, Window>,
    complete: VecDeque<(Window, Option<Judged>)>,
    change: Change,
    /// Has it changed since somebody asked?
    changed: bool,
    metrics: VersionMetrics,
}

impl Model {
    pub(crate) fn new(name: ModelName) -> Model {
        let metrics = ModelMetrics::new(&name);
        Model { name, versions: BTreeMap::new(), watch: None, metrics }
    }

    /// A version is judged from now on. The same as before goes on.
    pub(crate) fn open(&mut self, form: Form, epoch: u64) -> Arc<Form> {
        let version = form.version;
        if let Some(known) = self.versions.get_mut(&version)
            && known.form.is_like(&form)
        {
            return Arc::clone(&known.form);
        }
        let form = Arc::new(form);
        let opened = OfVersion {
            form: Arc::clone(&form),
            epoch,
            windows: BTreeMap::new(),
            complete: VecDeque::new(),
            change: Change::new(&form),
            changed: false,
            metrics: VersionMetrics::new(&self.name, version),
        };
        self.versions.insert(version, opened);
        if self.versions.len() > VERSIONS_MAX
            && let Some(oldest) = self.versions.iter().min_by_key(|(_, it)| it.epoch)
        {
            let oldest = *oldest.0;
            self.versions.remove(&oldest);
        }
        form
    }

    /// It is not judged any more. True: nor is any other.
    pub(crate) fn close(&mut self, version: Version) -> bool {
        self.versions.remove(&version);
        self.versions.is_empty()
    }

    /// How the version that was opened last is read.
    pub(crate) fn form(&self) -> Option<&Arc<Form>> {
        self.versions.values().max_by_key(|it| it.epoch).map(|it| &it.form)
    }

    pub(crate) fn form_of(&self, version: Version) -> Option<&Arc<Form>> {
        self.versions.get(&version).map(|it| &it.form)
    }

    /// Tells a version apart from itself with another configuration.
    pub(crate) fn epoch_of(&self, version: Version) -> Option<u64> {
        self.versions.get(&version).map(|it| it.epoch)
    }

    /// Where the window of a time begins, and until when its labels count. `None`: that is over, or later than
    /// any row can be of, or the version is not judged.
    pub(crate) fn place(
        &self,
        version: Version,
        time_us: i64,
        (now_us, latest_us): (i64, i64),
    ) -> Option<(u64, i64, i64)> {
        let of = self.versions.get(&version)?;
        let (window, horizon) = (us(of.form.config.window).max(1), us(of.form.config.horizon));
        let from = time_us.div_euclid(window).checked_mul(window)?;
        let until = from.saturating_add(window).saturating_add(horizon);
        (now_us < until && time_us <= latest_us).then_some((of.epoch, from, until))
    }

    /// Until when labels of a prediction count. `None`: it is not judged any more.
    pub(crate) fn until(&self, prediction: &Prediction) -> Option<i64> {
        let of = self.versions.get(&prediction.version)?;
        let (window, horizon) = (us(of.form.config.window).max(1), us(of.form.config.horizon));
        let until = prediction.window_us.saturating_add(window).saturating_add(horizon);
        (of.epoch == prediction.epoch).then_some(until)
    }

    /// Counts a prediction, or takes it out again.
    pub(crate) fn predicted(&mut self, prediction: &Prediction, way: Way) {
        let Some((form, window)) = window(&mut self.versions, prediction) else { return };
        window.from_us = prediction.window_us;
        window.to_us = prediction.window_us.saturating_add(us(form.config.window));
        match way {
            Way::In => {
                window.predicted = window.predicted.saturating_add(1);
                if let Some(it) = self.versions.get(&prediction.version) {
                    it.metrics.predictions.increment(1);
                }
            }
            Way::Out => window.predicted = window.predicted.saturating_sub(1),
        }
    }

    /// Counts what the labels of an entry say of its predictions, or takes it out again.
    pub(crate) fn judge(&mut self, entry: &Entry, way: Way) {
        if entry.labels.is_empty() {
            return;
        }
        let mut losses: [Option<f64>; 4] = [None; 4];
        for (place, prediction) in entry.predictions.iter().enumerate() {
            let until = self.until(prediction);
            let Some(truth) = until.and_then(|it| entry.labels.before(it)) else { continue };
            let Some((form, window)) = window(&mut self.versions, prediction) else { continue };
            let lost = loss(&form, &prediction.guess, truth);
            window.lost(lost, way);
            let fits = window.tally.count(&form, &prediction.guess, truth, way);
            window.labelled = match way {
                Way::In => window.labelled.saturating_add(1),
                Way::Out => window.labelled.saturating_sub(1),
            };
            if way == Way::In {
                let of = self.versions.get(&prediction.version);
                of.iter().for_each(|it| it.metrics.labelled.increment(1));
                if !fits {
                    self.metrics.unfit.increment(1);
                }
            }
            if let Some(slot) = losses.get_mut(place) {
                *slot = lost;
            }
        }
        if let Some(watch) = &mut self.watch {
            watch.count(entry, way, |place| losses.get(place).copied().flatten());
        }
    }

    /// Windows whose labels have had their time.
    pub(crate) fn tick(&mut self, now_us: i64, findings: &mut Vec<Finding>) {
        for (version, of) in &mut self.versions {
            let horizon = us(of.form.config.horizon);
            while let Some(first) = of.windows.first_entry()
                && first.get().to_us.saturating_add(horizon) <= now_us
            {
                let window = first.remove();
                // One whose only prediction was given again in another window.
                if window.predicted == 0 {
                    continue;
                }
                let numbers = (window.join_rate(), window.tally.rows, now_us);
                let metrics = window.tally.metrics();
                of.metrics.evaluated((&self.name, *version), numbers, &metrics);
                let who = (&self.name, *version);
                let told = findings.len();
                findings.push(finding(who, &of.form, (&window, &of.change)));
                let judged = of.change(&window);
                if let Some(judged) = &judged {
                    of.metrics.changed(who, judged);
                    findings.push(told::concept(who, &window, judged));
                }
                findings.iter().skip(told).for_each(metrics::told);
                if of.complete.len() == COMPLETE_MAX {
                    of.complete.pop_front();
                }
                of.complete.push_back((window, judged));
            }
        }
    }

    /// Goes on with what was known of a version before a restart.
    pub(crate) fn resume(&mut self, version: Version, change: Change) {
        if let Some(of) = self.versions.get_mut(&version) {
            of.change = change;
        }
    }

    /// What is to be written down.
    pub(crate) fn changed(&mut self) -> Vec<(ModelName, Version, Change)> {
        let name = &self.name;
        let changed = self.versions.iter_mut().filter_map(|(version, of)| {
            let changed = std::mem::take(&mut of.changed);
            changed.then(|| (name.clone(), *version, of.change.clone()))
        });
        changed.collect()
    }

    /// From now on the losses of these are counted, of predictions since then.
    pub(crate) fn watch(&mut self, watch: Option<Watch>) {
        self.watch = watch;
    }

    pub(crate) fn losses(&self) -> Labels {
        self.watch.as_ref().map(Watch::labels).unwrap_or_default()
    }

    /// As the API shows it; of one version, or all.
    pub(crate) fn shown(&self, only: Option<Version>) -> Value {
        let versions = self.versions.iter().filter(|(it, _)| only.is_none_or(|only| only == **it));
        let shown = |(version, of): (&Version, &OfVersion)| {
            let mut so_far = Window::default();
            of.windows.values().for_each(|it| so_far.merge(it));
            let complete =
                of.complete.iter().rev().map(|(it, judged)| told::shown(it, judged.as_ref()));
            json!({
                "version": version.0,
                "task": of.form.task(),
                "output": &*of.form.output,
                "window_s": of.form.config.window.as_secs(),
                "horizon_s": of.form.config.horizon.as_secs(),
                "reference": told::reference(&of.change, &of.form.config),
                "so_far": so_far.shown(false),
                "windows": complete.collect::<Vec<Value>>(),
            })
        };
        let versions: Vec<Value> = versions.map(shown).collect();
        json!({ "model": self.name.as_str(), "versions": versions })
    }
}

impl OfVersion {
    /// Holds a complete window against those before, if that is asked for.
    fn change(&mut self, window: &Window) -> Option<Judged> {
        let config = &self.form.config;
        if config.reference_rows.is_none() && config.error_expected.is_none() {
            return None;
        }
        self.changed = true;
        self.change.window(config, window)
    }
}

/// The open window of a prediction, and how its version is read. A window is opened by the first.
fn window<'a>(
    versions: &'a mut BTreeMap<Version, OfVersion>,
    prediction: &Prediction,
) -> Option<(Arc<Form>, &'a mut Window)> {
    let of = versions.get_mut(&prediction.version).filter(|it| it.epoch == prediction.epoch)?;
    let window = of.windows.entry(prediction.window_us).or_default();
    Some((Arc::clone(&of.form), window))
}

fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
