//! The search as a picture: throughput against p99, a line for each setting, the goal across.

use std::time::Duration;

use plot::plane::{Limit, Line, Plane, Point};

use crate::choice::{self, Choice};
use crate::run::Outcome;
use crate::search::Tried;

/// Lines that can be told apart; the others are drawn in grey.
const NAMED_MAX: usize = 8;

/// What stands above the lines.
pub struct Shown {
    /// In large letters.
    pub title: String,
    /// Below it.
    pub note: String,
    /// The goal.
    pub goal: Duration,
}

/// Draws the points of a search.
pub fn draw(shown: &Shown, outcome: &Outcome) -> String {
    let place = match outcome.choice {
        Choice::Best(place) | Choice::Closest(place) => Some(place),
        Choice::Nothing => None,
    };
    let marked = place.and_then(|it| outcome.points.get(it));
    let answered = |it: &&Tried| it.points.iter().any(|it| it.answers > 0);
    let mut tried: Vec<&Tried> = outcome.tried.iter().filter(answered).collect();
    // The best first: it is the one to be seen.
    let most = |it: &Tried| {
        let is_marked = marked.is_some_and(|marked| marked.setting == it.setting);
        let good = it.points.iter().filter(|it| it.meets(shown.goal));
        (is_marked, good.map(|it| it.rows_per_s).fold(0.0, f64::max))
    };
    tried.sort_by(|a, b| {
        let ((a_marked, a), (b_marked, b)) = (most(a), most(b));
        b_marked.cmp(&a_marked).then(b.total_cmp(&a))
    });
    let line = |(number, tried): (usize, &&Tried)| {
        let name = if number < NAMED_MAX { tried.setting.brief() } else { String::new() };
        let answered = tried.points.iter().filter(|it| it.answers > 0);
        let point = |it: &choice::Point| Point {
            per_s: it.rows_per_s,
            ms: it.p99.as_secs_f64() * 1e3,
            label: if marked == Some(it) { word(outcome.choice).to_owned() } else { String::new() },
            good: it.meets(shown.goal),
        };
        Line { name, points: answered.map(point).collect() }
    };
    let goal_ms = shown.goal.as_secs_f64() * 1e3;
    Plane {
        title: shown.title.clone(),
        notes: vec![shown.note.clone()],
        across: "rows per second".to_owned(),
        limit: Some(Limit { name: format!("goal {goal_ms} ms"), ms: goal_ms }),
        lines: tried.iter().enumerate().map(line).collect(),
    }
    .draw()
}

fn word(choice: Choice) -> &'static str {
    if matches!(choice, Choice::Best(_)) { "best" } else { "closest" }
}
