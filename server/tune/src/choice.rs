//! Which setting is best. Pure: points in, a choice out.

use std::cmp::Reverse;
use std::time::Duration;

use crate::setting::Setting;

/// Two throughputs that differ by less are alike: runs of one second differ as much.
const NOISE: f64 = 0.03;

/// What came of one setting under so many callers.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Under which setting.
    pub setting: Setting,
    /// Callers that each had one request in flight.
    pub concurrency: usize,
    /// Requests that were answered in the time that counts.
    pub answers: u64,
    /// Rows of them.
    pub rows_per_s: f64,
    /// Half of them were faster.
    pub p50: Duration,
    /// One in a hundred was slower.
    pub p99: Duration,
    /// Why there is nothing to measure.
    pub failure: Option<Failure>,
}

/// The first request that was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl Point {
    /// Was everything answered, and in time?
    pub fn meets(&self, goal: Duration) -> bool {
        self.failure.is_none() && self.answers > 0 && self.p99 <= goal
    }
}

/// What is best; the numbers are places in the list of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Most rows within the goal.
    Best(usize),
    /// Nothing is within the goal; this is nearest to it.
    Closest(usize),
    /// Nothing was answered.
    Nothing,
}

/// The highest throughput within the goal. Of several as high, up to noise, the smallest setting:
/// fewer threads, then smaller batches, then fewer callers, then the engine that was named first.
pub(crate) fn choose(points: &[Point], goal: Duration) -> Choice {
    let good = || points.iter().enumerate().filter(|(_, it)| it.meets(goal));
    let most = good().map(|(_, it)| it.rows_per_s).fold(0.0, f64::max);
    let alike = good().filter(|(_, it)| it.rows_per_s >= most * (1.0 - NOISE));
    let size = |point: &Point| {
        let Setting { instances, threads, batch, .. } = point.setting;
        (instances * threads, batch, instances, point.concurrency)
    };
    if let Some((place, _)) = alike.min_by_key(|(_, it)| size(it)) {
        return Choice::Best(place);
    }
    let answered = points.iter().enumerate();
    let answered = answered.filter(|(_, it)| it.failure.is_none() && it.answers > 0);
    // Of several as near, the one that does most.
    let near = |(_, it): &(usize, &Point)| (it.p99, Reverse(it.answers));
    answered.min_by_key(near).map_or(Choice::Nothing, |(place, _)| Choice::Closest(place))
}

/// Is it worth asking with more callers? Not after a failure, nor once the goal has been missed
/// twice running, nor when two steps brought no more throughput.
pub(crate) fn climbs(points: &[Point], goal: Duration) -> bool {
    let Some(last) = points.last() else { return true };
    if last.failure.is_some() {
        return false;
    }
    let Some([before, between, last]) = points.last_chunk::<3>() else {
        return !matches!(points, [first, second] if !first.meets(goal) && !second.meets(goal));
    };
    let missed = !between.meets(goal) && !last.meets(goal);
    let grew = last.rows_per_s.max(between.rows_per_s) > before.rows_per_s * (1.0 + NOISE);
    !missed && grew
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
