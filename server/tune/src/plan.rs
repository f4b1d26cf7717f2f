//! What will be tried, decided before anything is measured, and what will not, with the reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use server_base::{ModelName, Version};
use server_lifecycle::{Defaults, Engines, LoadPolicy, ModelConfig, Single, Transition};

use crate::candidates::{Candidate, Skipped, batches, explain, product, sift};
use crate::search;
use crate::setting::Setting;
use crate::wishes::{Checked, Wishes};

/// Longest search that is not asked for by `--force`.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// Before a point counts, so much of its time passes with all callers at work: instances find
/// their seats, and the lane learns what runs cost.
const LEAD: f64 = 0.25;

/// Why nothing is measured.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// What is asked for contradicts itself, the model or the machine.
    #[error("this cannot be measured:\n  {}", .0.join("\n  "))]
    Wishes(Vec<String>),
    /// What stands in the repository is faulty.
    #[error("the configuration has faults:\n  {}", .0.join("\n  "))]
    Configuration(Vec<String>),
    /// The system gave no threads.
    #[error("cannot start threads")]
    Threads(#[from] std::io::Error),
}

/// A search that can begin.
pub struct Plan {
    /// The model's folder.
    pub single: Single,
    /// The version that is measured.
    pub version: Version,
    /// The most that p99 may be.
    pub goal: Duration,
    /// Cores that are used.
    pub cores: usize,
    /// Rows of a request.
    pub rows: usize,
    /// Numbers of callers, rising.
    pub concurrency: Vec<usize>,
    /// How long a point is measured.
    pub window: Duration,
    /// Everything that can be tried.
    pub candidates: Vec<Candidate>,
    /// What cannot.
    pub skipped: Vec<Skipped>,
    /// What is served now, if it is among the candidates.
    pub now: Setting,
    /// How long a request may take.
    pub(crate) timeout: Duration,
    /// Lengths of free axes.
    pub(crate) axes: BTreeMap<String, usize>,
    /// Which of them were asked for.
    pub(crate) axes_asked: Vec<String>,
    /// Were batch sizes asked for?
    pub(crate) batches_asked: bool,
}

impl Plan {
    /// Checks the wishes against the model, the engines and the machine; says everything that
    /// speaks against them. `cores` are those that this process may use.
    pub fn new(
        wishes: &Wishes,
        (repository, model): (&Path, &str),
        engines: &Engines,
        cores: usize,
    ) -> Result<Plan, TuneError> {
        let mut faults = Vec::new();
        let checked = wishes.check(engines, cores, &mut faults);
        let defaults = defaults(engines, checked.cores);
        let single = ModelName::new(model)
            .map_err(|it| it.to_string())
            .and_then(|it| Single::find(repository, &it, engines));
        let single = match single {
            Ok(single) => single,
            Err(fault) => return Err(either(faults, vec![fault])),
        };
        let config = match ModelConfig::parse(single.text(), &defaults) {
            Ok(config) => config,
            Err(found) => {
                let file = single.file();
                let found = found.iter().map(|it| format!("{}: {it}", file.display())).collect();
                return Err(either(faults, found));
            }
        };
        let version = version(&checked, &single, &config, &mut faults);
        let sizes = batches(&checked, wishes.rows, &config, &mut faults);
        // Of another format's engine there is nothing to measure.
        let folder = version.and_then(|it| single.folder(it));
        let reading = folder.map(|it| engines.reading(it));
        let engines = reading.as_ref().unwrap_or(engines);
        let product = product(&checked, engines, &config, &sizes);
        let (candidates, skipped) = sift(&product, &single, &defaults);
        if faults.is_empty() {
            explain(&checked, (&candidates, &skipped), &mut faults);
        }
        let (Some(version), true) = (version, faults.is_empty()) else {
            return Err(TuneError::Wishes(faults));
        };
        let mut axes = config.warmup_axes.clone();
        let axes_asked = checked.axes.keys().cloned().collect();
        axes.extend(checked.axes);
        let plan = Plan {
            now: now(engines, &config),
            single,
            version,
            goal: checked.goal,
            cores: checked.cores,
            rows: wishes.rows,
            concurrency: checked.concurrency,
            window: checked.window,
            candidates,
            skipped,
            timeout: config.timeout,
            axes,
            axes_asked,
            batches_asked: checked.batch_sizes.is_some(),
        };
        plan.in_time(wishes.force)
    }

    /// A search of hours is not what somebody wants who did not say so.
    fn in_time(self, force: bool) -> Result<Plan, TuneError> {
        if self.time_max() <= TIME_MAX || force {
            return Ok(self);
        }
        let text = format!(
            "up to {} points would take up to {} min, more than {}: name fewer values, less \
             --seconds, or --force",
            self.points_max(),
            self.time_max().as_secs() / 60,
            TIME_MAX.as_secs() / 60
        );
        Err(TuneError::Wishes(vec![text]))
    }

    /// The settings of all candidates.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        self.candidates.iter().map(|it| it.setting).collect()
    }

    /// Settings that are tried at most.
    pub fn settings_max(&self) -> usize {
        search::most(&self.settings())
    }

    /// Points that are measured at most.
    pub fn points_max(&self) -> usize {
        self.settings_max() * self.concurrency.len()
    }

    /// The time that they take; loading comes on top.
    pub fn time_max(&self) -> Duration {
        (self.window + self.lead()) * u32::try_from(self.points_max()).unwrap_or(u32::MAX)
    }

    /// See [`LEAD`].
    pub(crate) fn lead(&self) -> Duration {
        self.window.mul_f64(LEAD)
    }

    /// The candidate of a setting.
    pub fn candidate(&self, setting: Setting) -> Option<&Candidate> {
        self.candidates.iter().find(|it| it.setting == setting)
    }

    /// The same for a model that turned out not to be batched: there is no batch size to choose.
    pub(crate) fn unbatched(&mut self, engines: &Engines) {
        let mut settings: Vec<Setting> = Vec::new();
        for it in self.settings() {
            let alone = Setting { batch: None, ..it };
            if !settings.contains(&alone) {
                settings.push(alone);
            }
        }
        let (candidates, _) = sift(&settings, &self.single, &defaults(engines, self.cores));
        self.candidates = candidates;
        self.now.batch = None;
    }
}

/// Faults of the wishes, and if there are none those of the repository: the caller's own first.
fn either(mut wishes: Vec<String>, repository: Vec<String>) -> TuneError {
    if wishes.is_empty() {
        return TuneError::Configuration(repository);
    }
    wishes.extend(repository);
    TuneError::Wishes(wishes)
}

fn defaults(engines: &Engines, cores: usize) -> Defaults {
    Defaults {
        instances: cores,
        transition: Transition::Availability,
        load: LoadPolicy::Eager,
        engines: engines.names(),
    }
}

fn version(
    checked: &Checked,
    single: &Single,
    config: &ModelConfig,
    faults: &mut Vec<String>,
) -> Option<Version> {
    let wanted = checked.version.or_else(|| single.newest(&config.versions));
    let there: Vec<Version> = single.versions().collect();
    match wanted {
        Some(wanted) if there.contains(&wanted) => Some(wanted),
        Some(wanted) => {
            let there = there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let model = single.model();
            faults.push(format!("--version: {model} has no version {wanted}; it has {there}"));
            None
        }
        None => {
            faults.push(format!("{} has no version that an engine reads", single.model()));
            None
        }
    }
}

/// What the server makes of the model as it is.
fn now(engines: &Engines, config: &ModelConfig) -> Setting {
    let named = engines.available().find(|it| config.engine.as_deref() == Some(it.name()));
    let engine = named.or_else(|| engines.automatic().next()).map_or("auto", |it| it.name());
    let rows = config.batching.rows_max;
    Setting {
        engine,
        instances: config.instances,
        threads: config.options.intra_op_threads,
        batch: (rows > 0).then_some(rows),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
