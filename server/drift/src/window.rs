//! Windows over a given time or a number of rows, tumbling or sliding. Time is handed in.
//!
//! A sliding window is a queue of panes as long as one step; each is a mergeable state, so a step
//! merges `panes` states and looks at no row twice.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A state that can be put together with another of its kind.
pub trait Merge: Clone {
    /// Adds what the other saw.
    fn merge(&mut self, other: &Self);
}

impl Merge for crate::numbers::NumberState {
    fn merge(&mut self, other: &Self) {
        crate::numbers::NumberState::merge(self, other);
    }
}

impl Merge for crate::categories::CategoryState {
    fn merge(&mut self, other: &Self) {
        crate::categories::CategoryState::merge(self, other);
    }
}

/// How long a step is, and how many make a window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windowing {
    /// A step ends after so many rows,
    pub step_rows: Option<u64>,
    /// or after so many seconds, whichever is first; one of them must be given.
    pub step_s: Option<f64>,
    /// Steps in a window; 1: windows tumble. At most [`STEPS_MAX`].
    pub steps: usize,
}

/// A window of a day that moves on by the hour has 24; memory is as many states.
pub const STEPS_MAX: usize = 64;

/// The panes of a window, and the one that is being filled.
#[derive(Clone, Debug)]
pub struct Windows<S> {
    windowing: Windowing,
    empty: S,
    closed: VecDeque<(u64, S)>,
    open: (u64, S),
    opened_s: Option<f64>,
}

impl<S: Merge> Windows<S> {
    /// Fails with what is wrong if the windowing makes no sense. `empty`: a state that has seen
    /// nothing.
    pub fn new(windowing: Windowing, empty: S) -> Result<Windows<S>, String> {
        let Windowing { step_rows, step_s, steps } = windowing;
        if !(1..=STEPS_MAX).contains(&steps) {
            return Err(format!("steps is {steps}, it must be from 1 to {STEPS_MAX}"));
        }
        if step_rows == Some(0) || step_s.is_some_and(|it| it.is_nan() || it <= 0.0) {
            return Err("step_rows and step_s must be above 0".to_owned());
        }
        if step_rows.is_none() && step_s.is_none() {
            return Err("step_rows or step_s must be given".to_owned());
        }
        let (closed, open) = (VecDeque::new(), (0, empty.clone()));
        Ok(Windows { windowing, empty, closed, open, opened_s: None })
    }

    /// Adds rows that came at `now_s`, and gives the windows that this completes: that of a step
    /// whose time was over, and that of a step that is full. A clock that goes back leaves the step
    /// open; one that jumps ahead ends it, once.
    pub fn add(&mut self, now_s: f64, rows: u64, see: impl FnOnce(&mut S)) -> Vec<S> {
        let mut complete = Vec::from_iter(self.tick(now_s));
        self.open.0 = self.open.0.saturating_add(rows);
        see(&mut self.open.1);
        if self.windowing.step_rows.is_some_and(|it| self.open.0 >= it) {
            complete.extend(self.close(now_s));
        }
        complete
    }

    /// Lets time pass: the window whose last step is over by `now_s`, if it has rows.
    pub fn tick(&mut self, now_s: f64) -> Option<S> {
        let opened_s = *self.opened_s.get_or_insert(now_s);
        let step_s = self.windowing.step_s?;
        (now_s - opened_s >= step_s).then(|| self.close(now_s)).flatten()
    }

    /// Ends the step. A window is complete when it has all its steps and a row.
    fn close(&mut self, now_s: f64) -> Option<S> {
        // The next step begins where this one should have ended, unless the clock has jumped.
        let due = self.opened_s.unwrap_or(now_s) + self.windowing.step_s.unwrap_or(0.0);
        let in_step = self.windowing.step_s.is_some_and(|it| now_s - due < it && due <= now_s);
        self.opened_s = Some(if in_step { due } else { now_s });
        let step = std::mem::replace(&mut self.open, (0, self.empty.clone()));
        self.closed.push_back(step);
        if self.closed.len() > self.windowing.steps {
            self.closed.pop_front();
        }
        let rows: u64 = self.closed.iter().map(|it| it.0).sum();
        if self.closed.len() < self.windowing.steps || rows == 0 {
            return None;
        }
        let mut window = self.empty.clone();
        self.closed.iter().for_each(|it| window.merge(&it.1));
        Some(window)
    }
}
