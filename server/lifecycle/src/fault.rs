//! Why a load failed, and whether it may come right by itself.

use std::time::Duration;

use server_base::{ModelName, Version};
use server_proof::{Refusal, Rule};

use crate::metrics;

/// How long a failure lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Until the content, or its configuration, is another.
    Lasting,
    /// Perhaps no longer than whatever else the machine does now: there is too little memory, or a
    /// busy machine is slow.
    Doubtful,
    /// The disk, or the network that it stands on, gave an error.
    Passing,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadError {
    /// For the operator: it says what to do where that is known.
    pub(crate) reason: String,
    pub(crate) fault: Fault,
    /// Set if it was loaded and did not prove itself.
    pub(crate) rule: Option<Rule>,
}

impl LoadError {
    pub(crate) fn lasting(reason: impl Into<String>) -> LoadError {
        LoadError { reason: reason.into(), fault: Fault::Lasting, rule: None }
    }

    pub(crate) fn doubtful(reason: impl Into<String>) -> LoadError {
        LoadError { reason: reason.into(), fault: Fault::Doubtful, rule: None }
    }

    pub(crate) fn passing(reason: impl Into<String>) -> LoadError {
        LoadError { reason: reason.into(), fault: Fault::Passing, rule: None }
    }
}

impl LoadError {
    /// Says that a version is not there, and how long it is until it is tried again.
    pub(crate) fn log(&self, (model, version): (&ModelName, Version), again: Option<Duration>) {
        let (reason, refused) = (&self.reason, self.rule.map(Rule::label));
        let retry_s = again.map(|it| it.as_secs_f64());
        tracing::error!(%model, %version, reason, refused, retry_s, "model version cannot be loaded");
        self.rule.into_iter().for_each(|it| metrics::refused(model, it));
    }
}

impl From<Refusal> for LoadError {
    fn from(refusal: Refusal) -> LoadError {
        let Refusal { rule, reason, may_pass } = refusal;
        let fault = match (may_pass, rule) {
            (false, _) => Fault::Lasting,
            (true, Rule::Latency) => Fault::Doubtful,
            (
                true,
                Rule::Flavor
                | Rule::Signature
                | Rule::ChangedSignature
                | Rule::Example
                | Rule::Golden
                | Rule::Replay,
            ) => Fault::Passing,
        };
        LoadError { reason, fault, rule: Some(rule) }
    }
}
