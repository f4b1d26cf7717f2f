//! Logged requests, asked again: what came of it, and whether that is good enough.

use std::collections::BTreeMap;
use std::fmt;

use backend_api::{Signature, Tensor};
use serde::Serialize;

use crate::Ask;
use crate::agree::Tolerance;
use crate::answers::Answers;
use crate::refusal::{Refusal, Rule};
use crate::tensors::in_order;

/// Different reasons that are told apart: an error's words may name what nobody else has.
const REASONS_MAX: usize = 8;

/// Failed requests that are named.
const NAMED_MAX: usize = 5;

/// A request that was logged, and its answer.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its caller's name for it, or the log's.
    pub id: String,
    /// All of them, in any order.
    pub inputs: Vec<(String, Tensor)>,
    /// Those that are in the log.
    pub outputs: Vec<(String, Tensor)>,
}

/// From when on answers are not good enough. What fails, lacks an output or is no number any more never is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Share of the rows that may have another class.
    pub flips_max: Option<f64>,
    /// How far a number may be from the logged one.
    pub difference_max: Option<f64>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Requests that were asked.
    pub asked: usize,
    /// Those that were not, by the reason.
    pub not_asked: BTreeMap<String, usize>,
    /// Those that were not answered, though they were when they were logged.
    pub failed: usize,
    /// By what was said of them.
    pub errors: BTreeMap<String, usize>,
    /// The first of them.
    pub failed_ids: Vec<String>,
    /// What ended it before all that there is was asked.
    pub cut: Option<String>,
    /// The answers of the others.
    pub compared: Answers,
}

impl Replay {
    /// A request that cannot be asked.
    pub fn skip(&mut self, why: &str) {
        count(&mut self.not_asked, why);
    }

    /// Asks, and compares.
    pub fn ask(
        &mut self,
        logged: &Logged,
        (signature, ask): (&Signature, &mut Ask<'_>),
        tolerance: Tolerance,
    ) {
        self.asked += 1;
        let given = in_order(signature, logged.inputs.clone()).and_then(|it| ask(&it));
        match given {
            Ok(given) => {
                let names = signature.outputs.iter().map(|it| it.name.to_string());
                let given: Vec<(String, Tensor)> = names.zip(given).collect();
                self.compared.add(&logged.id, (&logged.outputs, &given), tolerance);
            }
            Err(error) => {
                self.failed += 1;
                count(&mut self.errors, &error);
                if self.failed_ids.len() < NAMED_MAX {
                    self.failed_ids.push(logged.id.clone());
                }
            }
        }
    }

    /// Why the answers are not good enough, if they are not.
    pub fn fault(&self, limits: &Limits) -> Option<String> {
        let Replay { asked, failed, compared, .. } = self;
        let mut faults = Vec::new();
        if *failed > 0 {
            let words = self.errors.keys().next().map_or("", String::as_str);
            let id = self.failed_ids.first().map_or("", String::as_str);
            faults.push(format!("{failed} of {asked} requests fail, {id} so: {words}"));
        }
        if compared.not_comparable > 0 {
            let count = compared.not_comparable;
            faults.push(format!("{count} outputs are missing, or of another shape or type"));
        }
        if compared.rows_not_finite > 0 {
            let count = compared.rows_not_finite;
            faults.push(format!("{count} rows are NaN or infinite where a number was"));
        }
        if let Some(most) = limits.flips_max.filter(|most| compared.flips() > *most) {
            let (flips, rows) = (compared.rows_flipped, compared.rows);
            let share = compared.flips();
            faults.push(format!(
                "{flips} of {rows} rows ({share:.4}) have another class, and {most} of them may"
            ));
        }
        let apart = compared.difference_max();
        if let Some(most) = limits.difference_max.filter(|most| apart > *most) {
            faults.push(format!("a number differs by {apart:.3e}, and {most:.3e} is allowed"));
        }
        if faults.is_empty() {
            return None;
        }
        let worst = compared.worst.examples().first().map(|it| {
            let (id, row, output) = (&it.id, it.row, &it.output);
            format!(": request {id} row {row}, '{output}' was {}, is {}", it.was, it.is)
        });
        Some(format!("{}{}", faults.join("; "), worst.unwrap_or_default()))
    }

    /// The same as a version's refusal.
    pub fn check(&self, limits: &Limits) -> Result<(), Refusal> {
        let fault = self.fault(limits);
        fault.map_or(Ok(()), |fault| {
            let reason = format!("logged requests are answered otherwise: {fault}");
            Err(Refusal::new(Rule::Replay, reason))
        })
    }
}

fn count(counts: &mut BTreeMap<String, usize>, why: &str) {
    let is_known = counts.contains_key(why) || counts.len() < REASONS_MAX;
    let why = if is_known { why } else { "for other reasons" };
    *counts.entry(why.to_owned()).or_default() += 1;
}

impl fmt::Display for Replay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answers { rows, rows_flipped, rows_differ, .. } = self.compared;
        let apart = self.compared.difference_max();
        write!(
            out,
            "{} requests, {rows} rows, {rows_flipped} of another class, {rows_differ} off, largest \
             difference {apart:.3e}",
            self.asked
        )
    }
}

#[cfg(test)]
mod tests {
    use backend_api::{DType, Dim, TensorSpec};

    use super::*;

    fn spec(name: &str, width: usize) -> TensorSpec {
        let dims = vec![Dim::Rows, Dim::Fixed(width)];
        TensorSpec { name: name.into(), dtype: DType::Fp32, dims, quantization: None }
    }

    fn floats(elements: &[f32]) -> Tensor {
        Tensor::from_elements(&[1, elements.len()], elements).expect("fits")
    }

    fn logged(id: &str, y: [f32; 2]) -> Logged {
        let named = |name: &str, it: &[f32]| vec![(name.to_owned(), floats(it))];
        Logged { id: id.to_owned(), inputs: named("x", &y), outputs: named("y", &y) }
    }

    /// Asks for what was logged a model that gives `answer` of it.
    fn replayed(answer: impl Fn(&[f32]) -> Result<Vec<f32>, String>) -> Replay {
        let signature = Signature { inputs: vec![spec("x", 2)], outputs: vec![spec("y", 2)] };
        let mut ask = |inputs: &[Tensor]| {
            let x = inputs[0].view::<f32>().expect("floats").to_vec();
            Ok(vec![floats(&answer(&x)?)])
        };
        let mut replay = Replay::default();
        for (id, y) in [("a", [1.0, 2.0]), ("b", [3.0, 0.5])] {
            replay.ask(&logged(id, y), (&signature, &mut ask), Tolerance::default());
        }
        replay
    }

    const NONE: Limits = Limits { flips_max: None, difference_max: None };
    const FLIPS: Limits = Limits { flips_max: Some(0.25), difference_max: None };
    const FAR: Limits = Limits { flips_max: None, difference_max: Some(0.25) };

    #[test]
    fn what_answers_alike_is_good() {
        let replay = replayed(|x| Ok(x.to_vec()));
        assert_eq!(replay.fault(&Limits { flips_max: Some(0.0), difference_max: Some(0.0) }), None);
        let words = "2 requests, 2 rows, 0 of another class, 0 off, largest difference 0.000e0";
        assert_eq!(replay.to_string(), words);
    }

    #[test]
    fn classes_and_numbers_may_be_others_within_limits() {
        let replay = replayed(|x| Ok(vec![x[0] + 1.5, x[1]]));
        assert_eq!(replay.fault(&NONE), None);
        let words = replay.fault(&FLIPS).expect("one of two");
        assert!(
            words.starts_with("1 of 2 rows (0.5000) have another class, and 0.25 of them"),
            "{words}"
        );
        assert!(words.ends_with(": request a row 0, 'y' was 1, 2, is 2.5, 2"), "{words}");
        let refusal = replay.check(&FAR).expect_err("by 1.5");
        assert_eq!((refusal.rule, refusal.may_pass), (Rule::Replay, false));
        assert!(
            refusal.reason.contains("a number differs by 1.500e0, and 2.500e-1"),
            "{}",
            refusal.reason
        );
    }

    #[test]
    fn what_fails_or_is_no_number_is_never_good() {
        let failing = |x: &[f32]| if x[0] > 2.0 { Err("no".to_owned()) } else { Ok(x.to_vec()) };
        let replay = replayed(failing);
        assert_eq!((replay.failed, replay.failed_ids.as_slice()), (1, &["b".to_owned()][..]));
        assert_eq!(replay.fault(&NONE).as_deref(), Some("1 of 2 requests fail, b so: no"));
        let words = replayed(|x| Ok(vec![x[0], f32::NAN])).fault(&NONE).expect("no numbers");
        assert!(words.starts_with("2 rows are NaN or infinite where a number was"), "{words}");
        let words = replayed(|x| Ok(vec![x[0]])).fault(&NONE).expect("another shape");
        assert!(words.contains("'y' was FP32 [1,2], is FP32 [1,1]"), "{words}");
        // Takes other inputs.
        let signature = Signature { inputs: vec![spec("z", 2)], outputs: vec![spec("y", 2)] };
        let mut replay = Replay::default();
        let mut ask = |_: &[Tensor]| Ok(Vec::new());
        replay.ask(&logged("a", [1.0, 2.0]), (&signature, &mut ask), Tolerance::default());
        assert_eq!(replay.errors.keys().collect::<Vec<_>>(), ["input 'z' is missing"]);
    }

    #[test]
    fn reasons_are_few() {
        let mut replay = Replay::default();
        (0..100).for_each(|it| replay.skip(&format!("reason {it}")));
        assert_eq!(replay.not_asked.len(), REASONS_MAX + 1);
        assert_eq!(replay.not_asked.values().sum::<usize>(), 100);
    }
}
