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

    /// It is one of `steps` steps of a window from now on, and sees nothing more: what only the
    /// filling needs may go.
    fn seal(&mut self, steps: usize);
}

impl Merge for crate::numbers::NumberState {
    fn merge(&mut self, other: &Self) {
        crate::numbers::NumberState::merge(self, other);
    }

    fn seal(&mut self, steps: usize) {
        crate::numbers::NumberState::seal(self, steps);
    }
}

impl Merge for crate::categories::CategoryState {
    fn merge(&mut self, other: &Self) {
        crate::categories::CategoryState::merge(self, other);
    }

    fn seal(&mut self, steps: usize) {
        crate::categories::CategoryState::seal(self, steps);
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
    panes: Panes<S>,
}

/// What outlives the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panes<S> {
    /// Rows and states of the steps that are over and part of the next window.
    closed: VecDeque<(u64, S)>,
    open: (u64, S),
    opened_s: Option<f64>,
}

impl<S> Panes<S> {
    /// Rows of the step that is being filled.
    pub fn rows(&self) -> u64 {
        self.open.0
    }

    /// All states.
    pub fn states(&self) -> impl Iterator<Item = &S> {
        self.closed.iter().map(|it| &it.1).chain([&self.open.1])
    }

    /// When the step that is being filled began.
    pub fn opened_s(&self) -> Option<f64> {
        self.opened_s
    }
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
        let panes = Panes { closed: VecDeque::new(), open: (0, empty.clone()), opened_s: None };
        Ok(Windows { windowing, empty, panes })
    }

    /// What it holds.
    pub fn panes(&self) -> &Panes<S> {
        &self.panes
    }

    /// Goes on with what another of the same windowing held.
    pub fn resume(&mut self, panes: Panes<S>) {
        self.panes = panes;
    }

    /// Rows that the open step still takes, if it ends by rows.
    pub fn room(&self) -> u64 {
        self.windowing.step_rows.map_or(u64::MAX, |it| it.saturating_sub(self.panes.open.0))
    }

    /// When the open step ends, if it has begun and ends by time.
    pub fn due_s(&self) -> f64 {
        let due = self.panes.opened_s.zip(self.windowing.step_s);
        due.map_or(f64::INFINITY, |(opened_s, step_s)| opened_s + step_s)
    }

    /// Adds rows that came at `now_s`, and gives the windows that this completes: that of a step
    /// whose time was over, and that of a step that is full. A clock that goes back leaves the step
    /// open; one that jumps ahead ends it, once.
    pub fn add(&mut self, now_s: f64, rows: u64, see: impl FnOnce(&mut S)) -> Vec<S> {
        let mut complete = Vec::from_iter(self.tick(now_s));
        let open = &mut self.panes.open;
        open.0 = open.0.saturating_add(rows);
        see(&mut open.1);
        if self.windowing.step_rows.is_some_and(|it| self.panes.open.0 >= it) {
            complete.extend(self.close(now_s));
        }
        complete
    }

    /// Lets time pass: the window whose last step is over by `now_s`, if it has rows.
    pub fn tick(&mut self, now_s: f64) -> Option<S> {
        let opened_s = *self.panes.opened_s.get_or_insert(now_s);
        let step_s = self.windowing.step_s?;
        (now_s - opened_s >= step_s).then(|| self.close(now_s)).flatten()
    }

    /// Ends the step. A window is complete when it has all its steps and a row.
    fn close(&mut self, now_s: f64) -> Option<S> {
        let steps = self.windowing.steps;
        let panes = &mut self.panes;
        // The next step begins where this one should have ended, unless the clock has jumped.
        let due = panes.opened_s.unwrap_or(now_s) + self.windowing.step_s.unwrap_or(0.0);
        let in_step = self.windowing.step_s.is_some_and(|it| now_s - due < it && due <= now_s);
        panes.opened_s = Some(if in_step { due } else { now_s });
        let (rows, mut step) = std::mem::replace(&mut panes.open, (0, self.empty.clone()));
        step.seal(steps);
        panes.closed.push_back((rows, step));
        if panes.closed.len() < steps {
            return None;
        }
        let rows: u64 = panes.closed.iter().map(|it| it.0).sum();
        let mut window = self.empty.clone();
        panes.closed.iter().for_each(|it| window.merge(&it.1));
        // No later window has it.
        panes.closed.pop_front();
        (rows > 0).then_some(window)
    }
}
