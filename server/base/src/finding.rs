//! What a monitor has found out about a model: told by whoever watches it to whoever acts on it.
//!
//! Each window that a monitor completes is told, also the quiet ones: who asks for alarms in two of
//! three windows has to count both.

use std::fmt;
use std::time::SystemTime;

use crate::ids::{ModelName, Version};

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Do inputs look as they did?
    Drift,
    /// Do answers?
    PredictionDrift,
    /// Do embeddings?
    EmbeddingDrift,
    /// Do answers still go with the truth as they did?
    ConceptDrift,
    /// Is the data sound? What is broken is to be mended, and is nothing to train a model with.
    Quality,
    /// How right are the answers, where the truth is known?
    Performance,
}

impl FindingKind {
    /// All of them.
    pub const ALL: [FindingKind; 6] = [
        FindingKind::Drift,
        FindingKind::PredictionDrift,
        FindingKind::EmbeddingDrift,
        FindingKind::ConceptDrift,
        FindingKind::Quality,
        FindingKind::Performance,
    ];

    /// As it is written in configuration, answers of the API and on `/metrics`.
    pub fn label(self) -> &'static str {
        match self {
            FindingKind::Drift => "drift",
            FindingKind::PredictionDrift => "prediction_drift",
            FindingKind::EmbeddingDrift => "embedding_drift",
            FindingKind::ConceptDrift => "concept_drift",
            FindingKind::Quality => "quality",
            FindingKind::Performance => "performance",
        }
    }

    /// The one of that label.
    pub fn of_label(label: &str) -> Option<FindingKind> {
        FindingKind::ALL.into_iter().find(|it| it.label() == label)
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// One window, one kind of look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The model.
    pub model: ModelName,
    /// The version that answered.
    pub version: Version,
    /// What was looked at.
    pub kind: FindingKind,
    /// Is it an alarm?
    pub is_alarm: bool,
    /// When the window began.
    pub from: SystemTime,
    /// When it ended.
    pub to: SystemTime,
    /// Rows in it, or answers whose truth is known.
    pub rows: u64,
    /// What the alarm is about: columns, metrics. Empty if it is none.
    pub subjects: Vec<String>,
    /// The same in one sentence: effect, method, sizes.
    pub text: String,
    /// Everything that was measured, as a JSON object.
    pub evidence: String,
}

/// Who is told. Does not fail: what cannot be taken is counted by the one who could not take it. May wait for
/// the disk, though not for ever: nobody tells from where requests are answered.
pub trait Findings: fmt::Debug + Send + Sync {
    /// Windows are complete. True: what has to outlive the process does, and who tells may forget it. False: it may
    /// not, and who tells keeps all of them and tells them again, with what was found since after them: a window that
    /// comes after a later one is taken for known. Some may have been taken; to tell those again changes nothing.
    #[must_use]
    fn found(&self, findings: &[Finding]) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_go_both_ways() {
        for kind in FindingKind::ALL {
            assert_eq!(FindingKind::of_label(kind.label()), Some(kind));
        }
        assert_eq!(FindingKind::of_label("weather"), None);
    }
}
