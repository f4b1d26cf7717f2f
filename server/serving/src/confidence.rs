//! How sure a model is of an answer: the least probability, over its rows, that the likeliest class of a
//! row has. Pure.

use server_base::{Kept, LowConfidence};

use crate::compare::floats;

/// Probabilities of an answer that are looked at: those of its first rows.
const ELEMENTS_MAX: usize = 1 << 16;

/// Is the model less sure of some row than it should be? An output that is not there, or no number, says
/// nothing; one that is NaN is no certainty.
pub(crate) fn is_low(outputs: &Kept, rule: &LowConfidence) -> bool {
    let tensor = outputs.get(rule.place).and_then(|it| it.tensor());
    let Some(tensor) = tensor else { return false };
    let Some(numbers) = floats(&tensor, ELEMENTS_MAX) else { return false };
    let width = tensor.shape().dims().get(1..).map_or(1, |it| it.iter().product()).max(1);
    let least = f64::from(rule.below.probability());
    numbers.chunks(width).any(|row| {
        let sure = match row {
            // Of the second of two classes.
            [one] => one.max(1.0 - one),
            row => row.iter().copied().fold(f64::NAN, f64::max),
        };
        sure.is_nan() || sure < least
    })
}

#[cfg(test)]
mod tests {
    use backend_api::Tensor;
    use server_base::Share;

    use super::*;

    #[track_caller]
    fn check(dims: &[usize], elements: &[f32], expect: bool) {
        let below = Share::new(0.6).expect("a share");
        let rule = LowConfidence { output: "p".to_owned(), place: 0, below };
        let tensor = Tensor::from_elements(dims, elements).expect("elements");
        assert_eq!(is_low(&[tensor].into(), &rule), expect, "{elements:?}");
    }

    #[test]
    fn one_unsure_row_is_enough() {
        check(&[1, 3], &[0.2, 0.7, 0.1], false);
        check(&[1, 3], &[0.2, 0.6, 0.2], false);
        check(&[1, 3], &[0.3, 0.5, 0.2], true);
        check(&[2, 3], &[0.2, 0.7, 0.1, 0.3, 0.5, 0.2], true);
        check(&[2, 3], &[0.2, 0.7, 0.1, 0.9, 0.0, 0.1], false);
        check(&[0, 3], &[], false);
    }

    #[test]
    fn a_single_number_is_the_probability_of_one_of_two() {
        check(&[2], &[0.7, 0.3], false);
        check(&[2, 1], &[0.95, 0.5], true);
    }

    #[test]
    fn what_is_no_number_is_no_certainty_and_other_types_say_nothing() {
        check(&[1, 2], &[f32::NAN, f32::NAN], true);
        check(&[1, 2], &[f32::NAN, 0.9], false);
        let rule = |place| LowConfidence { output: "p".to_owned(), place, below: Share::ALL };
        let labels = [Tensor::from_elements(&[1], &[0_i64]).expect("elements")].into();
        assert!(!is_low(&labels, &rule(0)) && !is_low(&labels, &rule(1)));
    }
}
