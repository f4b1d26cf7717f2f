//! What the rest of the server may ask of the conductor.

use serde::Serialize;
use server_base::{Kind, Version};
use server_replicas::{Saved, Shown};
use server_rollout::{
    Command, Counts, Evidence, Finding, Plan, Refused, State, Subject, SubjectError, Weight,
};
use tokio::sync::{mpsc, oneshot};

type Reply<T> = oneshot::Sender<T>;

/// What an operator asks.
pub(crate) enum Ask {
    Start {
        model: String,
        from: Option<Version>,
        to: Version,
        plan: Box<Plan>,
        order: Order,
        reply: Reply<Result<View, ConductorError>>,
    },
    Command {
        model: String,
        command: Command,
        order: Order,
        reply: Reply<Result<View, ConductorError>>,
    },
    Promote {
        model: String,
        to: Version,
        order: Order,
        reply: Reply<Result<View, ConductorError>>,
    },
    RollBack {
        model: String,
        before: Option<Version>,
        order: Order,
        reply: Reply<Result<View, ConductorError>>,
    },
    Forget {
        model: String,
        order: Order,
        reply: Reply<Result<View, ConductorError>>,
    },
    Show {
        reply: Reply<Vec<View>>,
    },
}

/// Who wants something done, and why: for the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// As they call themselves.
    pub by: String,
    /// In their words.
    pub reason: String,
    /// What the version is, where that is known.
    pub digest: Option<String>,
}

/// Rollouts, for those who do not drive them. Clones speak to the same thread.
#[derive(Clone, Debug)]
pub struct Conductor {
    pub(crate) asks: mpsc::Sender<Ask>,
}

/// A rollout as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Whose.
    #[serde(flatten)]
    pub subject: Subject,
    /// Where it stands.
    pub state: State,
    /// The candidate's share of the requests.
    pub weight: Weight,
    /// Everything that was counted.
    pub counts: Counts,
    /// What every test says now.
    pub findings: Vec<Finding>,
    /// What was decided so far.
    pub evidence: Vec<Evidence>,
    /// What was asked for.
    pub plan: Plan,
    /// The model's file asked for it, not an operator.
    #[serde(rename = "declared")]
    pub is_declared: bool,
    /// An operator wants it to take over as soon as it may.
    #[serde(rename = "ordered")]
    pub is_ordered: bool,
    /// Who takes part, where replicas share their rollouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shown>,
}

impl View {
    pub(crate) fn of(saved: &Saved) -> View {
        let Saved { rollout, evidence, is_declared, is_ordered, .. } = saved;
        View {
            subject: rollout.subject().clone(),
            state: rollout.state(),
            weight: rollout.weight(),
            counts: rollout.counts(),
            findings: rollout.findings(),
            evidence: evidence.clone(),
            plan: rollout.plan().clone(),
            is_declared: *is_declared,
            is_ordered: *is_ordered,
            shared: None,
        }
    }
}

/// Why a rollout did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConductorError {
    /// Nobody knows that model.
    #[error("unknown model '{model}'")]
    UnknownModel {
        /// As asked.
        model: String,
    },
    /// There is nothing to compare with.
    #[error("no version of '{model}' serves: expected one to roll out from")]
    NothingServes {
        /// As asked.
        model: String,
    },
    /// One at a time.
    #[error("a rollout of '{model}' is under way: abort it, or wait for its end")]
    UnderWay {
        /// As asked.
        model: String,
    },
    /// There is none.
    #[error("there is no rollout of '{model}'")]
    NoRollout {
        /// As asked.
        model: String,
    },
    /// There is nothing to go back to.
    #[error(
        "nothing is known of a version of '{model}' before the one that serves: name one to promote"
    )]
    NothingBefore {
        /// As asked.
        model: String,
    },
    /// It would be compared with itself.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The command does not fit.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// More than anybody needs.
    #[error("{most} models have rollouts already")]
    TooMany {
        /// So many.
        most: usize,
    },
    /// It could not be written down, and so was not done.
    #[error("a rollout cannot be written down: {0}")]
    Disk(String),
    /// What replicas share is out of reach.
    #[error("{0}")]
    Share(String),
    /// Too many operators.
    #[error("too many commands wait; try again later")]
    Busy,
    /// The server is going down.
    #[error("the server is shutting down")]
    Stopping,
}

impl ConductorError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            ConductorError::UnknownModel { .. } | ConductorError::NoRollout { .. } => {
                Kind::NotFound
            }
            ConductorError::NothingServes { .. }
            | ConductorError::Share(_)
            | ConductorError::Stopping => Kind::Unavailable,
            ConductorError::UnderWay { .. }
            | ConductorError::NothingBefore { .. }
            | ConductorError::Subject(_)
            | ConductorError::Refused(_) => Kind::Invalid,
            ConductorError::TooMany { .. } | ConductorError::Busy => Kind::Overloaded,
            ConductorError::Disk(_) => Kind::Internal,
        }
    }
}

impl Conductor {
    /// Begins a rollout: from the version that serves most, unless another is named.
    pub async fn start(
        &self,
        model: &str,
        (from, to): (Option<Version>, Version),
        plan: Plan,
        order: Order,
    ) -> Result<View, ConductorError> {
        let (model, plan) = (model.to_owned(), Box::new(plan));
        self.ask(|reply| Ask::Start { model, from, to, plan, order, reply }).await?
    }

    /// Tells a rollout what to do.
    pub async fn command(
        &self,
        model: &str,
        command: Command,
        order: Order,
    ) -> Result<View, ConductorError> {
        let model = model.to_owned();
        self.ask(|reply| Ask::Command { model, command, order, reply }).await?
    }

    /// Has a version take over as soon as it is loaded and validated, without steps in between.
    pub async fn promote(
        &self,
        model: &str,
        to: Version,
        order: Order,
    ) -> Result<View, ConductorError> {
        let model = model.to_owned();
        self.ask(|reply| Ask::Promote { model, to, order, reply }).await?
    }

    /// Goes back to the version that served before: at once while that is kept ready. `before` is it where no rollout
    /// knows.
    pub async fn roll_back(
        &self,
        model: &str,
        before: Option<Version>,
        order: Order,
    ) -> Result<View, ConductorError> {
        let model = model.to_owned();
        self.ask(|reply| Ask::RollBack { model, before, order, reply }).await?
    }

    /// Has the model's files say again what serves, after a rollout that is over.
    pub async fn forget(&self, model: &str, order: Order) -> Result<View, ConductorError> {
        let model = model.to_owned();
        self.ask(|reply| Ask::Forget { model, order, reply }).await?
    }

    /// All of them, by model.
    pub async fn show(&self) -> Result<Vec<View>, ConductorError> {
        self.ask(|reply| Ask::Show { reply }).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, ConductorError> {
        let (reply, answer) = oneshot::channel();
        self.asks.try_send(ask(reply)).map_err(|it| match it {
            mpsc::error::TrySendError::Full(_) => ConductorError::Busy,
            mpsc::error::TrySendError::Closed(_) => ConductorError::Stopping,
        })?;
        answer.await.map_err(|_| ConductorError::Stopping)
    }
}
