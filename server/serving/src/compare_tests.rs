use super::*;

use backend_api::Shape;
use bytes::Bytes;

fn numbers(dims: &[usize], elements: &[f32]) -> Tensor {
    Tensor::from_elements(dims, elements).expect("elements")
}

#[track_caller]
fn check(first: &[Tensor], second: &[Tensor], expect: Difference) {
    assert_eq!(Difference { shares: None, ..compare(first, second) }, expect);
}

#[test]
fn the_same_is_no_difference() {
    let it = [numbers(&[1, 3], &[0.1, 0.7, 0.2])];
    check(&it, &it, Difference { mean: Some(0.0), ..Difference::default() });
    let label = [Tensor::from_elements(&[1], &[3_i64]).expect("a label")];
    check(&label, &label, Difference::default());
}

#[test]
fn classes_and_labels_flip() {
    let (a, b) = (numbers(&[2, 2], &[0.0, 1.0, 1.0, 0.0]), numbers(&[2, 2], &[0.0, 1.0, 0.0, 1.0]));
    let expect = Difference { flipped: true, mean: Some(0.0), max: 1.0, ..Difference::default() };
    check(&[a], &[b], expect);
    let label = |it: i64| [Tensor::from_elements(&[1], &[it]).expect("a label")];
    check(&label(1), &label(2), Difference { flipped: true, ..Difference::default() });
    let text = |it: &str| [Tensor::from_strings(&[1], &[it]).expect("a text")];
    check(&text("a"), &text("b"), Difference { flipped: true, ..Difference::default() });
}

#[test]
fn a_shift_is_measured_with_its_sign() {
    let (a, b) = (numbers(&[2, 1], &[1.0, 2.0]), numbers(&[2, 1], &[0.5, 1.5]));
    check(&[a], &[b], Difference { mean: Some(-0.5), max: 0.5, ..Difference::default() });
}

#[test]
fn what_is_no_number_is_seen_and_not_averaged() {
    let (a, b) = (numbers(&[2], &[1.0, 2.0]), numbers(&[2], &[f32::NAN, 3.0]));
    check(
        &[a],
        std::slice::from_ref(&b),
        Difference { nonfinite: true, mean: Some(1.0), max: 1.0, ..Difference::default() },
    );
    // What the served version answers so too is not the other's fault.
    let bad = [numbers(&[2], &[f32::INFINITY, 2.0])];
    check(
        &bad,
        std::slice::from_ref(&b),
        Difference { mean: Some(1.0), max: 1.0, ..Difference::default() },
    );
    assert!(is_nonfinite(&[b]));
    assert!(!is_nonfinite(&[numbers(&[1], &[1.0])]));
}

#[test]
fn one_input_that_is_no_number_is_enough() {
    let long = |last: f32| {
        let mut elements = vec![1.0; ELEMENTS_MAX + 1];
        elements[ELEMENTS_MAX] = last;
        numbers(&[elements.len()], &elements)
    };
    assert!(is_finite(&[long(1.0), long(f32::MAX)]));
    assert!(!is_finite(&[long(1.0), long(f32::NAN)]));
    let half = |it: half::f16| {
        let (shape, data) = (Shape::new(&[1]), Bytes::copy_from_slice(&it.to_le_bytes()));
        Tensor::new(DType::Fp16, shape.expect("small"), data).expect("a half")
    };
    assert!(is_finite(&[half(half::f16::MAX)]) && !is_finite(&[half(half::f16::INFINITY)]));
    assert!(is_finite(&[Tensor::from_elements(&[1], &[7_i64]).expect("a label")]));
}

#[test]
fn another_shape_is_another_answer() {
    let (a, b) = (numbers(&[1, 2], &[1.0, 2.0]), numbers(&[1, 3], &[1.0, 2.0, 3.0]));
    check(std::slice::from_ref(&a), &[b], Difference { flipped: true, ..Difference::default() });
    check(&[a], &[], Difference { flipped: true, ..Difference::default() });
}

#[test]
fn shares_of_classes_move_with_the_rows() {
    let change = |first: &[Tensor], second: &[Tensor]| {
        let shares = compare(first, second).shares.expect("it has classes");
        let moved = shares.iter().enumerate().filter(|it| it.1.abs() > 1e-12);
        moved.map(|(class, it)| (class, (it * 100.0).round() / 100.0)).collect::<Vec<_>>()
    };
    let scores = |rows: &[[f32; 3]]| [numbers(&[rows.len(), 3], rows.as_flattened())];
    let (a, b, c) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]);
    assert_eq!(change(&scores(&[a, b, c, c]), &scores(&[a, b, b, c])), [(1, 0.25), (2, -0.25)]);
    assert_eq!(change(&scores(&[a, b]), &scores(&[b, a])), [], "other rows, the same shares");
    let labels = |of: &[i64]| [Tensor::from_elements(&[of.len()], of).expect("labels")];
    assert_eq!(change(&labels(&[3, 3, 19]), &labels(&[3, 4, 3])), [(3, -0.33), (4, 0.33)]);
    let one = [numbers(&[2, 1], &[0.1, 0.9])];
    assert_eq!(compare(&one, &one).shares, None, "numbers have no classes");
}
