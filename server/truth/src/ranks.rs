//! The area under a ROC curve, in room that does not grow with the rows.

use serde::{Deserialize, Serialize};

use crate::tally::Way;

/// Bins of scores from 0 to 1.
const BINS: usize = 512;

/// Rows of a class and of all others, by score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ranks {
    /// Empty until the first row.
    bins: Vec<[u32; 2]>,
}

impl Ranks {
    pub(crate) fn count(&mut self, score: f64, is: bool, way: Way) {
        if self.bins.is_empty() {
            self.bins = vec![[0; 2]; BINS];
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 511")]
        let bin = ((score.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1);
        let cell = self.bins.get_mut(bin).and_then(|it| it.get_mut(usize::from(is)));
        if let Some(cell) = cell {
            *cell = match way {
                Way::In => cell.saturating_add(1),
                Way::Out => cell.saturating_sub(1),
            };
        }
    }

    pub(crate) fn merge(&mut self, other: &Ranks) {
        if self.bins.is_empty() {
            self.bins.clone_from(&other.bins);
            return;
        }
        for (ours, theirs) in self.bins.iter_mut().zip(&other.bins) {
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                *ours = ours.saturating_add(*theirs);
            }
        }
    }

    /// The chance that a row of the class has a higher score than one that is not, and by how much
    /// that may be off: of two rows in one bin nobody knows which is higher, so they count half, and
    /// half of their share is the most that can be wrong.
    pub(crate) fn auc(&self) -> Option<(f64, f64)> {
        let (mut below, mut won, mut tied, mut of) = (0.0, 0.0, 0.0, 0.0);
        for [others, ours] in &self.bins {
            let (others, ours) = (f64::from(*others), f64::from(*ours));
            won += ours * below;
            tied += ours * others;
            below += others;
            of += ours;
        }
        let pairs = below * of;
        (pairs > 0.0).then(|| ((won + tied / 2.0) / pairs, tied / 2.0 / pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f64, bool)]) -> Ranks {
        let mut ranks = Ranks::default();
        rows.iter().for_each(|(score, is)| ranks.count(*score, *is, Way::In));
        ranks
    }

    #[test]
    fn the_area_is_that_of_pairs() {
        assert_eq!(
            of(&[(0.9, true), (0.8, false), (0.7, true), (0.1, false)]).auc(),
            Some((0.75, 0.0))
        );
        assert_eq!(of(&[(0.5, true), (0.5, false)]).auc(), Some((0.5, 0.5)), "nobody knows");
        assert_eq!(of(&[(0.5, true)]).auc(), None, "nothing to compare with");
        assert_eq!(Ranks::default().auc(), None);
    }

    #[test]
    fn rows_go_again_and_add_up() {
        let rows = [(0.9, true), (0.8, false), (0.7, true), (0.1, false)];
        let mut ranks = of(&rows);
        ranks.count(0.2, true, Way::In);
        ranks.count(0.2, true, Way::Out);
        assert_eq!(ranks.auc(), of(&rows).auc());
        let mut both = of(&rows[..2]);
        both.merge(&of(&rows[2..]));
        assert_eq!(both.auc(), of(&rows).auc());
    }
}
