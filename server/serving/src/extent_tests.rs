use super::*;

use backend_api::{Axis, DType, GraphTensor};

/// Inputs of these axes (a number, `N` for rows, or another name) and shapes, and how many elements
/// they have.
#[track_caller]
fn check(given: &[(&str, &[usize])], elements_max: usize, expect: Result<usize, &str>) {
    let axis = |it: &str| it.parse().map_or_else(|_| Axis::Named(it.to_owned()), Axis::Fixed);
    let graph = |axes: &str, n: usize| GraphTensor {
        name: format!("x{n}"),
        dtype: DType::Fp32,
        axes: axes.split(',').map(axis).collect(),
    };
    let inputs = given.iter().enumerate().map(|(n, (axes, _))| graph(axes, n)).collect();
    let signature = Signature::of_graph(inputs, vec![graph("N", 0)]);
    let batching = Batching { elements_max, ..Batching::default() };
    let shapes = given.iter().map(|(_, dims)| Shape::new(dims).expect("small"));
    let inputs: Vec<Tensor> = shapes.map(|it| Tensor::zeroed(DType::Fp32, it)).collect();
    let rows = if signature.is_batched() { given[0].1[0] } else { 1 };
    let extent = Extent::new("m", (&signature, &batching), (&inputs, rows));
    let got = extent.map(|it| it.units).map_err(|it| it.to_string());
    assert_eq!(got, expect.map_err(str::to_owned), "{given:?}");
}

#[test]
fn rows_where_nothing_else_varies() {
    check(&[("N,4", &[3, 4])], usize::MAX, Ok(3));
    check(&[("1,4", &[1, 4])], usize::MAX, Ok(1));
}

#[test]
fn tokens_and_pixels_where_they_do() {
    check(&[("N,S", &[3, 10])], usize::MAX, Ok(30));
    check(&[("N,S", &[3, 10]), ("N,S", &[3, 10])], usize::MAX, Ok(30));
    check(&[("N,3,H,W", &[2, 3, 8, 9]), ("N,S", &[2, 5])], usize::MAX, Ok(144));
    check(&[("S,4", &[7, 4])], usize::MAX, Ok(7));
    check(&[("N,S", &[2, 0])], usize::MAX, Ok(2));
}

#[test]
fn no_request_is_larger_than_a_batch() {
    check(&[("N,S", &[2, 8])], 16, Ok(16));
    let text = "inference request must have at most 15 elements for 'm', got 16: 2 rows of 8";
    check(&[("N,S", &[2, 8])], 15, Err(text));
}
