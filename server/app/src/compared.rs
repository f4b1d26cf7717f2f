//! Answers held against logged ones, as JSON has them. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Within which numbers are alike: `atol + rtol · |logged|`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    pub(crate) atol: f64,
    pub(crate) rtol: f64,
}

/// All outputs of all answers.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Compared {
    pub(crate) outputs: BTreeMap<String, Output>,
    /// Rows, and those of which any output differs.
    rows: usize,
    rows_differ: usize,
    /// Of the answer that is being looked at.
    #[serde(skip)]
    differs: Vec<bool>,
}

/// One output.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Output {
    pub(crate) rows: usize,
    pub(crate) rows_differ: usize,
    pub(crate) max_abs: f64,
    sum_abs: f64,
    elements: usize,
    /// Rows whose label, or largest number, is another. `None`: it has neither.
    pub(crate) flips: Option<usize>,
    /// Answers without it, or of another shape or type, and logged ones that JSON cannot say.
    not_comparable: usize,
}

impl Output {
    pub(crate) fn mean_abs(&self) -> f64 {
        self.sum_abs / self.elements.max(1) as f64
    }
}

impl Compared {
    /// An output of the answer that is being looked at: as it was logged, and as it is.
    pub(crate) fn add(
        &mut self,
        name: &str,
        (was, is): (Option<&Value>, Option<&Value>),
        tolerance: Tolerance,
    ) {
        let output = self.outputs.entry(name.to_owned()).or_default();
        let Some(was) = was else {
            output.not_comparable += 1;
            return;
        };
        let elements = was["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows =
            was["shape"][0].as_u64().and_then(|it| usize::try_from(it).ok()).unwrap_or(1).max(1);
        self.differs.resize(self.differs.len().max(rows), false);
        output.rows += rows;
        let alike =
            is.filter(|is| is["shape"] == was["shape"] && is["datatype"] == was["datatype"]);
        let given =
            alike.and_then(|it| it["data"].as_array()).filter(|it| it.len() == elements.len());
        let Some(given) = given else {
            output.not_comparable += 1;
            output.rows_differ += rows;
            self.differs.fill(true);
            return;
        };
        let width = (elements.len() / rows).max(1);
        let datatype = was["datatype"].as_str().unwrap_or_default();
        let is_label = !datatype.starts_with("FP") && !datatype.starts_with("BF");
        for (row, (was, is)) in elements.chunks(width).zip(given.chunks(width)).enumerate() {
            if output.row((was, is), is_label, tolerance)
                && let Some(differs) = self.differs.get_mut(row)
            {
                *differs = true;
            }
        }
    }

    /// The answer is complete.
    pub(crate) fn close(&mut self) {
        self.rows += self.differs.len();
        self.rows_differ += self.differs.iter().filter(|it| **it).count();
        self.differs.clear();
    }

    /// Of the rows, how many differ. `None`: there were none.
    pub(crate) fn share(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.rows_differ as f64 / self.rows as f64)
    }
}

impl Output {
    /// Does it differ?
    fn row(
        &mut self,
        (was, is): (&[Value], &[Value]),
        is_label: bool,
        tolerance: Tolerance,
    ) -> bool {
        let numbers = |it: &[Value]| it.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
        let mut differs = was != is;
        let (mut before, mut after) = (None, None);
        if let (false, Some(was), Some(is)) = (is_label, numbers(was), numbers(is)) {
            differs = false;
            for (was, is) in was.iter().zip(&is) {
                let apart = (was - is).abs();
                self.max_abs = self.max_abs.max(apart);
                self.sum_abs += apart;
                self.elements += 1;
                differs |= apart > tolerance.atol + tolerance.rtol * was.abs();
            }
            (before, after) = (largest(&was), largest(&is));
        }
        self.rows_differ += usize::from(differs);
        if is_label || before.is_some() {
            let flipped = if is_label { differs } else { before != after };
            *self.flips.get_or_insert_default() += usize::from(flipped);
        }
        differs
    }
}

/// Where the largest of several numbers stands.
fn largest(all: &[f64]) -> Option<usize> {
    let best = all.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.filter(|_| all.len() > 1).map(|it| it.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Rows that differ, class flips, and the largest difference.
    #[track_caller]
    fn check(was: Value, is: Option<Value>, expect: (usize, Option<usize>, f64)) {
        let mut compared = Compared::default();
        compared.add("y", (Some(&was), is.as_ref()), Tolerance { atol: 0.01, rtol: 0.1 });
        compared.close();
        let output = &compared.outputs["y"];
        assert_eq!((output.rows_differ, output.flips, output.max_abs), expect);
        assert_eq!(compared.share(), Some(expect.0 as f64 / output.rows as f64));
    }

    #[test]
    fn numbers_may_differ_a_little_and_labels_not_at_all() {
        let floats = |it: [f64; 4]| json!({ "shape": [2, 2], "datatype": "FP32", "data": it });
        let was = || floats([0.25, 0.75, 1.0, 0.0]);
        check(was(), Some(was()), (0, Some(0), 0.0));
        check(was(), Some(floats([0.25, 0.75, 1.0625, 0.0])), (0, Some(0), 0.0625));
        check(was(), Some(floats([0.75, 0.25, 1.0, 0.0])), (1, Some(1), 0.5));
        let labels = |it: [i64; 2]| json!({ "shape": [2], "datatype": "INT64", "data": it });
        check(labels([1, 2]), Some(labels([1, 3])), (1, Some(1), 0.0));
        let single = |it: f64| json!({ "shape": [1], "datatype": "FP32", "data": [it] });
        check(single(0.5), Some(single(0.5)), (0, None, 0.0));
    }

    #[test]
    fn what_is_not_there_or_of_another_shape_differs() {
        let was = json!({ "shape": [3], "datatype": "FP32", "data": [0.5, 1.5, 2.5] });
        check(was.clone(), None, (3, None, 0.0));
        let other = json!({ "shape": [1, 3], "datatype": "FP32", "data": [0.5, 1.5, 2.5] });
        check(was, Some(other), (3, None, 0.0));
    }

    #[test]
    fn a_row_differs_once_however_many_outputs_do() {
        let mut compared = Compared::default();
        let value = |it: f64| json!({ "shape": [1], "datatype": "FP32", "data": [it] });
        for name in ["a", "b"] {
            let tolerance = Tolerance { atol: 0.0, rtol: 0.0 };
            compared.add(name, (Some(&value(1.5)), Some(&value(2.5))), tolerance);
        }
        compared.close();
        assert_eq!((compared.rows, compared.rows_differ), (1, 1));
    }
}
