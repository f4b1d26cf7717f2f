//! What is asked for, and what of it cannot be. Every fault is reported at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use server_base::{Version, limits};
use server_lifecycle::Engines;

/// Values of a list that decides how many settings there are.
const VALUES_MAX: usize = 8;

/// Callers where nothing else is said: the climb ends before the last where nothing is gained.
const STEPS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Steps of concurrency.
const STEPS_MAX: usize = 16;

/// Callers at a time: each keeps a request in memory.
const CONCURRENCY_MAX: usize = 4_096;

/// Longest goal: beyond a minute nobody waits.
const GOAL_MS_MAX: f64 = 60_000.0;

/// Time for one point: below it there is nothing to measure, above it nothing is gained.
const SECONDS: RangeInclusive<f64> = 0.02..=60.0;

/// Lists as text, `1,2,4`, so that what is wrong with all of them can be said at once.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Which version; the newest that is wanted if nothing is said.
    pub version: Option<String>,
    /// The goal.
    pub goal_p99_ms: f64,
    /// Names of engines.
    pub engines: Option<String>,
    /// Counts of instances.
    pub instances: Option<String>,
    /// Counts of threads.
    pub threads: Option<String>,
    /// Batch sizes.
    pub batch_sizes: Option<String>,
    /// Counts of callers.
    pub concurrency: Option<String>,
    /// Time for each point.
    pub seconds: f64,
    /// Rows of a request.
    pub rows: usize,
    /// `NAME=LENGTH` each.
    pub axes: Vec<String>,
    /// Cores that may be used; all if nothing is said.
    pub cores: Option<usize>,
    /// Only say what would be measured.
    pub dry_run: bool,
    /// Write the file.
    pub write: bool,
    /// Where to draw.
    pub picture: Option<PathBuf>,
    /// May it take long?
    pub force: bool,
}

/// Wishes that can be, each on its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checked {
    pub(crate) version: Option<Version>,
    pub(crate) goal: Duration,
    pub(crate) engines: Option<Vec<&'static str>>,
    pub(crate) instances: Option<Vec<usize>>,
    pub(crate) threads: Option<Vec<usize>>,
    pub(crate) batch_sizes: Option<Vec<usize>>,
    pub(crate) concurrency: Vec<usize>,
    pub(crate) window: Duration,
    pub(crate) axes: BTreeMap<String, usize>,
    pub(crate) cores: usize,
}

impl Wishes {
    /// Checks what needs no model. `cores` are those of this process.
    pub(crate) fn check(
        &self,
        engines: &Engines,
        cores: usize,
        faults: &mut Vec<String>,
    ) -> Checked {
        let mut numbers = |flag, text: &Option<String>, max, values| {
            let text = text.as_deref()?;
            numbers(text, 1..=max, values).map_err(|it| faults.push(format!("{flag}: {it}"))).ok()
        };
        let instances = numbers("--instances", &self.instances, limits::INSTANCES_MAX, VALUES_MAX);
        let threads = numbers("--threads", &self.threads, limits::THREADS_MAX, VALUES_MAX);
        let batch_sizes =
            numbers("--batch-sizes", &self.batch_sizes, limits::BATCH_ROWS_MAX, VALUES_MAX);
        let concurrency = numbers("--concurrency", &self.concurrency, CONCURRENCY_MAX, STEPS_MAX);
        let engines = self.engines.as_deref().map(|it| named(it, engines, faults));
        let version = self.version.as_deref().and_then(|it| {
            let version = Version::parse(it);
            if version.is_none() {
                faults.push(format!("--version: {it:?} is not a number from 1"));
            }
            version
        });
        let axes = lengths(&self.axes, faults);
        self.check_numbers(cores, faults);
        self.check_ends(faults);
        Checked {
            version,
            goal: Duration::try_from_secs_f64(self.goal_p99_ms / 1e3).unwrap_or_default(),
            engines,
            instances,
            threads,
            batch_sizes,
            concurrency: concurrency.unwrap_or_else(|| STEPS.to_vec()),
            window: Duration::try_from_secs_f64(self.seconds).unwrap_or_default(),
            axes,
            cores: self.cores.unwrap_or(cores).clamp(1, cores),
        }
    }

    fn check_numbers(&self, cores: usize, faults: &mut Vec<String>) {
        let mut range = |flag: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                faults.push(format!("{flag}: {value} is not a number from {low} to {high}"));
            }
        };
        range("--seconds", self.seconds, *SECONDS.start(), *SECONDS.end());
        range("--rows", self.rows as f64, 1.0, limits::BATCH_ROWS_MAX as f64);
        let goal = self.goal_p99_ms;
        if !(goal > 0.0 && goal <= GOAL_MS_MAX) {
            faults.push(format!(
                "--goal-p99-ms: {goal} is not a number above 0, up to {GOAL_MS_MAX}"
            ));
        }
        match self.cores {
            Some(0) => faults.push("--cores: 0 is not a whole number from 1".to_owned()),
            Some(wanted) if wanted > cores => {
                faults.push(format!("--cores: {wanted}, and this process may use {cores}"));
            }
            Some(_) | None => {}
        }
    }

    /// What becomes of the results.
    fn check_ends(&self, faults: &mut Vec<String>) {
        if self.dry_run && self.write {
            faults.push("--write: --dry-run measures nothing, so there is nothing to write".into());
        }
        let Some(picture) = &self.picture else { return };
        if self.dry_run {
            faults
                .push("--picture: --dry-run measures nothing, so there is nothing to draw".into());
        }
        let folder = picture.parent().filter(|it| !it.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|it| !it.is_dir()) {
            faults.push(format!("--picture: there is no folder {}", folder.display()));
        }
        if picture.is_dir() {
            faults.push(format!("--picture: {} is a folder", picture.display()));
        }
    }
}

/// `1,2,4`, in rising order and each once.
fn numbers(text: &str, range: RangeInclusive<usize>, most: usize) -> Result<Vec<usize>, String> {
    let words = words(text)?;
    let (low, high) = (range.start(), range.end());
    let wrong: Vec<&str> = words
        .iter()
        .copied()
        .filter(|it| !it.parse().is_ok_and(|it: usize| range.contains(&it)))
        .collect();
    if !wrong.is_empty() {
        let wrong = quoted(&wrong);
        return Err(format!("{wrong} is not a whole number from {low} to {high}"));
    }
    let mut numbers: Vec<usize> = words.iter().filter_map(|it| it.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() > most {
        return Err(format!("{} values, at most {most} can be compared", numbers.len()));
    }
    Ok(numbers)
}

fn words(text: &str) -> Result<Vec<&str>, String> {
    if text.trim().is_empty() {
        return Err("the list is empty".to_owned());
    }
    Ok(text.split(',').map(str::trim).collect())
}

fn quoted(words: &[impl Display]) -> String {
    words.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ")
}

/// Engines that this machine has, in the order in which they are named.
fn named(text: &str, engines: &Engines, faults: &mut Vec<String>) -> Vec<&'static str> {
    let mut named = Vec::new();
    let words = words(text).unwrap_or_else(|it| {
        faults.push(format!("--engines: {it}"));
        Vec::new()
    });
    for word in words {
        let missing = engines.missing().iter().find(|it| it.name == word);
        if let Some(missing) = missing {
            let reason = &missing.reason;
            faults.push(format!("--engines: {word} is not available here: {reason}"));
        } else if let Some(name) = engines.names().into_iter().find(|it| *it == word) {
            if !named.contains(&name) {
                named.push(name);
            }
        } else {
            let known = engines.names().join(", ");
            faults.push(format!("--engines: {word:?} is none of {known}"));
        }
    }
    named
}

/// `NAME=LENGTH` each; `?` is the axis without a name.
fn lengths(axes: &[String], faults: &mut Vec<String>) -> BTreeMap<String, usize> {
    let mut lengths = BTreeMap::new();
    for axis in axes {
        let length = axis.rsplit_once('=').and_then(|(name, length)| {
            let length = length.parse().ok().filter(|&it: &usize| it > 0)?;
            Some((name.trim().to_owned(), length)).filter(|(name, _)| !name.is_empty())
        });
        match length {
            Some((name, length)) => {
                let name = if name == "?" { String::new() } else { name };
                if lengths.insert(name, length).is_some_and(|before| before != length) {
                    faults.push(format!("--axis: {axis} contradicts another length of that axis"));
                }
            }
            None => faults.push(format!("--axis: {axis:?} is not NAME=LENGTH, LENGTH from 1")),
        }
    }
    lengths
}

#[cfg(test)]
#[path = "wishes_tests.rs"]
mod tests;
