//! Which whole numbers an input may hold.
//!
//! OpenVINO, and ONNX Runtime on NVIDIA GPUs, gather zeros from beyond the end of a table; OpenVINO computes INT64
//! in 32 bits besides. Both give an answer where ONNX demands an error. So what is known to be out of range is refused
//! before it runs. Checked are the inputs themselves, not what the graph makes of them.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::{Graph, Node};
use crate::dtype::DType;
use crate::error::BackendError;
use crate::tensor::Tensor;

/// Operations whose first output holds the numbers of their first input.
const PASSING_ON: &[&str] = &["Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"];

/// Types to which a `Cast` passes numbers on as they are, as ONNX numbers them: FLOAT, INT32, INT64 and DOUBLE. What a narrower
/// one (BOOL, UINT8) makes of a number may be an index though the number is none.
const WIDE: &[i64] = &[1, 6, 7, 11];

/// For each input the numbers that it may hold; `None` where there is nothing to check.
pub struct Ranges(Vec<Option<RangeInclusive<i64>>>);

impl Ranges {
    /// `inputs` are names and types, in order; `is_narrow`: INT64 is computed in 32 bits.
    pub fn of_graph(graph: &Graph, inputs: &[(&str, DType)], is_narrow: bool) -> Ranges {
        let whole = |dtype: DType| {
            (is_narrow && dtype == DType::Int64).then(|| i64::from(i32::MIN)..=i64::from(i32::MAX))
        };
        let mut ranges: Vec<_> = inputs.iter().map(|(_, dtype)| whole(*dtype)).collect();
        // Which tensors of the graph hold an input's own numbers.
        let mut holds: HashMap<&str, usize> =
            inputs.iter().enumerate().map(|(n, (name, _))| (*name, n)).collect();
        for node in &graph.node {
            let input = |place: usize| node.input.get(place).and_then(|it| holds.get(it.as_str()));
            if passes_on(node) {
                if let (Some(&n), Some(output)) = (input(0), node.output.first()) {
                    holds.insert(output, n);
                }
            } else if let (Some(&n), Some(length)) = (input(1), gathered(graph, node))
                && let Some(range) = ranges.get_mut(n)
            {
                let (low, high) =
                    range.as_ref().map_or((i64::MIN, i64::MAX), |it| (*it.start(), *it.end()));
                *range = Some(low.max(-length)..=high.min(length - 1));
            }
        }
        Ranges(ranges)
    }

    /// Are the numbers of `tensor`, input number `n`, within range?
    pub fn check(&self, n: usize, name: &str, tensor: &Tensor) -> Result<(), BackendError> {
        let Some(range) = self.0.get(n).and_then(Option::as_ref) else { return Ok(()) };
        let tensor = tensor.aligned();
        let outside = if let Some(numbers) = tensor.view::<i64>() {
            numbers.iter().copied().enumerate().find(|(_, it)| !range.contains(it))
        } else if let Some(numbers) = tensor.view::<i32>() {
            numbers.iter().map(|&it| it.into()).enumerate().find(|(_, it)| !range.contains(it))
        } else {
            None
        };
        match outside {
            None => Ok(()),
            Some((at, number)) => {
                let (low, high) = (range.start(), range.end());
                let reason = format!(
                    "input '{name}' holds {number} at element {at}, allowed are {low} to {high}"
                );
                Err(BackendError::Input { reason })
            }
        }
    }
}

fn passes_on(node: &Node) -> bool {
    let to = || node.attribute.iter().find(|it| it.name == "to").map(|it| it.i);
    match node.op_type.as_str() {
        "Cast" => to().is_some_and(|it| WIDE.contains(&it)),
        other => PASSING_ON.contains(&other),
    }
}

/// The length of the axis that a `Gather` picks from, if the table comes with the model.
fn gathered(graph: &Graph, node: &Node) -> Option<i64> {
    if node.op_type != "Gather" {
        return None;
    }
    let table = graph.initializer.iter().find(|it| Some(&it.name) == node.input.first())?;
    let axis = node.attribute.iter().find(|it| it.name == "axis").map_or(0, |it| it.i);
    let rank = i64::try_from(table.dims.len()).ok()?;
    let place = if axis < 0 { axis + rank } else { axis };
    table.dims.get(usize::try_from(place).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{Attribute, Weight};

    /// A table of 4 rows of 7, gathered from along `axis` with what `steps` make of input `ids`. A step is an operation,
    /// and for a `Cast` the number of its type.
    #[track_caller]
    fn check(dtype: DType, axis: i64, steps: &[&str], expect: Option<RangeInclusive<i64>>) {
        let mut at = "ids".to_owned();
        let mut node: Vec<Node> = Vec::new();
        for step in steps {
            let next = format!("{at}'");
            let (input, output) = (vec![at], vec![next.clone()]);
            let (op_type, to_type) = step.split_once(' ').unwrap_or((step, ""));
            let to = |it: i64| Attribute { name: "to".to_owned(), i: it };
            let attribute = to_type.parse().map(to).into_iter().collect();
            node.push(Node { input, output, op_type: op_type.to_owned(), attribute });
            at = next;
        }
        let attribute = vec![Attribute { name: "axis".to_owned(), i: axis }];
        let input = vec!["table".to_owned(), at];
        node.push(Node { input, output: vec![], op_type: "Gather".to_owned(), attribute });
        let table = Weight { dims: vec![4, 7], name: "table".to_owned() };
        let graph = Graph { node, initializer: vec![table], ..Graph::default() };
        let narrow = Ranges::of_graph(&graph, &[("ids", dtype)], true);
        assert_eq!(narrow.0, std::slice::from_ref(&expect));
        let wide = Ranges::of_graph(&graph, &[("ids", dtype)], false);
        let of_table = |it: &RangeInclusive<i64>| *it.end() < i64::from(i32::MAX);
        assert_eq!(wide.0, [expect.filter(of_table)]);
    }

    #[test]
    fn an_index_is_bound_by_its_table() {
        check(DType::Int64, 0, &[], Some(-4..=3));
        check(DType::Int32, 1, &[], Some(-7..=6));
        check(DType::Int64, -1, &["Cast 6", "Unsqueeze"], Some(-7..=6));
    }

    #[test]
    fn a_number_that_is_made_another_is_no_index() {
        let whole = Some(i64::from(i32::MIN)..=i64::from(i32::MAX));
        check(DType::Int64, 0, &["Cast 9", "Cast 7"], whole.clone());
        check(DType::Int64, 0, &["Cast 2"], whole);
    }

    #[test]
    fn a_number_that_is_computed_with_is_bound_by_its_type() {
        check(DType::Int64, 0, &["Add"], Some(i64::from(i32::MIN)..=i64::from(i32::MAX)));
        check(DType::Int32, 0, &["Add"], None);
        check(DType::Fp32, 0, &["Add"], None);
    }
}
