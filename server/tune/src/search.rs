//! Which setting to try next. Pure and without memory: what was tried goes in, the next comes out.
//!
//! One thing at a time is varied and the best kept: the engine, then instances and threads
//! together, then the batch size, then the engine again, since it was chosen under other
//! instances and batches. Where trying everything takes no longer, everything is tried.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use server_base::limits;

use crate::choice::{Choice, Point, choose};
use crate::setting::Setting;

/// A setting and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Which.
    pub setting: Setting,
    /// Why it could not be loaded.
    pub unloadable: Option<String>,
    /// In order of concurrency; none if it could not be loaded.
    pub points: Vec<Point>,
}

#[derive(Clone, Copy)]
enum Vary {
    Engine,
    Threads,
    Batch,
    EngineAgain,
}

const STAGES: [Vary; 4] = [Vary::Engine, Vary::Threads, Vary::Batch, Vary::EngineAgain];

/// The setting to try after those; `None` when the search is over.
pub(crate) fn next(settings: &[Setting], tried: &[Tried], goal: Duration) -> Option<Setting> {
    let untried = |it: &&Setting| !tried.iter().any(|tried| tried.setting == **it);
    if settings.len() <= one_at_a_time(settings) {
        return settings.iter().find(untried).copied();
    }
    let mut base = start(settings.iter())?;
    for stage in STAGES {
        let mut candidates = vary(settings, base, stage);
        if matches!(stage, Vary::EngineAgain) {
            candidates.retain(|it| loads(it.engine, tried));
        }
        if let Some(next) = candidates.iter().find(untried) {
            return Some(*next);
        }
        base = best(&candidates, tried, goal)?;
    }
    None
}

/// Has the engine loaded the model once?
fn loads(engine: &str, tried: &[Tried]) -> bool {
    tried.iter().any(|it| it.setting.engine == engine && it.unloadable.is_none())
}

/// How many settings are tried at most.
pub(crate) fn most(settings: &[Setting]) -> usize {
    settings.len().min(one_at_a_time(settings))
}

fn one_at_a_time(settings: &[Setting]) -> usize {
    fn values<T: Ord>(settings: &[Setting], of: impl Fn(&Setting) -> T) -> usize {
        settings.iter().map(of).collect::<BTreeSet<T>>().len()
    }
    let engines = values(settings, |it| it.engine);
    let threads = values(settings, |it| (it.instances, it.threads));
    let batches = values(settings, |it| it.batch);
    (2 * engines + threads + batches).saturating_sub(3)
}

/// What comes nearest to a server without configuration: every core an instance of one thread, and
/// the usual batch.
fn start<'a>(settings: impl Iterator<Item = &'a Setting> + Clone) -> Option<Setting> {
    let usual = settings.clone().filter(|it| it.batch <= Some(limits::BATCH_ROWS));
    let batch = match usual.map(|it| it.batch).max() {
        Some(batch) => batch,
        None => settings.clone().map(|it| it.batch).min()?,
    };
    let alike = settings.filter(|it| it.batch == batch);
    alike.min_by_key(|it| (it.threads, Reverse(it.instances))).copied()
}

/// Settings that differ from `base` in one thing, itself among them. An engine that cannot do what
/// the base does is compared by its own start.
fn vary(settings: &[Setting], base: Setting, stage: Vary) -> Vec<Setting> {
    let Setting { engine, instances, threads, batch } = base;
    let all = || settings.iter();
    match stage {
        Vary::Engine => {
            let mut starts: Vec<Setting> = Vec::new();
            for it in settings {
                if !starts.iter().any(|start| start.engine == it.engine) {
                    starts.extend(start(all().filter(|other| other.engine == it.engine)));
                }
            }
            starts
        }
        Vary::Threads => {
            all().filter(|it| (it.engine, it.batch) == (engine, batch)).copied().collect()
        }
        Vary::Batch => {
            let alike = |it: &&Setting| {
                (it.engine, it.instances, it.threads) == (engine, instances, threads)
            };
            all().filter(alike).copied().collect()
        }
        Vary::EngineAgain => {
            let alike =
                |it: &&Setting| (it.instances, it.threads, it.batch) == (instances, threads, batch);
            all().filter(alike).copied().collect()
        }
    }
}

/// The best of some candidates, all of which were tried; `None` if none of them answered.
fn best(candidates: &[Setting], tried: &[Tried], goal: Duration) -> Option<Setting> {
    let of_them = tried.iter().filter(|it| candidates.contains(&it.setting));
    let points: Vec<Point> = of_them.flat_map(|it| it.points.iter().cloned()).collect();
    match choose(&points, goal) {
        Choice::Best(place) | Choice::Closest(place) => Some(points[place].setting),
        Choice::Nothing => None,
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
