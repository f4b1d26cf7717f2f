//! What an operator may say.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::observation::Action;
use crate::record::Cause;
use crate::rollout::Rollout;
use crate::state::{Phase, State};

/// A command of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Take over now, whatever is proven.
    Promote,
    /// Rest where it is.
    Hold,
    /// Go on where it rests.
    Resume,
    /// Drop the candidate; after a promotion, as long as the old version is ready.
    Abort,
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Command::Promote => "promote",
            Command::Hold => "hold",
            Command::Resume => "resume",
            Command::Abort => "abort",
        })
    }
}

/// A command that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{command} is not possible: the rollout of {model} is at {state:?}; expected {expected}")]
pub struct Refused {
    /// What was said.
    pub command: Command,
    /// Whose rollout.
    pub model: String,
    /// Where it stands.
    pub state: String,
    /// Where it would have to stand.
    pub expected: &'static str,
}

impl Rollout {
    /// Does what the operator says, or says why not. No wildcard: a new state fails to compile.
    pub fn command(&mut self, now: Moment, command: Command) -> Result<Vec<Action>, Refused> {
        let cause = Cause::Operator(command);
        match (command, self.state()) {
            (
                Command::Promote,
                State::Running { phase: Phase::Shadow | Phase::Canary { .. } }
                | State::Held { phase: Phase::Shadow | Phase::Canary { .. }, .. },
            ) => {
                let findings = self.findings();
                Ok(self.promote(now, cause, findings))
            }
            (Command::Hold, State::Running { phase }) => Ok(self.hold(now, phase, cause)),
            (Command::Resume, State::Held { phase, .. }) => Ok(self.resume(now, phase, cause)),
            (Command::Abort, State::Running { .. } | State::Held { .. }) => {
                let findings = self.findings();
                Ok(self.roll_back(now, cause, findings))
            }
            (Command::Abort, State::Promoted { warm_until }) if now < warm_until => {
                Ok(self.roll_back(now, cause, Vec::new()))
            }
            (Command::Promote, State::Running { .. } | State::Held { .. }) => {
                Err(self.refused(command, "a candidate that is loaded and validated"))
            }
            (Command::Promote, State::Promoted { .. } | State::RolledBack) => {
                Err(self.refused(command, "a rollout that is not over"))
            }
            (Command::Hold, State::Held { .. } | State::Promoted { .. } | State::RolledBack) => {
                Err(self.refused(command, "a rollout that is on its way"))
            }
            (
                Command::Resume,
                State::Running { .. } | State::Promoted { .. } | State::RolledBack,
            ) => Err(self.refused(command, "a rollout that is held")),
            (Command::Abort, State::Promoted { .. } | State::RolledBack) => {
                Err(self.refused(command, "a rollout whose old version is still ready"))
            }
        }
    }

    /// Something else is wanted than the candidate: the old version takes everything back, as long as
    /// it is ready.
    pub fn withdraw(&mut self, now: Moment) -> Vec<Action> {
        match self.state() {
            State::Running { .. } | State::Held { .. } => {
                let findings = self.findings();
                self.roll_back(now, Cause::Withdrawn, findings)
            }
            State::Promoted { warm_until } if now < warm_until => {
                self.roll_back(now, Cause::Withdrawn, Vec::new())
            }
            State::Promoted { .. } | State::RolledBack => Vec::new(),
        }
    }

    /// Why the operator's promotion is not done while replicas have other bytes of the candidate.
    pub fn refused_as_differing(&self, words: &str) -> Refused {
        let refused = self.refused(Command::Promote, "the same bytes on all replicas");
        Refused { state: format!("{}, and {words}", refused.state), ..refused }
    }

    fn refused(&self, command: Command, expected: &'static str) -> Refused {
        let model = self.subject().model().as_str().to_owned();
        Refused { command, model, state: self.state().words(self.plan()), expected }
    }
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
