//! Labels of one row: of those that were recorded in time the last one counts, and only a prediction says what
//! is in time.

use smallvec::SmallVec;

use crate::label::Given;

/// Labels of a row that are remembered: for each of the versions that answer it another one may count.
const KEPT_MAX: usize = 4;

/// A label, and when it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dated {
    pub(crate) us: i64,
    pub(crate) value: Given,
}

/// What a label is to those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It counts, or will for all that is known.
    Counts,
    /// It is one of them.
    Known,
    /// A later one counts.
    Before,
    /// The windows of all predictions were over by then.
    Late,
}

/// See the module. In the order in which they were recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowLabels(SmallVec<[Dated; 1]>);

impl RowLabels {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that counts for a prediction whose labels count until then.
    pub(crate) fn before(&self, until_us: i64) -> Option<&Given> {
        self.0.iter().rev().find(|it| it.us < until_us).map(|it| &it.value)
    }

    /// From now on there is that one alone.
    pub(crate) fn replace(&mut self, label: Dated) {
        self.0.clear();
        self.0.push(label);
    }

    /// What a label would be. `untils`: until when those of the row's predictions count.
    pub(crate) fn place(&self, label: &Dated, untils: &[i64]) -> Place {
        let place = self.of(label);
        if place.checked_sub(1).and_then(|it| self.0.get(it)).is_some_and(|it| it == label) {
            return Place::Known;
        }
        let next = self.0.get(place).map(|it| it.us);
        let counts = |until: &i64| label.us < *until && next.is_none_or(|it| it >= *until);
        if untils.is_empty() {
            if next.is_none() { Place::Counts } else { Place::Before }
        } else if untils.iter().any(counts) {
            Place::Counts
        } else if untils.iter().all(|it| label.us >= *it) {
            Place::Late
        } else {
            Place::Before
        }
    }

    /// Remembers a label. Of too many the oldest goes that counts for none; the first of all is kept the longest,
    /// since whatever a prediction that is still to come says, it is the likeliest to be in time.
    pub(crate) fn insert(&mut self, label: Dated, untils: &[i64]) {
        self.0.insert(self.of(&label), label);
        if self.0.len() <= KEPT_MAX {
            return;
        }
        let counts = |place: usize| {
            let of = |until: &i64| self.0.iter().rposition(|it| it.us < *until) == Some(place);
            untils.iter().any(of)
        };
        let spare = (1..self.0.len()).find(|it| !counts(*it)).unwrap_or(0);
        self.0.remove(spare);
    }

    /// Bytes outside of it.
    pub(crate) fn bytes(&self) -> usize {
        let text = |it: &Dated| match &it.value {
            Given::Text(it) => it.len(),
            Given::Bool(_) | Given::Number(_) => 0,
        };
        let list = if self.0.spilled() { self.0.capacity() * size_of::<Dated>() } else { 0 };
        list + self.0.iter().map(text).sum::<usize>()
    }

    /// Where it belongs: after those before it, and after its like.
    fn of(&self, label: &Dated) -> usize {
        self.0.partition_point(|it| {
            it.us < label.us || (it.us == label.us && rank(&it.value) <= rank(&label.value))
        })
    }
}

/// Of two labels of one moment the same counts in whichever order they come.
fn rank(value: &Given) -> String {
    value.shown()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(us: i64) -> Dated {
        Dated { us, value: Given::Number(us as f64) }
    }

    fn of(all: &[i64]) -> RowLabels {
        let mut labels = RowLabels::default();
        all.iter().for_each(|it| labels.insert(label(*it), &[]));
        labels
    }

    #[test]
    fn a_label_counts_for_those_that_it_is_in_time_for() {
        let labels = of(&[30, 10]);
        assert_eq!(labels.before(10), None);
        assert_eq!(labels.before(11), Some(&Given::Number(10.0)));
        assert_eq!(labels.before(31), Some(&Given::Number(30.0)));
        for (us, untils, expect) in [
            (30, &[][..], Place::Known),
            (10, &[5], Place::Known),
            (40, &[], Place::Counts),
            (20, &[], Place::Before),
            (20, &[25], Place::Counts),
            (20, &[100, 25], Place::Counts),
            (20, &[100], Place::Before),
            (20, &[20, 15], Place::Late),
            (20, &[20, 100], Place::Before),
        ] {
            assert_eq!(labels.place(&label(us), untils), expect, "{us} {untils:?}");
        }
    }

    #[test]
    fn a_few_are_remembered_and_those_that_count() {
        let left = |labels: &RowLabels| labels.0.iter().map(|it| it.us).collect::<Vec<_>>();
        assert_eq!(left(&of(&[1, 2, 3, 4, 5, 6])), [1, 4, 5, 6], "the first, and the last ones");
        let mut labels = of(&[1, 2, 3, 4]);
        labels.insert(label(5), &[3]);
        assert_eq!(left(&labels), [1, 2, 4, 5]);
        labels.insert(label(6), &[3, 5, 6, 7]);
        assert_eq!(left(&labels), [2, 4, 5, 6], "each of the others counts");
    }

    #[test]
    fn of_one_moment_the_same_counts_whichever_comes_first() {
        let all = [false, true].map(|it| Dated { us: 1, value: Given::Bool(it) });
        let mut orders = [RowLabels::default(), RowLabels::default()];
        for n in 0..2 {
            orders[0].insert(all[n].clone(), &[]);
            orders[1].insert(all[1 - n].clone(), &[]);
        }
        assert_eq!(orders[0].0, orders[1].0);
        assert_eq!(orders[0].place(&all[0], &[2]), Place::Known);
        assert_eq!(orders[0].place(&all[1], &[2]), Place::Known);
    }
}
