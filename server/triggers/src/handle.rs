//! What the rest of the server may ask of the triggers.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use server_base::{Finding, Findings, Kind};
use tokio::sync::{mpsc, oneshot};

use crate::entry::Flight;
use crate::event::Event;
use crate::limits::{BEHIND, KEEP, TOLD_MAX};
use crate::metrics;
use crate::moment::Moment;

type Reply<T> = oneshot::Sender<T>;

/// What comes to the thread.
pub(crate) enum Ask {
    /// Is answered when they are written down, or could not be.
    Found {
        findings: Vec<Finding>,
        taken: SyncSender<bool>,
    },
    Show {
        reply: Reply<Vec<View>>,
    },
    Fire {
        rule: String,
        asked: FireAsked,
        reply: Reply<Result<Fired, TriggerError>>,
    },
    Mute {
        rule: String,
        until: Option<Moment>,
        reply: Reply<Result<View, TriggerError>>,
    },
    Stop {
        ended: SyncSender<()>,
    },
}

/// The triggers. Clones speak to the same thread.
#[derive(Clone, Debug)]
pub struct Triggers {
    pub(crate) asks: mpsc::Sender<Ask>,
    /// When the disk was too slow for one who told, last.
    behind: Arc<Mutex<Option<Instant>>>,
}

/// By hand: for which model, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FireAsked {
    /// Needed if the rule is for several.
    pub model: Option<String>,
    /// The one that it is about; the newest that serves if nothing is said.
    pub version: Option<u64>,
    /// The same id never fires twice.
    pub id: Option<String>,
    /// For the one who reads the event.
    pub reason: String,
    /// Only say what would be told.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fired {
    /// `fired`, `dry_run`, or `duplicate`: the same id has fired before.
    pub result: &'static str,
    /// Who is told.
    pub target: String,
    /// What they are told.
    pub event: Event,
}

/// A rule as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Its name.
    pub name: String,
    /// For which models.
    pub model: String,
    /// Whom it tells.
    pub target: String,
    /// What that is.
    pub target_kind: &'static str,
    /// Kinds of findings that it heeds.
    pub on: Vec<&'static str>,
    /// Is it only said?
    pub dry_run: bool,
    /// Silence that an operator wants.
    pub muted_until: Option<Moment>,
    /// Events that wait to be delivered.
    pub pending: usize,
    /// What is known of each model.
    pub models: Vec<ModelView>,
}

/// A rule and a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelView {
    /// Its name.
    pub model: String,
    /// When the rule last fired for it.
    pub last_fire: Option<Moment>,
    /// How often in 24 hours.
    pub fires_today: usize,
    /// It does not fire before.
    pub cooldown_until: Option<Moment>,
    /// What it has asked for and has not ended.
    pub run: Option<Flight>,
    /// Rows since it last fired.
    pub rows_new: u64,
    /// Alarms of its last windows.
    pub alarms: Vec<LaneView>,
}

/// One kind of finding about one version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneView {
    /// Number of the version.
    pub version: u64,
    /// Kind of the finding.
    pub kind: &'static str,
    /// Alarms ..
    pub alarms: usize,
    /// .. among so many windows.
    pub windows: usize,
    /// May it be a reason?
    pub armed: bool,
}

/// Why a trigger did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// The settings know no such trigger.
    #[error("there is no trigger '{name}'")]
    Unknown {
        /// As asked.
        name: String,
    },
    /// It is for several models, or for others.
    #[error("{0}")]
    Model(String),
    /// What it asked for before has not ended.
    #[error("a run of '{model}' is under way at '{target}': wait for its end")]
    InFlight {
        /// The model.
        model: String,
        /// The target.
        target: String,
    },
    /// Nobody has taken what fired before.
    #[error("too many events wait to be delivered")]
    Full,
    /// Too many operators, or findings.
    #[error("too many commands wait; try again later")]
    Busy,
    /// The server is going down.
    #[error("the server is shutting down")]
    Stopping,
}

impl TriggerError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            TriggerError::Unknown { .. } => Kind::NotFound,
            TriggerError::Model(_) | TriggerError::InFlight { .. } => Kind::Invalid,
            TriggerError::Full | TriggerError::Busy => Kind::Overloaded,
            TriggerError::Stopping => Kind::Unavailable,
        }
    }
}

impl Findings for Triggers {
    fn found(&self, findings: &[Finding]) -> bool {
        self.tell(findings, KEEP)
    }
}

impl Triggers {
    /// Of the thread that takes what is asked.
    pub(crate) fn new(asks: mpsc::Sender<Ask>) -> Triggers {
        Triggers { asks, behind: Arc::default() }
    }

    /// All of them, in the order of the settings.
    pub async fn show(&self) -> Result<Vec<View>, TriggerError> {
        self.ask(|reply| Ask::Show { reply }).await
    }

    /// Fires one by hand.
    pub async fn fire(&self, rule: &str, asked: FireAsked) -> Result<Fired, TriggerError> {
        let rule = rule.to_owned();
        self.ask(|reply| Ask::Fire { rule, asked, reply }).await?
    }

    /// Silences one until then, or ends its silence.
    pub async fn mute(&self, rule: &str, until: Option<Moment>) -> Result<View, TriggerError> {
        let rule = rule.to_owned();
        self.ask(|reply| Ask::Mute { rule, until, reply }).await?
    }

    /// Writes down where everything stands, and ends. What is on its way comes after the next start.
    pub fn stop(&self, by: Instant) {
        let (ended, end) = sync_channel(1);
        if self.asks.try_send(Ask::Stop { ended }).is_ok() {
            // Ended, or too late to wait for.
            let _ = end.recv_timeout(by.saturating_duration_since(Instant::now()));
        }
    }

    /// True: they are on the disk. If the disk refuses them, or takes longer than that, they are in memory and
    /// written down with what comes next; a kill before that would forget them if whoever tells did. After one has
    /// waited that long for nothing others do not wait for a while: they tell, and tell again.
    fn tell(&self, findings: &[Finding], within: Duration) -> bool {
        if findings.is_empty() {
            return true;
        }
        let is_behind = self.behind().is_some_and(|it| it.elapsed() < BEHIND);
        // It has enough to write down; the same once more would take memory, and the places of others.
        if is_behind && self.asks.max_capacity() - self.asks.capacity() >= TOLD_MAX {
            return false;
        }
        let within = if is_behind { Duration::ZERO } else { within };
        let (taken, answer) = sync_channel(1);
        let ask = Ask::Found { findings: findings.to_vec(), taken };
        let answer = self.asks.try_send(ask).map(|()| answer.recv_timeout(within));
        let count = findings.len();
        match answer {
            Ok(Ok(is_kept)) => is_kept,
            Ok(Err(RecvTimeoutError::Timeout)) if is_behind => false,
            Ok(Err(RecvTimeoutError::Timeout)) => {
                *self.behind() = Some(Instant::now());
                tracing::warn!(
                    findings = count,
                    "triggers are slow to write down what they are told"
                );
                false
            }
            // They have ended, or too many wait.
            Ok(Err(RecvTimeoutError::Disconnected)) | Err(_) => {
                metrics::dropped(count);
                false
            }
        }
    }

    fn behind(&self) -> MutexGuard<'_, Option<Instant>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, TriggerError> {
        let (reply, answer) = oneshot::channel();
        self.asks.try_send(ask(reply)).map_err(|it| match it {
            mpsc::error::TrySendError::Full(_) => TriggerError::Busy,
            mpsc::error::TrySendError::Closed(_) => TriggerError::Stopping,
        })?;
        answer.await.map_err(|_| TriggerError::Stopping)
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
