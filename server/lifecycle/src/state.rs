//! The life of one loaded artifact.
//!
//! One enum, one function; a test walks every pair of state and event. The names are those of
//! TensorFlow Serving.

use std::fmt;

/// Where a version is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Known, not loaded yet.
    Start,
    /// A loader thread works on it.
    Loading,
    /// Answers requests.
    Available,
    /// Takes no more requests; finishes those it has.
    Unloading,
    /// Not in memory, and never again: what is wanted anew begins a new life.
    End {
        /// Why it could not be loaded, or not be kept; `None` if it was retired.
        reason: Option<String>,
    },
}

/// What happens to a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is wanted.
    Load,
    /// The load succeeded, warm-up included.
    Loaded,
    /// The load failed.
    LoadFailed {
        /// Why.
        reason: String,
    },
    /// It is no longer wanted.
    Retire,
    /// Its last request is answered and its memory is given back.
    Drained,
    /// What it runs on has failed: twice, when it is seen and when its memory is given back.
    Lost {
        /// Why.
        reason: String,
    },
}

/// An event that a state does not know: a bug in the manager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen in state {state}")]
pub(crate) struct Illegal {
    /// Where it was.
    pub state: State,
    /// What was said to have happened.
    pub event: Event,
}

/// The only place where a version changes state. No wildcard: a new state fails to compile.
pub(crate) fn next(state: &State, event: Event) -> Result<State, Illegal> {
    match (state, event) {
        (State::Start, Event::Load) => Ok(State::Loading),
        (State::Loading, Event::Loaded) => Ok(State::Available),
        (State::Loading, Event::LoadFailed { reason }) => Ok(State::End { reason: Some(reason) }),
        (State::Available, Event::Retire | Event::Lost { .. }) => Ok(State::Unloading),
        (State::Unloading, Event::Lost { reason }) => Ok(State::End { reason: Some(reason) }),
        (State::Start, Event::Retire) | (State::Unloading, Event::Drained) => {
            Ok(State::End { reason: None })
        }
        (
            state @ (State::Start
            | State::Loading
            | State::Available
            | State::Unloading
            | State::End { .. }),
            event @ (Event::Load
            | Event::Loaded
            | Event::LoadFailed { .. }
            | Event::Retire
            | Event::Drained
            | Event::Lost { .. }),
        ) => Err(Illegal { state: state.clone(), event }),
    }
}

impl State {
    /// Every name, in the order of life.
    pub const NAMES: [&'static str; 5] = ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"];

    /// Of two revisions of a version the one of greater weight tells the version's state.
    pub(crate) fn weight(&self) -> usize {
        match self {
            State::Available => 4,
            State::Loading => 3,
            State::Unloading => 2,
            State::Start => 1,
            State::End { .. } => 0,
        }
    }

    /// Name of the state: label value and log field.
    pub fn name(&self) -> &'static str {
        match self {
            State::Start => "START",
            State::Loading => "LOADING",
            State::Available => "AVAILABLE",
            State::Unloading => "UNLOADING",
            State::End { .. } => "END",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
