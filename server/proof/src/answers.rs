//! Answers held against those that were logged. Pure.
//!
//! Floats may differ by the tolerance, everything else is a label: alike or not. A row's class is its label,
//! or the place of the largest of several floats.

use std::collections::BTreeMap;

use backend_api::Tensor;
use serde::Serialize;

use crate::agree::{Tolerance, Values, values};
use crate::worst::{Example, What, Worst};

/// A tensor under its name.
pub type Named = (String, Tensor);

/// All outputs of all answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answers {
    /// By name.
    pub outputs: BTreeMap<String, OutputAnswers>,
    /// Rows that were compared.
    pub rows: usize,
    /// Of which any output differs by more than the tolerance.
    pub rows_differ: usize,
    /// Of which any output has another class.
    pub rows_flipped: usize,
    /// Rows with NaN or infinity where the logged answer has a number.
    pub rows_not_finite: usize,
    /// Answers without a logged output, or with one of another shape or type.
    pub not_comparable: usize,
    /// Those that differ most.
    pub worst: Worst,
    /// Of the answer that is being looked at.
    #[serde(skip)]
    open: Vec<Row>,
}

/// One output.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OutputAnswers {
    /// Rows that were compared.
    pub rows: usize,
    /// Of which it differs by more than the tolerance.
    pub rows_differ: usize,
    /// Largest distance of two numbers.
    pub max_abs: f64,
    /// Mean distance.
    pub mean_abs: f64,
    /// Largest distance in proportion to the logged number; where that is 0 there is none.
    pub max_rel: f64,
    /// Mean of those.
    pub mean_rel: f64,
    /// Rows of another class. `None`: it has none.
    pub flips: Option<usize>,
    /// Elements that are NaN or infinite where the logged one is a number.
    pub not_finite: usize,
    /// Answers without it, or of another shape or type.
    pub not_comparable: usize,
    #[serde(skip)]
    absolute: Sum,
    #[serde(skip)]
    relative: Sum,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    sum: f64,
    count: usize,
}

/// What a row of an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Row {
    differs: bool,
    flipped: bool,
    not_finite: bool,
}

/// A row of an output.
struct Compared {
    row: Row,
    has_class: bool,
    /// Largest distance.
    apart: f64,
}

impl Answers {
    /// An answer to the request of that id: as it was logged, and as it is, each by the outputs' names.
    pub fn add(&mut self, id: &str, (was, is): (&[Named], &[Named]), tolerance: Tolerance) {
        for (name, was) in was {
            let is = is.iter().find(|it| it.0 == *name).map(|it| &it.1);
            self.output((id, name), (was, is), tolerance);
        }
        for row in self.open.drain(..) {
            self.rows += 1;
            self.rows_differ += usize::from(row.differs);
            self.rows_flipped += usize::from(row.flipped);
            self.rows_not_finite += usize::from(row.not_finite);
        }
    }

    fn output(
        &mut self,
        (id, name): (&str, &str),
        (was, is): (&Tensor, Option<&Tensor>),
        tolerance: Tolerance,
    ) {
        let rows = was.shape().dims().first().copied().unwrap_or(1).max(1);
        self.open.resize(self.open.len().max(rows), Row::default());
        let output = self.outputs.entry(name.to_owned()).or_default();
        output.rows += rows;
        let Some(is) = is.filter(|it| it.dtype() == was.dtype() && it.shape() == was.shape())
        else {
            output.not_comparable += 1;
            output.rows_differ += rows;
            self.not_comparable += 1;
            self.open.iter_mut().for_each(|it| it.differs = true);
            let got = is.map(|it| format!("{} {}", it.dtype(), it.shape()));
            let example = Example {
                id: id.to_owned(),
                output: name.to_owned(),
                row: 0,
                what: What::Shape,
                was: format!("{} {}", was.dtype(), was.shape()),
                is: got.unwrap_or_else(|| "not there".to_owned()),
                difference: 0.0,
            };
            self.worst.add(What::Shape, 0.0, || example);
            return;
        };
        let (was, is) = (values(was), values(is));
        let width = (was.len() / rows).max(1);
        for (number, open) in self.open.iter_mut().enumerate().take(rows) {
            let at = number * width..((number + 1) * width).min(was.len());
            let compared = output.row((&was, &is), at.clone(), tolerance);
            open.differs |= compared.row.differs;
            open.flipped |= compared.row.flipped;
            open.not_finite |= compared.row.not_finite;
            let what = match compared.row {
                Row { not_finite: true, .. } => What::NotFinite,
                Row { flipped: true, .. } => What::Class,
                Row { differs: true, .. } => What::Difference,
                Row { .. } => continue,
            };
            self.worst.add(what, compared.apart, || Example {
                id: id.to_owned(),
                output: name.to_owned(),
                row: number,
                what,
                was: was.shown(at.clone()),
                is: is.shown(at.clone()),
                difference: compared.apart,
            });
        }
        output.mean_abs = output.absolute.mean();
        output.mean_rel = output.relative.mean();
    }

    /// Of the rows, how many differ. `None`: there were none.
    pub fn share(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.rows_differ as f64 / self.rows as f64)
    }

    /// Of the rows, how many have another class; 0 if there are none.
    pub fn flips(&self) -> f64 {
        self.rows_flipped as f64 / self.rows.max(1) as f64
    }

    /// Largest distance of two numbers, in any output.
    pub fn difference_max(&self) -> f64 {
        self.outputs.values().fold(0.0, |most, it| most.max(it.max_abs))
    }
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn mean(self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

impl OutputAnswers {
    fn row(
        &mut self,
        (was, is): (&Values, &Values),
        at: std::ops::Range<usize>,
        tolerance: Tolerance,
    ) -> Compared {
        let compared = match (was, is) {
            (Values::Floats(was), Values::Floats(is)) => {
                self.floats((&was[at.clone()], &is[at]), tolerance)
            }
            (Values::Whole(was), Values::Whole(is)) => label(was[at.clone()] == is[at]),
            (Values::Words(was), Values::Words(is)) => label(was[at.clone()] == is[at]),
            // Of one type, both are of one kind.
            (Values::Floats(_) | Values::Whole(_) | Values::Words(_), _) => label(false),
        };
        self.rows_differ += usize::from(compared.row.differs);
        if compared.has_class {
            *self.flips.get_or_insert_default() += usize::from(compared.row.flipped);
        }
        compared
    }

    fn floats(&mut self, (was, is): (&[f64], &[f64]), tolerance: Tolerance) -> Compared {
        let (mut row, mut most) = (Row::default(), 0.0_f64);
        for (was, is) in was.iter().zip(is) {
            if was == is || (was.is_nan() && is.is_nan()) {
                if was.is_finite() {
                    self.measured(0.0, *was);
                }
                continue;
            }
            let apart = (was - is).abs();
            if !apart.is_finite() {
                // One of them is no number, or they are beyond all numbers apart.
                let is_new = was.is_finite() && !is.is_finite();
                self.not_finite += usize::from(is_new);
                row.not_finite |= is_new;
                row.differs = true;
                continue;
            }
            self.measured(apart, *was);
            most = most.max(apart);
            row.differs |= apart > tolerance.absolute + tolerance.relative * was.abs();
        }
        let (before, after) = (largest(was), largest(is));
        row.flipped = before != after;
        Compared { row, has_class: before.is_some() || after.is_some(), apart: most }
    }

    fn measured(&mut self, apart: f64, was: f64) {
        self.max_abs = self.max_abs.max(apart);
        self.absolute.add(apart);
        if was != 0.0 {
            let share = apart / was.abs();
            self.max_rel = self.max_rel.max(share);
            self.relative.add(share);
        }
    }
}

fn label(is_same: bool) -> Compared {
    let row = Row { differs: !is_same, flipped: !is_same, not_finite: false };
    Compared { row, has_class: true, apart: 0.0 }
}

/// Where the largest of several numbers stands.
fn largest(all: &[f64]) -> Option<usize> {
    let numbers = all.iter().enumerate().filter(|it| !it.1.is_nan());
    let best = numbers.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.filter(|_| all.len() > 1).map(|it| it.0)
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
