//! How the e-values of several stages become one.

use serde::{Deserialize, Serialize};

use crate::evidence::log_sum;

/// The e-values of the stages that are over.
///
/// Each stage has its own split, so its counts are judged for themselves; what they prove is
/// multiplied, as independent winnings are. But a version that fails only under more load would
/// first have to lose again what it won by being good before. So the stake is laid in parts: one
/// half at the start, the other in equal parts at the beginning of each later stage. The sum is an
/// e-value still, because when a part is laid is known beforehand; it costs a factor of two at
/// most against a fault that is there from the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stakes {
    closed: Vec<f64>,
}

impl Stakes {
    /// Ends a stage that brought so much.
    pub fn close(&mut self, log_e: f64) {
        self.closed.push(log_e);
    }

    /// ln of what all stages have brought so far, where the running one stands at `current` and
    /// there will be `stages` of them in all.
    pub fn log_e(&self, current: f64, stages: usize) -> f64 {
        let begun = self.closed.len() + 1;
        let stages = stages.max(begun);
        let mut parts = Vec::with_capacity(stages);
        let mut won = current;
        parts.push(stake(begun - 1, stages) + won);
        for (stage, log_e) in self.closed.iter().enumerate().rev() {
            won += log_e;
            parts.push(stake(stage, stages) + won);
        }
        // Parts that are still in hand.
        parts.extend((begun..stages).map(|stage| stake(stage, stages)));
        log_sum(&parts)
    }
}

/// ln of the part that is laid when a stage begins. They add up to one.
fn stake(stage: usize, stages: usize) -> f64 {
    match (stage, stages) {
        (_, ..=1) => 0.0,
        (0, _) => -std::f64::consts::LN_2,
        (_, more) => -std::f64::consts::LN_2 - ((more - 1) as f64).ln(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(closed: &[f64], current: f64, stages: usize, expected: f64) {
        let closed = closed.iter().map(|it| it.ln()).collect();
        let e = Stakes { closed }.log_e(current.ln(), stages).exp();
        assert!((e - expected).abs() < 1e-9 * expected.max(1.0), "{e} is not {expected}");
    }

    #[test]
    fn stakes_are_laid_in_parts() {
        check(&[], 1.0, 5, 1.0);
        check(&[], 8.0, 1, 8.0);
        // Half of it won eightfold, half in hand.
        check(&[], 8.0, 5, 4.5);
        check(&[8.0], 1.0, 5, 4.5);
        // 1/2 · 8 · 3 + 1/4 · 3 + 1/4.
        check(&[8.0], 3.0, 3, 13.0);
        check(&[8.0, 1.0], 3.0, 3, 12.0 + 0.75 + 0.75);
    }

    #[test]
    fn what_was_good_for_long_is_still_caught() {
        // As a product alone this would be 10⁻⁴.
        check(&[1e-6, 1e-6], 1e8, 3, 2.5e7 + 25.0 + 0.5e-4);
    }

    #[test]
    fn more_stages_than_planned_are_counted_all_the_same() {
        check(&[2.0, 2.0], 2.0, 0, 4.0 + 1.0 + 0.5);
    }
}
