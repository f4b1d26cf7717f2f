//! What a target is told: which model, why, and on what evidence. Its size is bounded.

use std::fmt;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use server_base::{Finding, FindingKind, ModelName, Version};

use crate::limits::{EVIDENCE_BYTES_MAX, SUBJECTS_MAX, TEXT_BYTES_MAX};
use crate::moment::Moment;

/// Why a rule fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cause {
    /// Enough alarms of that kind.
    Finding(FindingKind),
    /// Enough new rows.
    Rows,
    /// The version is old.
    Age,
    /// It was time.
    Schedule,
    /// Somebody said so.
    Manual,
}

impl Cause {
    /// As it is written in events, audit and on `/metrics`.
    pub fn label(self) -> &'static str {
        match self {
            Cause::Finding(kind) => kind.label(),
            Cause::Rows => "rows",
            Cause::Age => "age",
            Cause::Schedule => "schedule",
            Cause::Manual => "manual",
        }
    }

    /// Something is broken, and is to be looked at: nothing to train a model with.
    pub fn is_alert(self) -> bool {
        self == Cause::Finding(FindingKind::Quality)
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> String {
        cause.label().to_owned()
    }
}

impl TryFrom<String> for Cause {
    type Error = String;

    fn try_from(label: String) -> Result<Cause, String> {
        let own = [Cause::Rows, Cause::Age, Cause::Schedule, Cause::Manual];
        let own = own.into_iter().find(|it| it.label() == label);
        let found = own.or_else(|| FindingKind::of_label(&label).map(Cause::Finding));
        found.ok_or_else(|| format!("{label:?} is no cause"))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.label())
    }
}

/// The window that an alarm is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its begin.
    pub from: Moment,
    /// Its end.
    pub to: Moment,
    /// Rows in it.
    pub rows: u64,
}

/// What a finding says, as far as an event repeats it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Columns or metrics.
    pub subjects: Vec<String>,
    /// One sentence.
    pub text: String,
    /// All numbers, or nothing where they are too many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub measured: Option<Value>,
    /// Was something left out?
    pub is_cut: bool,
}

impl Evidence {
    pub(crate) fn of(finding: &Finding) -> Evidence {
        let small = finding.evidence.len() <= EVIDENCE_BYTES_MAX;
        let measured = serde_json::from_str(&finding.evidence).ok().filter(|_| small);
        let subjects = finding.subjects.iter().take(SUBJECTS_MAX);
        Evidence {
            subjects: subjects.map(|it| clipped(it, TEXT_BYTES_MAX / 4)).collect(),
            text: clipped(&finding.text, TEXT_BYTES_MAX),
            measured,
            is_cut: !small || finding.subjects.len() > SUBJECTS_MAX,
        }
    }
}

/// One firing of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The same for the same reason, in every replica and after a restart.
    pub key: String,
    /// Name of the rule.
    pub rule: String,
    /// Name of the model.
    pub model: String,
    /// Number of the version that it is about; 0 if none serves.
    pub version: u64,
    /// Why.
    pub cause: Cause,
    /// When.
    pub at: Moment,
    /// The last window, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window: Option<Window>,
    /// Alarms among the last windows, and how many those are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alarms: Option<(usize, usize)>,
    /// What the last window's alarm rests on; or what the one who fired it says.
    pub evidence: Evidence,
}

/// Sixty-four hexadecimal digits that say "this rule, for this model and version, at this occasion".
pub(crate) fn key(rule: &str, model: &ModelName, version: Version, occasion: &str) -> String {
    let parts = ["salver/1", rule, model.as_str(), &version.to_string(), occasion];
    let mut text = Vec::new();
    for it in parts {
        // Lengths keep the parts apart.
        text.extend_from_slice(&u64::try_from(it.len()).unwrap_or(u64::MAX).to_le_bytes());
        text.extend_from_slice(it.as_bytes());
    }
    let digest = digest(&SHA256, &text);
    digest.as_ref().iter().map(|it| format!("{it:02x}")).collect()
}

/// At most so many bytes, cut between characters.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most.saturating_sub(3))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_everywhere_and_differs_by_every_part() {
        let model = |name| ModelName::new(name).expect("a name");
        let one = key("drift", &model("wine"), Version(3), "drift:5000");
        assert_eq!(one.len(), 64);
        // Another replica, or this one after an update, must come to the same.
        assert!(one.starts_with("44d3ddf5c9adc24a"), "{one}");
        for other in [
            key("drif", &model("twine"), Version(3), "drift:5000"),
            key("drift", &model("wine"), Version(4), "drift:5000"),
            key("drift", &model("wine"), Version(3), "drift:5001"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn what_is_told_is_bounded() {
        let finding = Finding {
            model: ModelName::new("m").expect("a name"),
            version: Version(1),
            kind: FindingKind::Drift,
            is_alarm: true,
            from: std::time::UNIX_EPOCH,
            to: std::time::UNIX_EPOCH,
            rows: 1,
            subjects: vec!["ü".repeat(4000); 400],
            text: "x".repeat(1 << 20),
            evidence: format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20)),
        };
        let evidence = Evidence::of(&finding);
        assert!(evidence.is_cut && evidence.measured.is_none());
        let bytes = serde_json::to_vec(&evidence).expect("JSON").len();
        assert!(bytes < 16 << 10, "{bytes}");
    }

    #[test]
    fn causes_go_both_ways() {
        for cause in [Cause::Finding(FindingKind::Drift), Cause::Rows, Cause::Manual] {
            assert_eq!(Cause::try_from(String::from(cause)), Ok(cause));
        }
        assert!(Cause::try_from("weather".to_owned()).is_err());
    }
}
