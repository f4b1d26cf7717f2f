//! A decision, as all replicas read it.

use serde::{Deserialize, Serialize};
use server_rollout::{Action, Evidence, Moment, Rollout};

use crate::id::ReplicaId;

/// The only format so far. What bears another was written by another release, and is left alone.
pub(crate) const FORMAT: u32 = 1;

/// Decisions that are kept with the rollout.
const EVIDENCE_MAX: usize = 64;

/// A rollout as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Where it stands.
    pub rollout: Rollout,
    /// Decisions so far, the latest last.
    pub evidence: Vec<Evidence>,
    /// The model's file asked for it, not an operator.
    #[serde(default)]
    pub is_declared: bool,
    /// What the model's file wanted when it began, or wants now that it is over and fulfilled.
    #[serde(default)]
    pub wish: Option<Wish>,
    /// An operator wants the candidate to take over as soon as it may, whatever is proven.
    #[serde(default)]
    pub is_ordered: bool,
    /// What came of it holds no longer: the model's files say again what serves.
    #[serde(default)]
    pub is_forgotten: bool,
    /// Decisions of which nobody else may have heard yet: written down first, so that who is killed before it has told
    /// them tells them when it is started again. Replicas have their records for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<Untold>,
}

/// The latest decisions, as they are to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// So many.
    pub decisions: usize,
    /// Which bytes the candidate was, where that was known.
    pub digest: Option<String>,
}

/// Whether a decision may have been told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It was not.
    First,
    /// It may have been, long ago: who was told may have gone on since, and that holds.
    Again,
}

/// What a model's file wants: a version as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Its number.
    pub version: u64,
    /// Changes with its content and the settings of its load, as `FORMAT:HEX`. `None`: not known. Replicas go by the number
    /// alone: they do not all see a change at the same time.
    #[serde(default)]
    pub content: Option<String>,
}

impl Wish {
    /// Is it the same as far as both are known? Prints of two formats say nothing of each other.
    pub fn is_like(&self, other: &Wish) -> bool {
        let differ = |(one, two): (&String, &String)| {
            let format = |it: &str| it.split_once(':').map(|it| it.0.to_owned());
            one != two && format(one) == format(two)
        };
        let contents = self.content.as_ref().zip(other.content.as_ref());
        self.version == other.version && !contents.is_some_and(differ)
    }
}

impl Saved {
    /// One that begins.
    pub fn new(rollout: Rollout, is_declared: bool, wish: Option<Wish>) -> Saved {
        Saved {
            rollout,
            evidence: Vec::new(),
            is_declared,
            wish,
            is_ordered: false,
            is_forgotten: false,
            untold: None,
        }
    }

    /// So many decisions, or all that are kept.
    pub fn latest(&self, decisions: usize) -> &[Evidence] {
        let first = self.evidence.len().saturating_sub(decisions);
        self.evidence.get(first..).unwrap_or_default()
    }

    /// Keeps a decision, and forgets the oldest where there are too many.
    pub fn keep(&mut self, evidence: Evidence) {
        self.evidence.push(evidence);
        let surplus = self.evidence.len().saturating_sub(EVIDENCE_MAX);
        self.evidence.drain(..surplus);
    }

    /// Keeps what is written down among the actions: so many decisions.
    pub(crate) fn keep_all(&mut self, actions: Vec<Action>) -> usize {
        let mut decisions = 0;
        for action in actions {
            if let Action::Record(evidence) = action {
                self.keep(*evidence);
                decisions += 1;
            }
        }
        decisions
    }
}

/// An entry of a model's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub(crate) format: u32,
    /// Its number: one more than that of the record it rests on.
    pub number: u64,
    /// How often another has become the leader: the fencing token. Never less than in the record before.
    pub term: u64,
    /// Who decides from here on.
    pub leader: ReplicaId,
    /// Who wrote it: the leader, or whom an operator asked.
    pub by: ReplicaId,
    /// The number of the record with which this rollout began: counts bear it.
    pub begun: u64,
    /// When, by the clock of who wrote it. For readers: nothing rests on it.
    pub at: Moment,
    /// So many of the latest decisions are its author's to tell: what it has decided with it, and before that what an
    /// author that is gone may not have told.
    #[serde(default)]
    pub(crate) tells: usize,
    /// So many of those, the first, are of an author that is gone: they may have been told.
    #[serde(default)]
    pub(crate) again: usize,
    /// The rollout from here on.
    pub saved: Saved,
}

impl Record {
    /// What its author tells.
    pub(crate) fn told(&self) -> impl Iterator<Item = (Telling, &Evidence)> {
        let told = self.saved.latest(self.tells);
        // Where not all are kept any more, the first are gone.
        let again = told.len().saturating_sub(self.tells.saturating_sub(self.again));
        let telling = move |it| if it < again { Telling::Again } else { Telling::First };
        told.iter().enumerate().map(move |(it, evidence)| (telling(it), evidence))
    }
}
