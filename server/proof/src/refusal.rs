//! Why a version is not served.

use std::io;
use std::time::Duration;

use backend_api::Signature;

/// What a version did not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// There is no file in it that can be served.
    Flavor,
    /// Its graph is not what it declares.
    Signature,
    /// It takes or gives something else than the version that answers.
    ChangedSignature,
    /// Its own example does not run, or gives what is no number.
    Example,
    /// It does not answer recorded requests as recorded.
    Golden,
    /// It does not answer logged requests as they were answered.
    Replay,
    /// It takes longer than it may.
    Latency,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 7] = [
        Rule::Flavor,
        Rule::Signature,
        Rule::ChangedSignature,
        Rule::Example,
        Rule::Golden,
        Rule::Replay,
        Rule::Latency,
    ];

    /// A word for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Rule::Flavor => "flavor",
            Rule::Signature => "signature",
            Rule::ChangedSignature => "changed_signature",
            Rule::Example => "example",
            Rule::Golden => "golden",
            Rule::Replay => "replay",
            Rule::Latency => "latency",
        }
    }
}

/// A version that is not to be served, and why, in words for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it did not keep.
    pub rule: Rule,
    /// How so, and what can be done about it.
    pub reason: String,
    /// May it be otherwise the next time, with the same content? So it is with a disk that cannot
    /// be read, and with a machine that was busy.
    pub may_pass: bool,
}

impl Refusal {
    pub(crate) fn new(rule: Rule, reason: impl Into<String>) -> Refusal {
        Refusal { rule, reason: reason.into(), may_pass: false }
    }

    /// Of an error of the disk. Bytes that are no text are the content's own fault.
    pub(crate) fn of_disk(rule: Rule, name: &str, error: &io::Error) -> Refusal {
        let may_pass = error.kind() != io::ErrorKind::InvalidData;
        Refusal { rule, reason: format!("{name} cannot be read: {error}"), may_pass }
    }

    /// Callers of the version that answers, which is called `served`, would not be understood, or not understand.
    pub fn changed(found: &Signature, (served, theirs): (&str, &Signature)) -> Refusal {
        let reason = format!(
            "its signature is {found}, and that of {served}, which answers, is {theirs}: expected the same. \
             proof.same_signature = false lets it take over"
        );
        Refusal::new(Rule::ChangedSignature, reason)
    }

    /// A run takes longer than it may.
    pub fn slow(took: Duration, runs: usize, max: Duration) -> Refusal {
        let (took, max) = (took.as_secs_f64() * 1e3, max.as_secs_f64() * 1e3);
        let reason = format!(
            "a run takes {took:.3} ms (median of up to {runs}), and proof.latency_ms_max is {max}"
        );
        Refusal { rule: Rule::Latency, reason, may_pass: true }
    }

    /// How long a run takes cannot be told.
    pub fn unmeasured(error: &str) -> Refusal {
        let reason = format!(
            "how long a run takes cannot be measured: {error}. A recorded request in proof.golden \
             is an input that runs"
        );
        Refusal::new(Rule::Latency, reason)
    }

    /// What was logged cannot be read: it may be the next time.
    pub fn unread(error: &io::Error) -> Refusal {
        let reason = format!("the prediction log cannot be read: {error}");
        Refusal { rule: Rule::Replay, reason, may_pass: true }
    }

    /// A file that is named and not there.
    pub fn missing(name: &str) -> Refusal {
        let reason =
            format!("proof.golden: '{name}' is neither in the version's folder nor in the model's");
        Refusal::new(Rule::Golden, reason)
    }
}
