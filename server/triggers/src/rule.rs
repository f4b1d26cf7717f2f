//! A rule: when which target is told about which models.

use std::time::Duration;

use server_base::settings::Section;
use server_base::{FindingKind, ModelName};
use toml::Value;

use crate::limits::{FIRES_PER_DAY_MAX, TEXT_BYTES_MAX, WINDOWS_MAX};

/// `[[trigger]]` of the settings file.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As operators call it.
    pub name: String,
    /// For which models.
    pub model: Pattern,
    /// Whom it tells: a key of `[target]`.
    pub target: String,
    /// Kinds of findings whose alarms count.
    pub on: Vec<FindingKind>,
    /// So many alarms ..
    pub alarms: usize,
    /// .. in so many windows.
    pub windows: usize,
    /// Windows with fewer rows do not count.
    pub rows_min: u64,
    /// So many rows since it last fired are a reason too.
    pub rows_new: Option<u64>,
    /// So is a version of this age.
    pub age_max: Option<Duration>,
    /// So is the time.
    pub every: Option<Duration>,
    /// From midnight UTC on 1 January 1970.
    pub offset: Duration,
    /// Windows without alarm until one may be a reason again.
    pub quiet_windows: usize,
    /// Least time between two.
    pub cooldown: Duration,
    /// In 24 hours, for one model.
    pub fires_per_day_max: usize,
    /// How long a run may keep others from beginning.
    pub run_max: Duration,
    /// Do alarms count whose window held broken data?
    pub despite_quality: bool,
    /// Only said, never sent.
    pub is_dry_run: bool,
}

/// A model's name, or how it begins: `wine`, `wine-*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    fn new(text: &str) -> Result<Pattern, String> {
        let (begin, is_open) = match text.strip_suffix('*') {
            Some(begin) => (begin, true),
            None => (text, false),
        };
        if begin.contains('*') {
            return Err(format!("{text:?}: a * may stand at the end alone"));
        }
        if !(is_open && begin.is_empty()) {
            ModelName::new(begin).map_err(|it| it.to_string())?;
        }
        Ok(Pattern(text.to_owned()))
    }

    /// Is it meant?
    pub fn matches(&self, model: &ModelName) -> bool {
        match self.0.strip_suffix('*') {
            Some(begin) => model.as_str().starts_with(begin),
            None => model.as_str() == self.0,
        }
    }

    /// The only model that is meant, if there is only one.
    pub fn single(&self) -> Option<&str> {
        (!self.0.ends_with('*')).then_some(self.0.as_str())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// Ten years.
const HOURS_MAX: usize = 87_600;

impl Rule {
    /// Reads a table. Whether its target is there, and takes it, is the caller's to see.
    pub(crate) fn read(section: &mut Section<'_>) -> Option<Rule> {
        let name = section.with("name", name);
        let model = section.with("model", |it| {
            Pattern::new(it.as_str().ok_or_else(|| format!("{it} is no text in quotes"))?)
        });
        let target = section.text("target");
        for (key, is_there) in
            [("name", name.is_some()), ("model", model.is_some()), ("target", target.is_some())]
        {
            if !is_there && !section.has(key) {
                section.fault(key, "is missing");
            }
        }
        let on = section.with("on", kinds).unwrap_or_default();
        let windows = section.integer("windows", 1..=WINDOWS_MAX).unwrap_or(5);
        // Three of five, the usual rule of thumb, unless said otherwise.
        let alarms = section.integer("alarms", 1..=WINDOWS_MAX);
        let alarms = alarms.unwrap_or((windows + 1).div_ceil(2).min(windows));
        if alarms > windows {
            section.fault("alarms", &format!("{alarms} are more than the {windows} windows"));
        }
        let count = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        let hours = |it: usize| HOUR.saturating_mul(u32::try_from(it).unwrap_or(u32::MAX));
        let every = section.integer("every_h", 1..=HOURS_MAX).map(hours);
        let offset = section.integer("offset_h", 0..=HOURS_MAX).map(hours);
        if offset.is_some() && every.is_none_or(|it| offset >= Some(it)) {
            section.fault("offset_h", "is to be less than every_h");
        }
        let rows_min = section.integer("rows_min", 0..=usize::MAX >> 1).map_or(0, count);
        let rows_new = section.integer("rows_new", 1..=usize::MAX >> 1).map(count);
        let age_max = section.integer("age_days_max", 1..=3650).map(|it| hours(it * 24));
        let quiet_windows = section.integer("quiet_windows", 1..=WINDOWS_MAX).unwrap_or(3);
        let cooldown = section.integer("cooldown_h", 0..=HOURS_MAX).map_or(hours(24), hours);
        let fires = section.integer("fires_per_day_max", 1..=FIRES_PER_DAY_MAX).unwrap_or(2);
        let run_max = section.integer("run_h_max", 1..=HOURS_MAX).map_or(hours(24), hours);
        let despite_quality = section.boolean("despite_quality").unwrap_or(false);
        let is_dry_run = section.boolean("dry_run").unwrap_or(false);
        Some(Rule {
            name: name?,
            model: model?,
            target: target?.to_owned(),
            on,
            alarms,
            windows,
            rows_min,
            rows_new,
            age_max,
            every,
            offset: offset.unwrap_or_default(),
            quiet_windows,
            cooldown,
            fires_per_day_max: fires,
            run_max,
            despite_quality,
            is_dry_run,
        })
    }
}

/// Names stand in paths, labels of metrics and names of runs.
pub(crate) fn name(value: &Value) -> Result<String, String> {
    let is_part = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let name = value.as_str().filter(|it| !it.is_empty() && it.len() <= TEXT_BYTES_MAX / 8);
    let name = name.filter(|it| it.chars().all(is_part));
    name.map(str::to_owned)
        .ok_or_else(|| format!("{value} is no name: letters, digits, dots, - and _"))
}

fn kinds(value: &Value) -> Result<Vec<FindingKind>, String> {
    let labels = FindingKind::ALL.map(FindingKind::label).join(", ");
    let one = |it: &Value| {
        let found = it.as_str().and_then(FindingKind::of_label);
        found.ok_or_else(|| format!("{it} is none of {labels}"))
    };
    let all = value.as_array().ok_or_else(|| format!("{value} is no list of {labels}"))?;
    all.iter().map(one).collect()
}
