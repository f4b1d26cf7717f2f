//! What is written down of each decision.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::commands::Command;
use crate::counts::Counts;
use crate::finding::{Finding, Guard};
use crate::moment::Moment;
use crate::state::{Fault, Hold, State};
use crate::subject::Subject;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It goes on.
    Advanced,
    /// The candidate took over.
    Promoted,
    /// The old version serves everything.
    RolledBack,
    /// Nothing was proven in the time there was.
    Inconclusive,
    /// It rests.
    Held,
}

impl Verdict {
    /// What it means that a rollout has come to stand there.
    pub(crate) fn of(state: State) -> Verdict {
        match state {
            State::Running { .. } => Verdict::Advanced,
            State::Held { why: Hold::MaxDuration, .. } => Verdict::Inconclusive,
            State::Held { why: Hold::Operator | Hold::Differs, .. } => Verdict::Held,
            State::Promoted { .. } => Verdict::Promoted,
            State::RolledBack => Verdict::RolledBack,
        }
    }
}

/// Why it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// What this phase asks for was reached.
    Reached,
    /// The tests that a promotion needs hold.
    GoodEnough,
    /// A guard's test holds.
    Guard(Guard),
    /// A fault that needs no statistics.
    Fault(Fault),
    /// The time was over.
    MaxDuration,
    /// The operator said so.
    Operator(Command),
    /// The candidate is not what is wanted any more.
    Withdrawn,
    /// Replicas have other bytes of the candidate: which, in words.
    Differs(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Reached => out.write_str("what this phase asks for was reached"),
            Cause::GoodEnough => out.write_str("it is shown to be good enough"),
            Cause::Guard(guard) => write!(out, "it is shown to be worse ({guard})"),
            Cause::Fault(fault) => fault.fmt(out),
            Cause::MaxDuration => out.write_str("the time is over and nothing is proven"),
            Cause::Operator(command) => write!(out, "the operator said {command}"),
            Cause::Withdrawn => out.write_str("another version is wanted now"),
            Cause::Differs(words) => {
                write!(out, "replicas have other bytes of the candidate: {words}")
            }
        }
    }
}

/// A decision, and everything it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// When.
    pub at: Moment,
    /// Whose.
    pub subject: Subject,
    /// What came of it.
    pub verdict: Verdict,
    /// Where it stood.
    pub from: State,
    /// Where it stands now.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// Everything that was counted until then, over all stages.
    pub counts: Counts,
    /// What every guard had found, and where a promotion was due, what spoke for it.
    pub findings: Vec<Finding>,
    /// All of it in words.
    pub words: String,
}
