//! What is counted of a rollout: sufficient statistics, no single request.
//!
//! Replicas count for themselves; their counts are added with `merge`. Sums saturate: a counter
//! that is full says "very many" and never wraps to few.

use serde::{Deserialize, Serialize};

use crate::moments::Moments;

/// Requests of one arm: of the stable version, or of the candidate.
///
/// Only requests after warm-up, and only what is the model's own fault: a client's mistake, a
/// refusal for lack of room and a caller who left are not requests here. The tests take events to
/// be independent: what fails together for one reason, as the requests of one batch do, is one
/// error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arm {
    /// Requests that were run.
    pub requests: u64,
    /// Those that failed by the model's fault.
    pub errors: u64,
    /// Those answered later than the limit of the stage, which is the same for both arms.
    pub slow: u64,
    /// Answers with an infinite or undefined number, though all inputs were finite.
    pub non_finite: u64,
}

impl Arm {
    /// Adds the counts of another replica, or stage.
    pub fn merge(&mut self, other: &Arm) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.slow = self.slow.saturating_add(other.slow);
        self.non_finite = self.non_finite.saturating_add(other.non_finite);
    }
}

/// Classes whose shares are compared; of more, every sixteenth goes together.
pub const CLASSES: usize = 16;

/// Rows that both versions were asked for the same: the stable one's answer went to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pairs {
    /// Rows that both answered.
    pub pairs: u64,
    /// Those whose label (the largest output, or the side of a threshold) is another.
    pub flips: u64,
    /// Those where the candidate's answer is not finite and the stable one's is.
    pub non_finite: u64,
    /// Candidate minus stable, of the output that is watched.
    pub difference: Moments,
    /// By how much more of a request's rows are of each class: candidate minus stable.
    #[serde(skip_serializing_if = "is_none")]
    pub classes: [Moments; CLASSES],
}

/// Nothing that has classes was compared.
fn is_none(classes: &[Moments; CLASSES]) -> bool {
    classes.iter().all(|it| it.n == 0)
}

impl Pairs {
    /// Adds the counts of another replica, or stage.
    pub fn merge(&mut self, other: &Pairs) {
        self.pairs = self.pairs.saturating_add(other.pairs);
        self.flips = self.flips.saturating_add(other.flips);
        self.non_finite = self.non_finite.saturating_add(other.non_finite);
        self.difference.merge(&other.difference);
        for (ours, theirs) in self.classes.iter_mut().zip(&other.classes) {
            ours.merge(theirs);
        }
    }
}

/// Losses of rows whose truth has become known, from 0 to 1. Of rows that were answered in the stage
/// whose counts these are: truth that comes later than that is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// Losses of rows that the stable version answered.
    pub stable: Moments,
    /// Losses of rows that the candidate answered.
    pub canary: Moments,
    /// Candidate minus stable, of rows that both answered. Those rows are not counted above.
    pub paired: Moments,
}

impl Labels {
    /// Adds the counts of another replica, or stage.
    pub fn merge(&mut self, other: &Labels) {
        self.stable.merge(&other.stable);
        self.canary.merge(&other.canary);
        self.paired.merge(&other.paired);
    }
}

/// Everything that is counted of one stage, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Requests of the version that serves.
    pub stable: Arm,
    /// Requests of the candidate. While it only shadows: the copies.
    pub canary: Arm,
    /// Rows that both answered.
    pub pairs: Pairs,
    /// Rows whose truth is known.
    pub labels: Labels,
}

impl Counts {
    /// Adds the counts of another replica, or stage.
    pub fn merge(&mut self, other: &Counts) {
        self.stable.merge(&other.stable);
        self.canary.merge(&other.canary);
        self.pairs.merge(&other.pairs);
        self.labels.merge(&other.labels);
    }

    /// These and those.
    pub fn merged(mut self, other: &Counts) -> Counts {
        self.merge(other);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Counts {
        let moments = Moments { n: 2, mean: 1.0, m2: 2.0 };
        Counts {
            stable: Arm { requests: 100, errors: 1, slow: 2, non_finite: 3 },
            canary: Arm { requests: 10, errors: 4, slow: 5, non_finite: 6 },
            pairs: Pairs {
                pairs: 7,
                flips: 8,
                non_finite: 9,
                difference: moments,
                classes: [moments; CLASSES],
            },
            labels: Labels { stable: moments, canary: moments, paired: moments },
        }
    }

    #[test]
    fn replicas_add_up() {
        let sum = one().merged(&one()).merged(&Counts::default());
        assert_eq!(sum.stable, Arm { requests: 200, errors: 2, slow: 4, non_finite: 6 });
        assert_eq!(sum.canary, Arm { requests: 20, errors: 8, slow: 10, non_finite: 12 });
        let moments = Moments { n: 4, mean: 1.0, m2: 4.0 };
        let classes = [moments; CLASSES];
        let expect = Pairs { pairs: 14, flips: 16, non_finite: 18, difference: moments, classes };
        assert_eq!(sum.pairs, expect);
        assert_eq!(sum.labels, Labels { stable: moments, canary: moments, paired: moments });
    }

    #[test]
    fn a_full_counter_stays_full() {
        let full = Arm { requests: u64::MAX, ..Arm::default() };
        let sum = Counts { stable: full, ..Counts::default() }.merged(&one());
        assert_eq!(sum.stable.requests, u64::MAX);
        assert_eq!(sum.stable.errors, 1);
    }

    #[test]
    fn counts_survive_being_written_down() {
        let text = serde_json::to_string(&one()).expect("JSON");
        assert_eq!(serde_json::from_str::<Counts>(&text).expect("counts"), one());
        // What an older replica does not count yet is nothing.
        let partial = serde_json::from_str::<Counts>(r#"{"canary": {"requests": 3}}"#);
        let canary = Arm { requests: 3, ..Arm::default() };
        assert_eq!(partial.expect("counts"), Counts { canary, ..Counts::default() });
        // So is what a newer one counts besides.
        serde_json::from_str::<Counts>(r#"{"gpu": {"requests": 3}}"#).expect("counts");
    }
}
