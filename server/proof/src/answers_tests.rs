use super::*;

const TOLERANCE: Tolerance = Tolerance { absolute: 0.01, relative: 0.1 };

fn floats(dims: &[usize], elements: &[f32]) -> Tensor {
    Tensor::from_elements(dims, elements).expect("fits")
}

fn named(tensor: Tensor) -> Vec<(String, Tensor)> {
    vec![("y".to_owned(), tensor)]
}

fn compared(was: Tensor, is: Option<Tensor>) -> Answers {
    let mut answers = Answers::default();
    let is = is.map(named).unwrap_or_default();
    answers.add("id", (&named(was), &is), TOLERANCE);
    answers
}

/// Rows that differ, class flips, and the largest difference.
#[track_caller]
fn check(was: Tensor, is: Option<Tensor>, expect: (usize, Option<usize>, f64)) {
    let answers = compared(was, is);
    let output = &answers.outputs["y"];
    assert_eq!((output.rows_differ, output.flips, output.max_abs), expect);
    assert_eq!(answers.share(), Some(expect.0 as f64 / output.rows as f64));
    assert_eq!(answers.flips(), expect.1.unwrap_or(0) as f64 / output.rows as f64);
}

#[test]
fn numbers_may_differ_a_little_and_labels_not_at_all() {
    let pairs = |it: [f32; 4]| floats(&[2, 2], &it);
    let was = || pairs([0.25, 0.75, 1.0, 0.0]);
    check(was(), Some(was()), (0, Some(0), 0.0));
    check(was(), Some(pairs([0.25, 0.75, 1.0625, 0.0])), (0, Some(0), 0.0625));
    check(was(), Some(pairs([0.75, 0.25, 1.0, 0.0])), (1, Some(1), 0.5));
    let labels = |it: &[i64]| Tensor::from_elements(&[it.len()], it).expect("fits");
    check(labels(&[1, 2]), Some(labels(&[1, 3])), (1, Some(1), 0.0));
    let words = |it: &[&str]| Tensor::from_strings(&[it.len()], it).expect("fits");
    check(words(&["a", "b"]), Some(words(&["b", "b"])), (1, Some(1), 0.0));
    check(floats(&[1], &[0.5]), Some(floats(&[1], &[0.5])), (0, None, 0.0));
    check(floats(&[], &[0.5]), Some(floats(&[], &[1.5])), (1, None, 1.0));
}

#[test]
fn what_is_not_there_or_of_another_shape_differs() {
    let was = || floats(&[3], &[0.5, 1.5, 2.5]);
    check(was(), None, (3, None, 0.0));
    check(was(), Some(floats(&[1, 3], &[0.5, 1.5, 2.5])), (3, None, 0.0));
    let answers = compared(was(), None);
    assert_eq!((answers.not_comparable, answers.rows_flipped), (1, 0));
    let [example] = answers.worst.examples() else { panic!("one") };
    let got = (example.what, example.was.as_str(), example.is.as_str());
    assert_eq!(got, (What::Shape, "FP32 [3]", "not there"));
}

#[test]
fn what_is_no_number_any_more_is_counted() {
    let answers = compared(
        floats(&[3, 2], &[1.0, 2.0, f32::NAN, 1.0, f32::INFINITY, 1.0]),
        Some(floats(&[3, 2], &[f32::NAN, 2.0, f32::NAN, 1.0, 3.0, 1.0])),
    );
    assert_eq!((answers.rows, answers.rows_differ, answers.rows_not_finite), (3, 2, 1));
    // The first row's class is where it was: NaN is no class. The third was sure beyond all numbers.
    assert_eq!((answers.rows_flipped, answers.outputs["y"].not_finite), (0, 1));
    let [first, second] = answers.worst.examples() else { panic!("two") };
    assert_eq!((first.what, first.row, first.is.as_str()), (What::NotFinite, 0, "NaN, 2"));
    assert_eq!((second.what, second.row, second.was.as_str()), (What::Difference, 2, "inf, 1"));
}

#[test]
fn differences_are_measured_by_size_and_in_proportion() {
    let output =
        compared(floats(&[4], &[2.0, -4.0, 0.0, 1.0]), Some(floats(&[4], &[3.0, -3.0, 1.0, 1.0])));
    let output = &output.outputs["y"];
    assert_eq!((output.max_abs, output.mean_abs), (1.0, 0.75));
    // 0.5, 0.25 and 0; of 0 nothing is a part.
    assert_eq!((output.max_rel, output.mean_rel), (0.5, 0.25));
}

#[test]
fn a_row_differs_once_however_many_outputs_do() {
    let mut answers = Answers::default();
    let both = |it: f32| ["a", "b"].map(|name| (name.to_owned(), floats(&[1], &[it])));
    answers.add("id", (&both(1.5), &both(2.5)), TOLERANCE);
    assert_eq!((answers.rows, answers.rows_differ), (1, 1));
    assert_eq!(answers.worst.examples().len(), 2);
}
